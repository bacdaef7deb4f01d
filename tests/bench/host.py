"""The local OpenWhisk host: a warm invocation against a bare uvicorn's JSON answer, and a cold start."""

from __future__ import annotations

import base64
import json
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

from eventflow.clients.openwhisk import OpenWhisk
from tests.bench.result import Result, against, median_ms
from tests.parts import openwhisk

BARE = """
import json, socket, uvicorn, uvloop

async def app(scope, receive, send):
    await receive()
    body = json.dumps({"x": 1}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
config = uvicorn.Config(app, http="httptools", lifespan="off", log_level="warning", access_log=False)
uvloop.run(uvicorn.Server(config).serve(sockets=[listening]))
"""
TRIVIAL = "def main(args):\n    return {'x': 1}\n"
ROUNDS, CALLS, COLD = 5, 500, 15
REAL_COLD_MS = 250.0
"""A cold start of a python action on a real controller."""


def measure() -> dict[str, Result]:
    """``host.warm_vs_bare`` and ``host.cold_ms``; both clients are the same bare socket, so that none is measured."""
    with bare() as other, openwhisk.running("--kinds", "python:3.11") as host:
        client = OpenWhisk(host.apihost, host.auths["guest"], namespace="guest")
        for number in range(COLD):
            client.put("actions", f"a{number}", {"exec": {"kind": "python:3.11", "code": TRIVIAL}})
        port = int(host.apihost.rpartition(":")[2])
        requests = [invocation(f"a{number}", host.auths["guest"]) for number in range(COLD)]
        with closing(socket.create_connection(("127.0.0.1", port))) as ours:
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            cold = [median_ms(partial(ask, ours, request), 1) for request in requests]
            with closing(socket.create_connection(("127.0.0.1", other))) as theirs:
                theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                warm_one, bare_one = partial(ask, ours, requests[0]), partial(ask, theirs, requests[0])
                pairs = [(median_ms(warm_one, CALLS), median_ms(bare_one, CALLS)) for _ in range(ROUNDS)]
    warm, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "host.warm_vs_bare": against(warm, "ms", plain),
        "host.cold_ms": against(statistics.median(cold), "ms", REAL_COLD_MS),
    }


@contextmanager
def bare() -> Iterator[int]:
    """The port of a uvicorn that answers a constant."""
    with subprocess.Popen([sys.executable, "-c", BARE], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def invocation(action: str, auth: str) -> bytes:
    """A blocking invocation that asks for the result alone, as bytes."""
    credentials = base64.b64encode(auth.encode()).decode()
    head = (
        f"POST /api/v1/namespaces/_/actions/{action}?blocking=true&result=true HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Basic {credentials}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    )
    return head.encode() + b"{}"


def ask(connection: socket.socket, request: bytes) -> None:
    """Send a request and read its answer to the end."""
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        body += connection.recv(65536)
    assert json.loads(body) == {"x": 1}, body
