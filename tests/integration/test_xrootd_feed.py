"""A real XRootD announces its files, and whole ones only."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from faasctl.local.broker import API_VERSION
from faasctl.local.process import Service
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.xrootd.forwarder import Forwarder
from tests.parts.xrootd import XRootD, xrootd


@pytest.fixture(scope="module")
def server() -> Iterator[XRootD]:
    with xrootd() as running:
        yield running


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Service]:
    service = Service("broker", ("faasctl.local.broker",), tmp_path / "broker.log")
    yield service
    service.stop()


@contextmanager
def forwarding(server: XRootD, brokers: list[str]) -> Iterator[None]:
    """A forwarder at work."""
    cluster = Cluster(bootstrap_servers=tuple(brokers), api_version=API_VERSION)
    stop = threading.Event()
    forwarder = Forwarder(server.server.changes, server.data, "files", "xrootd:test", cluster.producer)
    thread = threading.Thread(target=forwarder.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def put(server: XRootD, path: str, content: bytes) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.verify, session.cert = str(server.ca), (str(server.certificate), str(server.key))
        session.put(server.url(path), data=content, timeout=20).raise_for_status()


def put_and_hang_up(server: XRootD, path: str) -> None:
    """Promise a megabyte, send half of it, and go."""
    context = ssl.create_default_context(cafile=str(server.ca))
    context.load_cert_chain(server.certificate, server.key)
    with (
        socket.create_connection(("127.0.0.1", server.server.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n".encode())
        connection.sendall(b"x" * (512 << 10))
        until = time.monotonic() + 20
        while not (server.data / path.lstrip("/")).exists():
            assert time.monotonic() < until
            time.sleep(0.01)


def announced(servers: list[str], count: int) -> list[dict[str, Any]]:
    consumer = Cluster(bootstrap_servers=tuple(servers), api_version=API_VERSION).consumer("test")
    consumer.subscribe(["files"])
    found: list[dict[str, Any]] = []
    until = time.monotonic() + 30
    try:
        while len(found) < count:
            assert time.monotonic() < until, found
            found += [json.loads(one.value) for many in consumer.poll(timeout_ms=200).values() for one in many]
    finally:
        consumer.close()
    return found


def test_whole_files_are_announced_and_cut_ones_are_not(server: XRootD, broker: Service) -> None:
    servers = list(broker.ready()["bootstrap_servers"])
    with forwarding(server, servers):
        put_and_hang_up(server, "/data/cut.csv")
        put(server, "/data/det 1+ü.csv", b"whole")
        put(server, "/data/last", b"")
    events = announced(servers, 2)
    assert sorted((event["subject"], event["data"]["size"]) for event in events) == [
        ("/data/det 1+ü.csv", 5),
        ("/data/last", 0),
    ]
    assert {event["type"] for event in events} == {"storage.written"}


def test_the_command_needs_a_topic_of_cloudevents_and_a_pipe(tmp_path: Path) -> None:
    from faasctl.commands.feed_xrootd import xrootd as command

    assert "ofs.notify closew rm" in (command.epilog or "")
    options = ["--changes", str(tmp_path / "nothing"), "--root", str(tmp_path), "--topic", "billing"]
    done = subprocess.run(
        [sys.executable, "-m", "faasctl", "feed", "xrootd", *options], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 64
    assert "nothing" in done.stderr
