"""The registry's desk as a web action: functions are pushed, listed, shown, paused and removed through it.

Whoever calls holds an id_token of a GitLab CI job, or the administrator's key, and never a key of OpenWhisk.
"""

import hmac
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from eventflow import caller
from eventflow.caller import Caller, Forbidden, Unauthenticated
from eventflow.catalogue import NoFunction
from eventflow.clients import openwhisk
from eventflow.clients.id_tokens import IdTokens, Issuer, IssuerUnavailable
from eventflow.clients.openwhisk import OpenWhisk, Throttled, Unavailable
from eventflow.errors import FaasError
from eventflow.policy import by_namespace
from eventflow.registrar import Desk, Request
from eventflow.settings import adopt, setting
from eventflow.storages import Storage

STATUS: tuple[tuple[type[FaasError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NoFunction, 404),
    (Throttled, 429),
    (Unavailable, 503),
    (IssuerUnavailable, 503),
)


class Callers(msgspec.Struct, frozen=True):
    """Whose word is taken: issuers of id_tokens, and the administrator's key."""

    issuers: tuple[Issuer, ...] = ()
    admin_key: str | None = None

    def __repr__(self) -> str:
        return f"Callers({self.issuers})"


@cache
def known() -> tuple[Callers, IdTokens]:
    """The init parameter, and the issuers' keys, kept while the container is warm."""
    found = setting("FAAS_CALLERS", Callers)
    return found, IdTokens(found.issuers, time.monotonic)


@cache
def functions() -> OpenWhisk:
    """The functions' namespace."""
    return openwhisk.connect(setting("FAAS_REGISTRY", openwhisk.Access))


def who(headers: dict[str, str]) -> Caller:
    """The caller by the Authorization header; raises `Unauthenticated`."""
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        hint = "give an id_token of GitLab as FAASCTL_ID_TOKEN, or the administrator's key as FAASCTL_REGISTRY_KEY"
        raise Unauthenticated("the request holds no credential", hint=hint)
    callers, tokens = known()
    if callers.admin_key and hmac.compare_digest(credential.encode(), callers.admin_key.encode()):
        return Caller(name="administrator")
    return caller.from_claims(tokens.claims(credential))


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Called by OpenWhisk with an HTTP request; answers with one."""
    args = adopt(args)
    try:
        desk = Desk(
            functions(),
            by_namespace(setting("FAAS_POLICIES", list[dict[str, Any]])),
            setting("FAAS_STORAGES", list[Storage]),
            kind=setting("FAAS_KIND", str),
            now=datetime.now(UTC),
        )
        request = Request(
            method=args["__ow_method"],
            path=tuple(part for part in args["__ow_path"].split("/") if part),
            arguments={name: value for name, value in args.items() if not name.startswith("__ow_")},
        )
        return _reply(200, desk.answer(who(args["__ow_headers"]), request))
    except FaasError as error:
        status = next((status for kind, status in STATUS if isinstance(error, kind)), 400)
        print(f"{status} {type(error).__name__}: {error}")
        return _reply(status, {"error": {"why": error.why, "where": error.where, "hint": error.hint}})


def _reply(status: int, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": body}
