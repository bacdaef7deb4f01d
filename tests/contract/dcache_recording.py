"""The recording of a running dCache as something that can be replayed against another storage.

What only that dCache could answer is translated: ports, the uuids of redirects, macaroons (signed again with the other
storage's secret, caveats unchanged) and moments (moved from the time of the recording to now).
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faasctl.local.storage import instant
from faasctl.local.storage.macaroons import Secret, open_macaroon, seal
from faasctl.local.storage.paths import ROOT

RECORDING = Path(__file__).parents[1] / "data" / "dcache" / "dcache_live.jsonl.gz"

_RECORDED_DOOR = 2881
_MOMENT = re.compile(r"2026-11-[23]\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+\d\d:\d\d)")
_TOKEN = re.compile(r"MDA[\w+/-]{60,}={0,2}")
_UUID = re.compile(r"dcache-http-uuid=([0-9a-f-]{36})")


def cases() -> Iterator[dict[str, Any]]:
    """The recorded cases in order."""
    with gzip.open(RECORDING, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire; None as status is a connection that ended without one."""

    status: int | None
    reason: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    continued: bool = False

    def header(self, name: str) -> str | None:
        """The value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass
class Translation:
    """From the recorded dCache to another storage that began to answer at ``now`` (ns since the epoch)."""

    door_port: int
    secret: Secret
    recorded_at: int
    now: int
    uuids: dict[str, str] = field(default_factory=dict)

    def moment(self, recorded: int) -> int:
        """The moment that stands to now as ``recorded`` to the time of the recording."""
        return recorded - self.recorded_at + self.now

    def text(self, recorded: str) -> str:
        """A header, target or body as this storage has to see it."""
        text = recorded.replace(f"localhost:{_RECORDED_DOOR}", f"localhost:{self.door_port}")
        text = text.replace(f"localhost%3A{_RECORDED_DOOR}", f"localhost%3A{self.door_port}")
        text = _UUID.sub(lambda found: f"dcache-http-uuid={self.uuids.get(found[1], found[1])}", text)
        text = _TOKEN.sub(lambda found: self.token(found[0]), text)
        return _MOMENT.sub(lambda found: self._moved(found[0]), text)

    def token(self, recorded: str) -> str:
        """A recorded macaroon with the same caveats, signed by this storage; what cannot be read stays as it is."""
        try:
            old = open_macaroon(recorded)
        except ValueError:
            return recorded
        text = seal(self.secret, ROOT, [_MOMENT.sub(lambda found: self._moved(found[0]), text) for text in old.caveats])
        if "+" in recorded or "/" in recorded:
            text = text.replace("-", "+").replace("_", "/")
        return text + "=" * (-len(text) % 4) if recorded.endswith("=") else text

    def learn(self, recorded: list[list[str]], reply: Reply) -> None:
        """Which of this storage's uuids stands for the recorded one."""
        theirs = _UUID.search(dict(recorded).get("Location", ""))
        ours = _UUID.search(reply.header("location") or "")
        if theirs and ours:
            self.uuids[theirs[1]] = ours[1]

    def _moved(self, text: str) -> str:
        moved = instant.format(self.moment(instant.parse(text)))
        return moved.replace("Z", "+00:00") if "+" in text else moved


# Bodies that were no text or too long to be recorded, with what their authors say they were.
_BODIES = {
    "A.json-bom": '\ufeff{"validity":"PT1H"}'.encode(),
    "A.json-utf16": '{"validity":"PT1H"}'.encode("utf-16"),
    "A.json-bad-utf8": b'{"caveats":["path:/\xff\xfe"],"validity":"PT1H"}',
    "A.caveat-long": b'{"caveats": ["path:/' + b"x" * 3000 + b'"]}',
}


def body_of(case: str, request: dict[str, Any]) -> bytes:
    """The body of a recorded request; of files only the length is known."""
    if "body" in request:
        return str(request["body"]).encode()
    length = int(request.get("body_bytes", {}).get("length", 0))
    body = _BODIES.get(case, b"." * length)
    assert len(body) == length
    return body


def forged(token: str) -> str:
    """The macaroon with another signature."""
    text = token + "=" * (-len(token) % 4)
    data = bytearray(base64.urlsafe_b64decode(text))
    data[-3] ^= 1
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def exchange(
    port: int,
    trust: ssl.SSLContext,
    *,
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    body: bytes = b"",
    expect: bool = False,
    cut_after: int | None = None,
    version: str = "HTTP/1.1",
    tls: bool = True,
) -> Reply:
    """One request on a connection of its own, to the byte as given.

    With ``expect`` the body waits for 100 Continue; ``cut_after`` closes after so many bytes of it.
    """
    chunked = any(name.lower() == "transfer-encoding" for name, _ in headers)
    lengths = {"content-length"} if cut_after is None else set()
    headers = [(name, str(len(body)) if name.lower() in lengths else value) for name, value in headers]
    head = f"{method} {target} {version}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        if tls:
            connection = stack.enter_context(trust.wrap_socket(connection, server_hostname="localhost"))
        connection.sendall(head.encode())
        reader = stack.enter_context(connection.makefile("rb"))
        continued = False
        if expect:
            line = reader.readline()
            if not line.startswith(b"HTTP/1.1 100"):
                return _read(reader, method, line)
            while reader.readline().strip():
                pass
            continued = True
        payload = body if cut_after is None else body[:cut_after]
        if chunked:
            payload = b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
            payload += b"0\r\n\r\n" if cut_after is None else b""
        try:
            connection.sendall(payload)
            if cut_after is not None:
                hang_up(connection)
                return Reply(None)
            return _read(reader, method, reader.readline(), continued=continued)
        except (ConnectionError, ssl.SSLError, http.client.HTTPException):
            return Reply(None)


def hang_up(connection: socket.socket) -> None:
    """End a connection in the middle, after all that was sent has arrived."""
    connection.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


def _read(reader: Any, method: str, line: bytes, *, continued: bool = False) -> Reply:
    found = re.fullmatch(rb"HTTP/1\.[01] (\d{3}) ?(.*)\r\n", line)
    if found is None:
        return Reply(None)
    headers = []
    while text := reader.readline().decode("utf-8").rstrip("\r\n"):
        name, _, value = text.partition(":")
        headers.append((name, value.strip()))
    reply = Reply(int(found[1]), found[2].decode("latin-1"), headers, continued=continued)
    length = reply.header("content-length")
    if method == "HEAD" or reply.status in (204, 304):
        body = b""
    elif reply.header("transfer-encoding") == "chunked":
        body = b"".join(_chunks(reader))
    else:
        body = reader.read(int(length)) if length is not None else reader.read()
    return Reply(reply.status, reply.reason, headers, body, continued)


def _chunks(reader: Any) -> Iterator[bytes]:
    while size := int(reader.readline(), 16):
        yield reader.read(size)
        reader.readline()
    reader.readline()
