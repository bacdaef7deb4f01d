"""Metrics and health of a service over HTTP: a few small GET requests at a time, and nothing else."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from socketserver import ThreadingTCPServer
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, MetricsHandler

from eventflow.errors import FaasError

log = logging.getLogger(__name__)

MOST_AT_ONCE = 8
"""Requests that are answered at once; the connections of others are closed."""

LONGEST_S = 10.0
"""Seconds after which a request is cut off, whatever it waits for."""

ENDING_S = 2.0
"""Seconds that requests under way have at the end."""

Report = Callable[[], Sequence[str]]
"""What is the matter, a phrase each; nothing when all is well."""


class CannotListen(FaasError):
    """The address is taken, or none of this machine's."""


class Address(msgspec.Struct, frozen=True):
    """Where to listen; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@contextmanager
def exposed(address: Address, registry: CollectorRegistry, *, dead: Report, unready: Report) -> Iterator[Address]:
    """Answer ``/metrics``, ``/health/live`` and ``/health/ready`` (200, or 503 with what is the matter); where that is.

    Raises `CannotListen`. At the end what is being answered is answered, and then connections are refused.
    """
    handler = type(
        "_Bound", (_Handler,), {"registry": registry, "reports": {"/health/live": dead, "/health/ready": unready}}
    )
    try:
        server = _Server(address, handler)
    except OSError as error:
        raise CannotListen(f"cannot listen: {error.strerror}", where=f"--metrics {address}") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
    thread.start()
    try:
        yield Address(address.host, server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.answer_those_who_knocked()
        server.server_close()
        server.wait(ENDING_S)


class _Handler(MetricsHandler):
    """One request and its answer; the connection is closed after it."""

    timeout = LONGEST_S
    server_version = "faasctl"
    sys_version = ""
    reports: dict[str, Report]

    def do_GET(self) -> None:  # noqa: N802  http.server's name
        """Answer."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            super().do_GET()
        elif (report := self.reports.get(path)) is not None:
            troubles = report()
            self._text(503 if troubles else 200, "\n".join(troubles) or "ok")
        else:
            self._text(404, "there is /metrics, /health/live and /health/ready")

    def _text(self, code: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 2 * MOST_AT_ONCE

    def __init__(self, address: Address, handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._slots = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__((address.host, address.port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        cut = threading.Timer(LONGEST_S, _cut_off, (request,))
        cut.daemon = True
        cut.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            cut.cancel()
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a client that went away is nothing to tell of
            log.error("a request for metrics failed: %s: %s", type(error).__name__, error)

    def answer_those_who_knocked(self) -> None:
        """Answer whose connection was made before the end."""
        self.timeout = 0
        for _ in range(self.request_queue_size):
            self.handle_request()

    def wait(self, seconds: float) -> None:
        """Wait until no request is being answered, for so long at most."""
        end = time.monotonic() + seconds
        for _ in range(MOST_AT_ONCE):
            self._slots.acquire(timeout=max(0.0, end - time.monotonic()))


def _cut_off(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
