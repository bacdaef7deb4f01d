"""The host as an ASGI application: bytes in, bytes out, and the headers that every answer has.

Plain ASGI and no framework: the paths are matched as Pekko matches them (see routes.py), escaped slashes included.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from faasctl.local.openwhisk.errors import INTERNAL, ApiError, too_large
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import CORS, Call, Header, Reply, parse_query
from faasctl.local.openwhisk.routes import dispatch

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]
TRANSACTION = "x-request-id"
SYSTEM_PREFIX = "sid_"
RAW_CORS = [(name.lower().encode(), value.encode()) for name, value in CORS.items()]
log = logging.getLogger(__name__)


class App:
    def __init__(self, host: Host) -> None:
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = tuple([Header(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]])
        transaction = _transaction(headers)
        try:
            query_string = scope["query_string"].decode("latin-1")
            call = Call(
                method=scope["method"],
                path=_path(scope),
                query_string=query_string,
                query=parse_query(query_string),
                headers=headers,
                body=await _read(receive, self._host.settings.body_size),
                transaction=transaction,
            )
            reply = await dispatch(self._host, call)
        except ApiError as error:
            reply = error.reply(transaction)
        except Exception:
            log.exception("%s %s", scope["method"], scope["path"])
            reply = ApiError(500, INTERNAL).reply(transaction)
        content = reply.content()
        head: Scope = {"type": "http.response.start", "status": reply.status, "headers": _raw_headers(reply, content)}
        head["headers"].append((b"x-request-id", transaction.encode("latin-1")))
        await send(head)
        await send({"type": "http.response.body", "body": content})


def _path(scope: Scope) -> str:
    """As it was sent, without decoding."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


def _transaction(headers: tuple[Header, ...]) -> str:
    """The caller's own id, unless it looks like one of the system's (TransactionId.scala)."""
    for header in headers:
        if header.name == TRANSACTION and header.value and not header.value.startswith(SYSTEM_PREFIX):
            return header.value
    return secrets.token_hex(16)


async def _read(receive: Receive, largest: int) -> bytes:
    message = await receive()
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    chunks = [message["body"]]
    size = len(chunks[0])
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > largest:
            raise too_large("Request", size, largest)
    return b"".join(chunks)


def _raw_headers(reply: Reply, content: bytes) -> RawHeaders:
    raw: RawHeaders = list(RAW_CORS) if reply.cors else []
    if reply.body is not None:
        raw.append((b"content-type", reply.content_type.encode("latin-1")))
    if reply.status != 204:
        raw.append((b"content-length", str(len(content)).encode()))
    for name, value in (*reply.headers.items(), *reply.more_headers):
        raw.append((name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")))
    return raw
