"""Web actions: any HTTP request becomes an action's arguments (core/controller/WebActions.scala)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from faasctl.local.openwhisk import spray
from faasctl.local.openwhisk.activations import APPLICATION_ERROR, SUCCESS
from faasctl.local.openwhisk.api.actions import ACTIVATION_ID
from faasctl.local.openwhisk.api.projection import EXTENSIONS, is_json, is_text, project
from faasctl.local.openwhisk.auth import Identity
from faasctl.local.openwhisk.entities import Parameters
from faasctl.local.openwhisk.errors import (
    NOT_AUTHENTICATED,
    PARAMETERS_NOT_ALLOWED,
    PROCESSING,
    PROPERTY_NOT_FOUND,
    RESPONSE_NOT_READY,
    ApiError,
    bad_request,
    no_route,
    not_found,
    too_large,
)
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import CORS, JSON, Call, Reply
from faasctl.local.openwhisk.names import SEGMENT, FullName
from faasctl.local.openwhisk.resolve import Resolved, resolve

Json = Any
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
RESERVED = frozenset(f"__ow_{name}" for name in ("method", "headers", "path", "user", "query", "body"))
DEFAULT_PACKAGE = "default"
FORM = "application/x-www-form-urlencoded"


async def answer(host: Host, call: Call, segments: tuple[str, ...]) -> Reply:
    """``segments``: namespace, package, action with or without an extension, and what follows."""
    if call.method not in METHODS or len(segments) < 3:
        raise no_route()
    if not all(SEGMENT.match(segment) for segment in segments[:3]):
        raise no_route()
    namespace, package, action = segments[:3]
    extension = next((e for e in EXTENSIONS if action.endswith(e)), "")
    path = namespace if package == DEFAULT_PACKAGE else f"{namespace}/{package}"
    owner, resolved = _exported(host, FullName(path, action.removesuffix(extension)))
    if len(call.body) > host.settings.payload_size:
        raise _without_cors(too_large("Request", len(call.body), host.settings.payload_size))
    annotations = resolved.action.annotations
    headers = {} if annotations.get("web-custom-options") is True else _cors(call)
    if headers and call.method == "OPTIONS":
        return Reply(200, None, headers=headers, cors=False)
    try:
        if call.method != "OPTIONS" and not _authorised(host, call, annotations):
            raise ApiError(401, NOT_AUTHENTICATED)
        return await _invoke(host, call, owner, resolved, extension or EXTENSIONS[0], headers)
    except ApiError as error:
        if error.rejected:
            raise
        raise _without_cors(error, headers) from None


def _without_cors(error: ApiError, headers: Mapping[str, str] | None = None) -> ApiError:
    return ApiError(error.status, error.text, rejected=True, headers={**error.headers, **(headers or {})})


def _exported(host: Host, name: FullName) -> tuple[Identity, Resolved]:
    """The action's owner, on whose account it runs, and the action; one that is not exported does not exist."""
    try:
        owner = host.authenticator.owner(name.namespace)
        resolved = resolve(host.store, name)
        if resolved.action.annotations.get("web-export") is not True:
            raise not_found()
        host.throttle.check_invocation(owner.namespace)
    except ApiError as error:
        raise _without_cors(not_found() if error.status == 409 else error) from None
    return owner, resolved


def _cors(call: Call) -> dict[str, str]:
    asked = call.header("access-control-request-headers")
    return {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH",
        "Access-Control-Allow-Headers": asked or CORS["Access-Control-Allow-Headers"],
    }


def _caller(host: Host, call: Call) -> Identity | None:
    try:
        return host.authenticator.authenticate(call.header("authorization"))
    except ApiError:
        return None


def _authorised(host: Host, call: Call, annotations: Parameters) -> bool:
    if "require-whisk-auth" not in annotations.keys:
        return True
    expected = annotations.get("require-whisk-auth")
    if isinstance(expected, bool):
        return not expected or _caller(host, call) is not None
    if isinstance(expected, str | int | float):
        given = call.header("x-require-whisk-auth")
        return given is not None and hmac.compare_digest(given.encode(), str(expected).encode())
    return False


async def _invoke(
    host: Host, call: Call, owner: Identity, resolved: Resolved, extension: str, headers: Mapping[str, str]
) -> Reply:
    raw = resolved.action.annotations.get("raw-http") is True
    body = _body(call, raw=raw)
    query = {} if raw else _query(call)
    given = {**query, **body} if isinstance(body, dict) else query
    if not raw and not (RESERVED | resolved.action.immutable).isdisjoint(given):
        raise bad_request(PARAMETERS_NOT_ALLOWED)
    caller = _caller(host, call)
    arguments = {**_metadata(call, caller), **given}
    if raw:
        arguments["__ow_query"] = call.query_string
        arguments["__ow_body"] = "" if body is None else body
    elif body is not None and not isinstance(body, dict):
        arguments["__ow_body"] = body
    order = host.order(owner, resolved, arguments, call.transaction, trusted=True)
    activation = await host.wait(order, host.settings.blocking_wait)
    headers = {**headers, ACTIVATION_ID: order.id}
    if activation is None:
        raise ApiError(202, RESPONSE_NOT_READY, headers=headers)
    response = activation.response
    result = response.result
    if response.code not in (SUCCESS, APPLICATION_ERROR):
        raise ApiError(400, PROCESSING, headers=headers)
    if response.code == APPLICATION_ERROR:
        if not isinstance(result, dict) or "error" not in result:
            raise ApiError(404, PROPERTY_NOT_FOUND, headers=headers)
        result = result["error"]
    try:
        return project(extension, result, headers)
    except ApiError as error:
        raise ApiError(error.status, error.text, headers=headers) from None


def _metadata(call: Call, caller: Identity | None) -> dict[str, Json]:
    headers = call.seen_headers
    kind = call.header("content-type")
    if kind is not None:
        headers["content-type"] = kind
    # /api/v1/web/<namespace>/<package>/<action> is taken away
    rest = call.path.split("/")[7:]
    metadata: dict[str, Json] = {
        "__ow_method": call.method.lower(),
        "__ow_headers": headers,
        "__ow_path": "".join(f"/{part}" for part in rest),
    }
    if caller is not None:
        metadata["__ow_user"] = caller.namespace
    return metadata


def _query(call: Call) -> dict[str, str]:
    """The last of several values of one name counts here (Query.toMap)."""
    return dict(parse_qsl(call.query_string, keep_blank_values=True))


def _body(call: Call, *, raw: bool) -> Json:
    """None when there is none; an object is merged with the query, anything else is ``__ow_body``."""
    if not call.body:
        return None
    kind = (call.header("content-type") or "application/octet-stream").partition(";")[0].strip().lower()
    if not raw and is_json(kind):
        return spray.decode(call.body)
    if not raw and kind == FORM:
        return dict(parse_qsl(call.body.decode(errors="replace"), keep_blank_values=True))
    if kind == JSON or not is_text(kind):
        return base64.b64encode(call.body).decode()
    return call.body.decode(errors="replace")
