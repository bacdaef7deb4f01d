"""Reason phrases: where dCache says why it refused (``401 macaroon login denied: Invalid macaroon [...]: expired:
...``).

ASGI has no word for them and uvicorn always writes the standard phrase. A response that carries the header
REASON gets its value as the phrase: the head of a response is the first thing its request's cycle writes, and
is rewritten there.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REASON = b"x-reason-phrase"

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n")
_REASON_LINE = re.compile(rb"\r\n" + REASON + rb": ([^\r]*)\r\n", re.IGNORECASE)


class ReasonPhrases(HttpToolsProtocol):
    """uvicorn's protocol on httptools, with reason phrases."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.cycle.transport = cast(asyncio.Transport, _Head(self.cycle.transport))


class _Head:
    """A transport until the head of the response is written; what follows it (a file) is passed on as it is."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._written = False

    def write(self, data: bytes) -> None:
        status = None if self._written else _STATUS_LINE.match(data)
        if status is not None and status[1] != b"100":
            self._written = True
            reason = _REASON_LINE.search(data)
            if reason is not None:
                rest = data[status.end() - 2 : reason.start()] + data[reason.end() - 2 :]
                data = b"HTTP/1.1 " + status[1] + b" " + reason[1] + rest
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
