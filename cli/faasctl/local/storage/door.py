"""The WebDAV door: who may do what, in the order in which dCache looks at it.

Methods and activities are those of dCache's ``DcacheResourceFactory``: HEAD and PROPFIND need READ_METADATA
(children: LIST), GET DOWNLOAD, PUT UPLOAD (onto a file also DELETE), DELETE DELETE, MOVE MANAGE, MKCOL UPLOAD
or MANAGE of the directory above.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from faasctl.local.storage import changes, macaroons, reads
from faasctl.local.storage.asked import Asked, decoded
from faasctl.local.storage.authn import LoginFailed
from faasctl.local.storage.paths import chroot, normal
from faasctl.local.storage.replies import Refusal, unauthorized, url_path
from faasctl.local.storage.service import Service

MACAROON_REQUEST = "application/macaroon-request"


async def answer(service: Service, http: Request) -> ASGIApp:
    """The door's answer to ``http``. Raises Refusal."""
    began = time.time_ns()
    if http.method == "OPTIONS":
        return Response()
    url = decoded(http.scope["raw_path"])
    try:
        login = service.accounts.login(
            http.headers.get("authorization"),
            http.query_params.getlist("authz"),
            client=http.scope["client"][0],
            now=began,
        )
    except LoginFailed as failure:
        raise unauthorized(str(failure)) from None
    method = _METHODS.get(http.method)
    if method is None:
        raise Refusal(501, f"Method {http.method} is not implemented.")
    path = chroot(login.context.root, url)
    return await method(Asked(service=service, http=http, login=login, path=path, url_path=url, began=began))


async def _post(asked: Asked) -> Response:
    """A request for a macaroon; there is no other POST."""
    http, service, login = asked.http, asked.service, asked.login
    if http.headers.get("content-type", "").strip() != MACAROON_REQUEST:
        raise Refusal(501, "Method POST is not implemented.")
    try:
        request = macaroons.read_request(await asked.small_body())
        context = macaroons.context_for(login.context, normal(asked.url_path))
        context = msgspec.structs.replace(context, uid=login.uid, gids=login.gids, username=login.username)
        issue = base64.b64encode(secrets.token_bytes(6)).decode()
        caveats = macaroons.chain(context, request, iid=issue, now=asked.began)
    except macaroons.Refused as refused:
        raise Refusal(400, reason=str(refused)) from None
    except OverflowError:
        raise Refusal(500, reason="Server Error") from None
    token = macaroons.seal(service.secret, context.path, caveats)
    base = f"https://{http.headers.get('host', f'localhost:{service.door_port}')}/"
    target = base + url_path(asked.url_path).removeprefix("/")
    return Response(macaroons.answer(token, target, base), media_type="application/json")


_METHODS: dict[str, Callable[[Asked], Awaitable[ASGIApp]]] = {
    "HEAD": reads.head,
    "GET": reads.get,
    "PROPFIND": reads.properties,
    "PUT": changes.put,
    "DELETE": changes.delete,
    "MKCOL": changes.mkcol,
    "MOVE": changes.move,
    "PROPPATCH": changes.proppatch,
    "POST": _post,
}
