"""Metrics and health over HTTP: what is asked for is answered, all else is refused, nothing ends in a traceback."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from faasctl import exposition, monitor
from faasctl.exposition import MOST_AT_ONCE, Address, CannotListen, exposed
from faasctl.monitor import Monitor
from faasctl.services import AddressType
from tests.parts.platform import wait
from tests.unit import scrapes

FREE = Address("127.0.0.1", 0)


@contextmanager
def shown(registry: CollectorRegistry | None = None, troubles: list[str] | None = None) -> Iterator[Address]:
    with exposed(FREE, registry or CollectorRegistry(), dead=list, unready=lambda: troubles or []) as place:
        yield place


def get(place: Address, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(place.host, place.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def answered(place: Address) -> bool:
    try:
        return get(place, "/health/live")[0] == 200
    except (http.client.HTTPException, OSError):
        return False


def _unfinished(place: Address) -> socket.socket:
    connection = socket.create_connection((place.host, place.port))
    connection.sendall(b"GET /metrics HTTP/1.0\r\nX-Slow: ")
    return connection


def test_metrics_and_health_are_answered_and_nothing_else() -> None:
    registry = CollectorRegistry()
    Counter("faas_tries", "Tries.", registry=registry).inc()
    troubles: list[str] = []
    with shown(registry, troubles) as place:
        code, text = get(place, "/metrics")
        assert (code, "faas_tries_total 1.0" in text) == (200, True)
        assert "# EOF" in get(place, "/metrics", Accept="application/openmetrics-text; version=1.0.0")[1]
        assert get(place, "/health/live") == get(place, "/health/ready?verbose") == (200, "ok\n")
        troubles += ["Kafka does not answer", "and more"]
        assert get(place, "/health/ready") == (503, "Kafka does not answer\nand more\n")
        assert get(place, "/health/live")[0] == 200
        assert [get(place, path)[0] for path in ("/", "/health", "/health/", "/metrics/x", "/../metrics")] == [404] * 5
        assert get(place, "/metrics", "POST")[0] == 501
        assert get(place, "/" + 70_000 * "x")[0] == 414


def test_more_requests_than_are_answered_at_once_are_refused() -> None:
    with shown() as place:
        slow = [_unfinished(place) for _ in range(MOST_AT_ONCE)]
        with pytest.raises((http.client.HTTPException, OSError)):
            get(place, "/health/live")
        for one in slow:
            one.close()
        wait(lambda: answered(place) or None, "room for another")


def test_a_request_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "LONGEST_S", 0.3)
    with shown() as place, _unfinished(place) as slow:
        slow.settimeout(30)
        assert slow.recv(1000) == b""


def test_a_scrape_at_the_end_is_answered_and_later_ones_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(Collector):
        begun, go_on = threading.Event(), threading.Event()

        def collect(self) -> Iterator[Metric]:
            self.begun.set()
            self.go_on.wait(10)
            yield Metric("faas_slow", "Slow.", "gauge")

    registry, slow, answers = CollectorRegistry(), Slow(), []
    registry.register(slow)
    with shown(registry) as place:
        slow.begun.clear()
        scrape = threading.Thread(target=lambda: answers.append(get(place, "/metrics")[0]))
        scrape.start()
        assert slow.begun.wait(10)
        threading.Timer(0.1, slow.go_on.set).start()
    scrape.join(10)
    assert answers == [200]
    with pytest.raises(ConnectionRefusedError):
        get(place, "/metrics")
    assert caplog.records == []


def test_a_client_that_goes_away_leaves_no_trace_and_a_bug_one_line(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken(Collector):
        def collect(self) -> Iterator[Metric]:
            raise KeyError("a bug")
            yield

    registry = CollectorRegistry()
    Counter("faas_many", "Many.", ("number",), registry=registry)
    with shown(registry) as place:
        for sent in (b"", b"\x16\x03\x01\x00garbage\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"):
            with socket.create_connection((place.host, place.port)) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset instead of an end
                one.sendall(sent)
        assert get(place, "/health/live")[0] == 200
        assert caplog.records == []
        registry.register(Broken())
        with pytest.raises((http.client.HTTPException, OSError)):
            get(place, "/metrics")
    assert [record.getMessage() for record in caplog.records] == ["a request for metrics failed: KeyError: 'a bug'"]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_an_address_that_is_taken_is_said_so() -> None:
    with shown() as place:
        again = exposed(place, CollectorRegistry(), dead=list, unready=list)
        with pytest.raises(CannotListen, match=rf"--metrics 127\.0\.0\.1:{place.port}: cannot listen"):
            again.__enter__()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9400", Address("127.0.0.1", 9400)),
        ("0.0.0.0:9400", Address("0.0.0.0", 9400)),
        ("[::1]:9400", Address("::1", 9400)),
        ("feed.example.org:0", Address("feed.example.org", 0)),
        ("", None),
        (":9400", None),
        ("host:", None),
        ("host:99999", None),
        ("host:http", None),
    ],
)
def test_addresses(text: str, address: Address | None) -> None:
    if address is None:
        with pytest.raises(click.BadParameter, match="neither HOST:PORT nor a port"):
            AddressType().convert(text, None, None)
    else:
        assert AddressType().convert(text, None, None) == address


def test_a_service_is_dead_when_its_loop_does_not_turn_and_not_ready_when_it_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = threading.Event()
    service = Monitor("feed kafka", scrapes.env(), stop)
    needs = ["Kafka does not answer"]
    service.needs(lambda: needs)
    with service.told(FREE, "feeding"):
        told = json.loads(capsys.readouterr().out)
        place = Address("127.0.0.1", int(told["metrics"].rpartition(":")[2]))
        assert get(place, "/health/ready") == (503, "Kafka does not answer\n")
        assert get(place, "/health/live") == (200, "ok\n")
        needs.clear()
        assert get(place, "/health/ready")[0] == 200
        monkeypatch.setattr(monitor, "LIVE_S", 0.2)
        wait(lambda: get(place, "/health/live")[0] == 503 or None, "a service that hangs to be dead")
        assert "the loop has not turned for" in get(place, "/health/live")[1]
        monkeypatch.setattr(monitor, "LIVE_S", 60)
        service.beat()
        assert get(place, "/health/live")[0] == 200
        stop.set()
        assert get(place, "/health/ready") == (503, "it was told to end\n")
        assert get(place, "/health/live")[0] == 200


def test_without_an_address_nothing_listens(capsys: pytest.CaptureFixture[str]) -> None:
    threads = threading.active_count()
    with Monitor("feed kafka", scrapes.env(), threading.Event()).told(None, "feeding"):
        assert json.loads(capsys.readouterr().out) == {"ready": True}
        assert threading.active_count() == threads
    assert logging.getLogger("faasctl").handlers == []
