"""What every service of the platform does alike: its environment, its log, its end, and what systemd is told."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

from eventflow.errors import FaasError
from faasctl import environment
from faasctl.environment import Environment, Secret
from faasctl.local import lifeline


class MissingSecret(FaasError):
    """A service has not been given a secret that it needs."""


def service_environment(name: str | Path, *needed: str) -> Environment:
    """An environment of which a service has only the secrets it needs (``keys.feed``), so that it can lose no others.

    References that cannot be resolved stay as they are; raises `MissingSecret` for one that is needed.
    """
    env = environment.load(name, partial=True)
    for key in needed:
        value: object = env
        for part in key.split("."):
            value = getattr(value, part, None)
        if isinstance(value, Secret) and value.reveal().startswith("${"):
            hint = "export the variable, or give the service the file, that the environment names"
            raise MissingSecret(
                f"{value.reveal()} cannot be resolved", where=f"environment {env.name}: {key}", hint=hint
            )
    return env


def begin() -> threading.Event:
    """Start logging, and return what SIGINT and SIGTERM set; a child of the local stack ends with its parent."""
    lifeline.watch()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    client = logging.getLogger("kafka")  # what matters of it, the services say themselves
    client.setLevel(logging.WARNING)
    client.propagate = False
    client.addHandler(logging.NullHandler())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
