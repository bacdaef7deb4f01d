"""A service whose secrets changed starts again with the new ones."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from faasctl import bundle
from faasctl.environment import Environment
from faasctl.renewal import renewed
from faasctl.services import service_environment

NEEDED = ("keys.feed", "kafka.security.password")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An environment with its feed's key in a file."""
    example = (bundle.manifests() / "environments" / "local.yaml").read_text()
    (tmp_path / "feed-key").write_text("first\n")
    made = tmp_path / "environment.yaml"
    made.write_text(example.replace("${env:FAAS_FEED_KEY}", "${file:feed-key}"))
    return made


def serve(file: Path, env: Environment, stop: threading.Event, starts: list[str], work: Callable[[], object]) -> None:
    """A service that works until it is stopped, and notes what it starts again with."""

    def start() -> None:
        starts.append(service_environment(file, *NEEDED).keys.feed.reveal())

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with renewed(file, NEEDED, env, stop, start=start, every_s=0.01):
            work()
            assert stop.wait(30)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


def test_a_changed_file_starts_the_service_again(file: Path) -> None:
    starts: list[str] = []
    env = service_environment(file, *NEEDED)
    serve(file, env, threading.Event(), starts, lambda: file.with_name("feed-key").write_text("second first\n"))
    assert starts == ["second first"]


def test_what_cannot_be_read_and_what_is_not_needed_ends_nothing(file: Path) -> None:
    """Given a file that is away for a moment and others that change, then the service goes on with what it has."""
    starts: list[str] = []
    stop, key = threading.Event(), file.with_name("feed-key")

    def work() -> None:
        key.unlink()
        file.write_text(file.read_text().replace("faas.registrations", "other.registrations"))
        assert not stop.wait(0.3)
        key.write_text("first\n")
        os.kill(os.getpid(), signal.SIGTERM)

    serve(file, service_environment(file, *NEEDED), stop, starts, work)
    assert starts == []


def test_a_service_that_is_told_to_end_while_it_starts_again_ends(file: Path) -> None:
    starts: list[str] = []
    stop = threading.Event()

    def work() -> None:
        file.with_name("feed-key").write_text("second\n")
        assert stop.wait(30)
        os.kill(os.getpid(), signal.SIGTERM)

    serve(file, service_environment(file, *NEEDED), stop, starts, work)
    assert starts == []
