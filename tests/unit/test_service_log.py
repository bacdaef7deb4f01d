"""The log of a service: what it is about as fields, one line each, and no secret in any form."""

from __future__ import annotations

import base64
import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from pymacaroons import MACAROON_V1, MACAROON_V2, Macaroon

from faasctl import service_log
from faasctl.service_log import Blot, Format
from tests.unit.scrapes import outcome

KEY = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
PASSWORD = """it's "pass\\wörd"+/="""
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJmYWFzIiwiZXhwIjoxfQ.c2lnbmF0dXJlLW9mLXRoZS1pc3N1ZXI"

Printed = Callable[[], str]


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger("faasfeeds.kafka.feed")


@pytest.fixture(params=["text", "json"])
def form(request: pytest.FixtureRequest) -> Format:
    found: Format = request.param
    return found


@pytest.fixture
def printed(form: Format) -> Iterator[tuple[Blot, Printed]]:
    """A log of its own; what it printed."""
    root = logging.getLogger()
    before, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    blot = service_log.start(form)
    stream = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    try:
        yield blot, stream.getvalue
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        sys.excepthook, threading.excepthook = hooks


def macaroon(version: int) -> str:
    made = Macaroon(location="Optional.empty", identifier="id-of-a-test", key="k" * 32, version=version)
    made.add_first_party_caveat("path:/demo")
    made.add_first_party_caveat("activity:UPLOAD")
    return str(made.serialize())


@pytest.mark.parametrize("form", ["json"], indirect=True)
def test_a_line_is_an_object_that_names_what_it_is_about(printed: tuple[Blot, Printed], log: logging.Logger) -> None:
    one = outcome("dead-lettered", id="e-1", code="policy", why="its policy\nforbids it")
    log.warning("%s is a dead letter: %s", one.key, one.why, extra=one.about)
    log.info("feeding")
    first, second = (json.loads(line) for line in printed[1]().splitlines())
    time = first.pop("time")
    assert (len(time), time[-1], time[10]) == (24, "Z", "T")
    assert first == {
        "level": "warning",
        "logger": "faasfeeds.kafka.feed",
        "message": "e/demo.calibrate is a dead letter: its policy\nforbids it",
        "trigger": "/faas/storage-events",
        "event": "e-1",
        "function": "demo.calibrate",
        "topic": "billing",
        "code": "policy",
    }
    assert set(second) == {"time", "level", "logger", "message"}


@pytest.mark.parametrize("form", ["json"], indirect=True)
def test_a_traceback_is_a_field_of_its_line(printed: tuple[Blot, Printed], log: logging.Logger) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("it failed")
    (line,) = printed[1]().splitlines()
    assert json.loads(line)["error"].endswith("ValueError: broken")


@pytest.mark.parametrize("form", ["json"], indirect=True)
def test_what_nobody_caught_is_a_line_too(printed: tuple[Blot, Printed]) -> None:
    def broken() -> None:
        raise ValueError(f"cannot use {KEY}")

    thread = threading.Thread(target=broken, name="outcomes")
    thread.start()
    thread.join()
    (line,) = map(json.loads, printed[1]().splitlines())
    assert (line["level"], line["message"]) == ("critical", "thread outcomes ended by an error")
    assert line["error"].endswith("ValueError: cannot use [secret]")


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        KEY.partition(":")[2],
        base64.b64encode(KEY.encode()).decode(),
        PASSWORD,
        quote(PASSWORD, safe=""),
        json.dumps(PASSWORD)[1:-1],
        repr(PASSWORD)[1:-1],
        base64.b64encode(f"faas:{PASSWORD}".encode()).decode(),
    ],
)
def test_what_the_environment_holds_is_hidden_in_every_form(
    printed: tuple[Blot, Printed], log: logging.Logger, secret: str
) -> None:
    blot, read = printed
    blot.hide([KEY, PASSWORD, f"faas:{PASSWORD}", ""])
    _say(log, secret)
    _nowhere(read(), secret)


@pytest.mark.parametrize(
    "secret",
    [
        macaroon(MACAROON_V1),
        macaroon(MACAROON_V2),
        JWT,
        KEY,
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----",
    ],
    ids=["macaroon", "macaroon of version 2", "jwt", "key of OpenWhisk", "private key"],
)
def test_what_looks_like_a_secret_is_hidden_whoever_it_belongs_to(
    printed: tuple[Blot, Printed], log: logging.Logger, secret: str
) -> None:
    _say(log, secret)
    _nowhere(printed[1](), secret)


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_what_http_carries_is_hidden(printed: tuple[Blot, Printed], log: logging.Logger, scheme: str) -> None:
    log.warning("refused: %s", {"Authorization": f"{scheme} b3BhcXVlOnRva2Vu"})
    assert "b3BhcXVlOnRva2Vu" not in printed[1]()


def test_ordinary_lines_are_left_alone(printed: tuple[Blot, Printed], log: logging.Logger) -> None:
    blot, read = printed
    blot.hide(["abc"])
    text = (
        "job 12.0 of schedd bird (5f6f7a5e-4e0c-5a55-9d9e-0c2f0f7d1c11/demo.calibrate): completed abc"
        " sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 /demo/in/run/MDA_2026.csv"
    )
    log.info(text)
    assert text in read()


def _say(log: logging.Logger, secret: str) -> None:
    """In a message, in an argument, in a field, and in a traceback."""
    log.warning("refused with %s at once", secret, extra={"code": secret})
    try:
        raise RuntimeError(f"cannot use {secret}")
    except RuntimeError:
        log.exception("it failed: %s", [1, {"token": secret}] if "\\" not in secret else secret)


def _nowhere(printed: str, secret: str) -> None:
    body = secret.splitlines()[len(secret.splitlines()) // 2]
    assert printed.count("[secret]") >= 3
    for form in (secret, body, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert form not in printed


def test_what_is_hidden_is_what_was_told_last() -> None:
    blot = Blot()
    blot.hide(["first-secret"])
    blot.hide(["new-secret old-secret"])
    assert blot("first-secret, new-secret, old-secret") == "first-secret, [secret], [secret]"


def test_the_kafka_clients_own_lines_are_not_printed(printed: tuple[Blot, Printed]) -> None:
    logging.getLogger("kafka.conn").error("a line of the client's")
    assert printed[1]() == ""
