"""The host as an ASGI application: bytes in, bytes out, and the headers that every answer has."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import Response

from faasctl.local.openwhisk.errors import INTERNAL, ApiError, too_large
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import CORS, Call, Header, Reply
from faasctl.local.openwhisk.routes import dispatch

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
TRANSACTION = "x-request-id"
SYSTEM_PREFIX = "sid_"
log = logging.getLogger(__name__)


class App:
    def __init__(self, host: Host) -> None:
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = tuple(Header(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        transaction = _transaction(headers)
        try:
            body = await _read(receive, self._host.settings.body_size)
            reply = await dispatch(self._host, _call(scope, headers, body, transaction))
        except ApiError as error:
            reply = error.reply(transaction)
        except Exception:
            log.exception("%s %s", scope["method"], scope["path"])
            reply = ApiError(500, INTERNAL).reply(transaction)
        await _response(reply, transaction)(scope, receive, send)


def _call(scope: Scope, headers: tuple[Header, ...], body: bytes, transaction: str) -> Call:
    path = scope.get("raw_path") or scope["path"].encode()
    own = next((header.value for header in headers if header.name == "host"), "localhost")
    return Call(
        method=scope["method"],
        path=path.partition(b"?")[0].decode("latin-1"),
        query_string=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        transaction=transaction,
        base_url=f"{scope['scheme']}://{own}",
    )


def _transaction(headers: tuple[Header, ...]) -> str:
    """The caller's own id, unless it looks like one of the system's (TransactionId.scala)."""
    given = next((header.value for header in headers if header.name == TRANSACTION), "")
    return given if given and not given.startswith(SYSTEM_PREFIX) else secrets.token_hex(16)


async def _read(receive: Receive, largest: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > largest:
            raise too_large("Request", size, largest)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def _response(reply: Reply, transaction: str) -> Response:
    media_type = reply.content_type if reply.body is not None else None
    response = Response(reply.content(), reply.status)
    if media_type:
        response.headers["content-type"] = media_type
    if reply.cors:
        response.headers.update(CORS)
    response.headers.update(reply.headers)
    for header in reply.more_headers:
        response.headers.append(header.name, header.value)
    response.headers["X-Request-ID"] = transaction
    return response
