"""Bytes in and out: transfers promised to redirected clients, and the movers that carry them out."""

from __future__ import annotations

import asyncio
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio.to_thread
import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from faasctl.local.storage.billing import Request
from faasctl.local.storage.digests import Checksums

BLOCK = 1 << 20


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A read or write that the door has let through. ``url_path`` is what the client called the file.

    ``content_md5`` is what the bytes must sum up to, ``limit`` how many there may be; ``size`` and ``adler32``
    are the file's, for reads.
    """

    request: Request
    url_path: str
    content_md5: bytes | None = None
    limit: int | None = None
    size: int = 0
    adler32: str = ""


class Promised:
    """Transfers whose clients were sent to the pool: the uuid in the URL is the only credential there, and is good
    once.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Transfer] = {}

    def promise(self, transfer: Transfer) -> str:
        """A new uuid for ``transfer``."""
        key = str(uuid.uuid4())
        self._waiting[key] = transfer
        return key

    def waiting(self, key: str) -> Transfer | None:
        """The transfer of ``key``, which stays promised."""
        return self._waiting.get(key)

    def take(self, key: str) -> None:
        """The client has come."""
        del self._waiting[key]

    def overdue(self, before: int) -> list[Transfer]:
        """The transfers promised before ``before`` (ns since the epoch); their clients come no more."""
        late = {key: found for key, found in self._waiting.items() if found.request.began < before}
        for key in late:
            del self._waiting[key]
        return list(late.values())


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What came in from ``began`` (ns since the epoch) on: ``cut`` when the client went away, ``over`` when it was more
    than allowed; ``trouble`` is why the disk would not take it. ``active`` is what was spent (ns) on writing and
    summing.
    """

    began: int
    size: int
    active: int
    checksums: dict[str, bytes]
    cut: bool = False
    over: bool = False
    trouble: str = ""


async def receive(stream: AsyncIterator[bytes], part: Path, checksums: Checksums, limit: int | None) -> Received:
    """Write the ``stream`` to ``part`` in constant memory; stops when it is over, cut, or more than ``limit``
    bytes.
    """
    began = time.time_ns()
    size = active = 0
    cut = over = False
    trouble = ""
    pending = bytearray()
    with part.open("wb", buffering=0) as file:

        def flush() -> int:
            started = time.perf_counter_ns()
            view = memoryview(pending)
            written = 0
            while written < len(view):
                written += file.write(view[written:])
            checksums.update(pending)
            return time.perf_counter_ns() - started

        try:
            async for chunk in stream:
                size += len(chunk)
                if limit is not None and size > limit:
                    over = True
                    break
                pending += chunk
                if len(pending) >= BLOCK:
                    active += await anyio.to_thread.run_sync(flush)
                    pending = bytearray()
        except ClientDisconnect:
            cut = True
        except OSError as error:
            trouble = error.strerror or "I/O error"
        if pending and not trouble and not over:
            try:
                active += flush()
            except OSError as error:
                trouble = error.strerror or "I/O error"
    return Received(
        began=began,
        size=size,
        active=active,
        checksums=checksums.values(),
        cut=cut,
        over=over,
        trouble=trouble,
    )


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and length of the single range asked for; None is the whole file. Raises ValueError for an empty
    one.
    """
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip()) if header else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        first = size - length
    else:
        first = int(found[1])
        last = min(int(found[2]) if found[2] else size, size - 1)
        length = last - first + 1
    if length <= 0:
        raise ValueError("no such bytes")
    return first, length


class Sending:
    """An answer that is (a range of) a file, which is opened at once (FileNotFoundError); ``ended`` is called with
    bytes sent, ns spent reading, and whether it was cut.
    """

    def __init__(
        self,
        path: Path,
        *,
        status: int,
        headers: dict[str, str],
        first: int,
        length: int,
        ended: Callable[[int, int, bool], None],
    ) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self._status = status
        self._headers = headers
        self._first = first
        self._length = length
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = [(name.lower().encode(), value.encode("utf-8")) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": self._status, "headers": raw})
        if scope["method"] == "HEAD" or self._length == 0:
            await send({"type": "http.response.body"})
            os.close(self._descriptor)
            self._ended(0, 0, False)
            return
        gone = asyncio.create_task(_disconnect(receive))
        sent = active = 0
        try:
            while sent < self._length and not gone.done():
                began = time.perf_counter_ns()
                wanted = min(BLOCK, self._length - sent)
                block = await anyio.to_thread.run_sync(os.pread, self._descriptor, wanted, self._first + sent)
                active += time.perf_counter_ns() - began
                if not block:
                    break
                sent += len(block)
                # the last block ends the answer, so that the record does not wait for the client's next request
                await send({"type": "http.response.body", "body": block, "more_body": sent < self._length})
        finally:
            os.close(self._descriptor)
            gone.cancel()
            self._ended(sent, active, sent < self._length)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
