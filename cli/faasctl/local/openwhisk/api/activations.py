"""Activations: what was run (core/controller/Activations.scala)."""

from __future__ import annotations

from faasctl.local.openwhisk.activations import Activation
from faasctl.local.openwhisk.api.query import Page, boolean
from faasctl.local.openwhisk.api.request import Request
from faasctl.local.openwhisk.errors import bad_request, malformed_query
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import Call, Reply
from faasctl.local.openwhisk.names import SEGMENT


def list_all(host: Host, request: Request, namespace: str) -> Reply:
    call = request.call
    page = Page(call, "activations")
    docs = boolean(call, "docs")
    name = _name(call)
    since, upto = _instant(call, "since"), _instant(call, "upto")
    if page.count and docs:
        raise bad_request("The parameter 'docs' is not permitted with 'count'.")

    def accept(activation: Activation) -> bool:
        return (
            (name is None or activation.path == name)
            and (since is None or activation.start >= since)
            and (upto is None or activation.start <= upto)
        )

    found = host.activations.list(namespace, accept)
    if page.count:
        return Reply(200, {"activations": page.remaining(found)})
    rows = page.of(found)
    return Reply(200, [row.document() if docs else row.summary for row in rows])


def get(host: Host, request: Request, namespace: str, activation_id: str, part: str) -> Reply:
    """``part``: the whole record (empty), its ``logs``, or its ``result``."""
    activation = host.activations.get(namespace, activation_id)
    if part == "logs":
        return Reply(200, {"logs": list(activation.logs)})
    return Reply(200, activation.response.document if part == "result" else activation.document())


def _name(call: Call) -> str | None:
    text = call.query.get("name")
    if text is None or not text.strip():
        return None
    parts = [part for part in text.split("/") if part]
    if not 1 <= len(parts) <= 2 or not all(SEGMENT.match(part) for part in parts):
        raise malformed_query("name", f"Parameter may be a 'simple' name or 'package-name/simple' name: {text}")
    return "/".join(parts)


def _instant(call: Call, name: str) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise malformed_query(name, f"Parameter is not a valid value for epoch seconds: {text}") from None
