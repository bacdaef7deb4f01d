"""A door of the storage with accounts of its own, where the platform asks for its tokens: it keeps who came with which
password, and hands everything on to the storage as the storage's own user."""

from __future__ import annotations

import base64
import hmac
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests


@dataclass
class MintDoor:
    """``accepted`` are the passwords that are good now; ``used`` those that requests came with, in their order."""

    accepted: set[str]
    url: str = ""
    used: list[str] = field(default_factory=list)
    refused: int = 0

    def count(self, password: str) -> int:
        """How many requests came with a password."""
        return self.used.count(password)


@contextmanager
def running(behind: str, user: tuple[str, str], certificate: Path, ca: Path, *accepted: str) -> Iterator[MintDoor]:
    """A door in front of the storage at the URL ``behind``, with the storage's own certificate."""
    door = MintDoor(set(accepted))
    session = requests.Session()
    session.trust_env = False
    session.verify = str(ca)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_MKCOL(self) -> None:
            self._handle()

        def do_POST(self) -> None:
            self._handle()

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            decoded = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic "))
            password = decoded.decode().partition(":")[2]
            door.used.append(password)
            if not any(hmac.compare_digest(password, one) for one in door.accepted):
                door.refused += 1
                self._answer(401, b"", "text/plain")
                return
            headers = {name: value for name, value in self.headers.items() if name in ("Content-Type", "Accept")}
            answer = session.request(self.command, behind + self.path, data=body, headers=headers, auth=user)
            self._answer(answer.status_code, answer.content, answer.headers.get("Content-Type", "text/plain"))

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Tests say what they find."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    door.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="mint door")
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
