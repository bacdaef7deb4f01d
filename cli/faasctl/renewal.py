"""A service lives for months and its secrets do not: when one of them has changed, the service starts again with it.

It ends what it has begun, as if it had been told to end, and then takes its own place: the same process, a new program.
So nothing goes on with what was read before, not even the HTCondor bindings, which keep one identity for as long as
their process lives.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from eventflow.errors import FaasError
from faasctl.environment import Environment
from faasctl.services import secret_of, service_environment

log = logging.getLogger(__name__)

LOOK_S = 3.0
"""Seconds between two looks at the environment's files."""


def start_again() -> None:
    """Run the program of this process anew, with the arguments that it was started with; does not return."""
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no shell, and nobody else's input


@contextmanager
def renewed(
    name: str | Path,
    needed: Sequence[str],
    env: Environment,
    stop: threading.Event,
    *,
    start: Callable[[], None] = start_again,
    every_s: float = LOOK_S,
) -> Iterator[None]:
    """Around a service's work: ``stop`` is set once a ``needed`` secret of the environment is another than in ``env``,
    and after the block the service starts again, unless it was told to end meanwhile.

    An environment that cannot be read, as while its files are replaced, is no reason to end.
    """
    told_to_end = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        told_to_end.set()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    changed: list[str] = []

    def look() -> None:
        while not stop.wait(every_s):
            changed.extend(_changed(name, needed, env))
            if changed:
                log.info("starting again: %s changed", ", ".join(changed))
                stop.set()

    thread = threading.Thread(target=look, name="secrets", daemon=True)
    thread.start()
    yield
    thread.join()
    if changed and not told_to_end.is_set():
        start()


def _changed(name: str | Path, needed: Sequence[str], env: Environment) -> list[str]:
    try:
        now = service_environment(name, *needed)
    except (FaasError, OSError):
        return []
    return [key for key in needed if secret_of(now, key) != secret_of(env, key)]
