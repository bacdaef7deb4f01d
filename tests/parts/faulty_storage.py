"""A WebDAV storage in this process that does what a test tells it to: cut, refuse, corrupt, redirect.

It shows what a storage *can* do to a job; how dCache and XRootD behave is told by the tests against them.
"""

from __future__ import annotations

import socketserver
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

import trustme

TOKEN = "MDAx-the-token-of-this-test"


@dataclass
class Seen:
    """One request as it arrived; ``at`` is ``door`` or ``pool``."""

    at: str
    method: str
    path: str
    headers: dict[str, str]


Fault = Callable[["Handler", Seen], bool]
"""Looks at a request before it is served; True when it has answered (or cut) it itself."""


@dataclass
class FaultyStorage:
    """Two TLS servers, a door and a pool, over one dict of files; ``faults`` are asked first, in order."""

    ca: str
    url: str = ""
    pool_url: str = ""
    redirect: bool = True
    digests: bool = True
    overwrite: bool = True
    locality: str = "ONLINE"
    files: dict[str, bytes] = field(default_factory=dict)
    pnfsids: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def requests(self, method: str, at: str = "door") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and seen.at == at]

    def fail(self, times: int, method: str, status: int, at: str = "door", **headers: str) -> None:
        """Answer the next ``times`` requests of a method with a status."""
        left = [times]

        def fault(handler: Handler, seen: Seen) -> bool:
            if seen.method != method or seen.at != at or left[0] == 0:
                return False
            left[0] -= 1
            handler.answer(status, {name.replace("_", "-"): value for name, value in headers.items()})
            return True

        self.faults.append(fault)


class Handler(BaseHTTPRequestHandler):
    """Serves the storage that its server belongs to."""

    protocol_version = "HTTP/1.1"
    server: Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.close_connection = True
        storage, path = self.server.storage, unquote(urlsplit(self.path).path)
        seen = Seen(self.server.role, self.command, path, {k.lower(): v for k, v in self.headers.items()})
        storage.seen.append(seen)
        if any(fault(self, seen) for fault in storage.faults):
            return
        if self.server.role == "door" and seen.headers.get("authorization") != f"Bearer {TOKEN}":
            self.answer(401)
            return
        getattr(self, "serve_" + self.command.lower())(storage, path)

    def handle_expect_100(self) -> bool:
        return True  # `serve_put` decides, after a redirect had its chance

    def serve_propfind(self, storage: FaultyStorage, path: str) -> None:
        self.body()
        if path not in storage.files:
            self.answer(404)
            return
        content = storage.files[path]
        text = (
            '<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:n="http://www.dcache.org/2013/webdav"'
            ' xmlns:s="http://srm.lbl.gov/StorageResourceManager"><d:response><d:propstat><d:prop>'
            f"<d:getcontentlength>{len(content)}</d:getcontentlength>"
            f'<d:getetag>"{storage.pnfsids.get(path, "0" * 36)}_-17"</d:getetag>'
            f"<s:FileLocality>{storage.locality}</s:FileLocality>"
            + (f"<n:Checksums>adler32={zlib.adler32(content):08x}</n:Checksums>" if storage.digests else "")
            + "</d:prop></d:propstat></d:response></d:multistatus>"
        )
        self.answer(207, body=text.encode())

    def serve_head(self, storage: FaultyStorage, path: str) -> None:
        if path not in storage.files:
            self.answer(404)
            return
        self.answer(200, self.facts(storage, path) | {"Content-Length": str(len(storage.files[path]))})

    def serve_get(self, storage: FaultyStorage, path: str) -> None:
        if path not in storage.files:
            self.answer(404)
        elif self.server.role == "door" and storage.redirect:
            self.answer(302, {"Location": storage.pool_url + self.path + "?uuid=capability"})
        else:
            content = storage.files[path]
            start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            extra = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
            self.answer(206 if start else 200, self.facts(storage, path) | extra, content[start:])

    def serve_put(self, storage: FaultyStorage, path: str) -> None:
        if path in storage.files and not storage.overwrite:
            self.answer(409)
            return
        if self.server.role == "door" and storage.redirect:
            self.answer(307, {"Location": storage.pool_url + self.path + "?uuid=capability"})
            return
        if "Content-Type" in self.headers:
            self.answer(501)
            return
        if self.headers.get("Expect"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        storage.files[path] = self.body()
        self.answer(201, self.facts(storage, path))

    def serve_delete(self, storage: FaultyStorage, path: str) -> None:
        self.answer(204 if storage.files.pop(path, None) is not None else 404)

    def facts(self, storage: FaultyStorage, path: str) -> dict[str, str]:
        if not storage.digests or "Want-Digest" not in self.headers:
            return {}
        return {"Digest": f"adler32={zlib.adler32(storage.files[path]):08x}"}

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body)), "Connection": "close"} | (headers or {})).items():
            self.send_header(name, value.encode().decode("latin-1"))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(socketserver.ThreadingTCPServer):
    """One of the two: ``role`` is ``door`` or ``pool``."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, storage: FaultyStorage, role: str, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.storage = storage
        self.role = role
        self.context = context

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up is part of the game


@contextmanager
def faulty_storage() -> Iterator[FaultyStorage]:
    """A storage of its own CA on free ports."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    storage = FaultyStorage(ca=authority.cert_pem.bytes().decode())
    servers = [Server(storage, role, context) for role in ("door", "pool")]
    storage.url, storage.pool_url = (f"https://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield storage
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
