"""What every service of the platform does alike: its environment, its log, its end, and what it tells of itself."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from eventflow.errors import FaasError
from faasctl import environment, service_log
from faasctl.environment import Environment, Secret
from faasctl.environment.secret import secrets_in
from faasctl.exposition import Address
from faasctl.local import lifeline
from faasctl.service_log import Format

LOOPBACK = "127.0.0.1"

Command = TypeVar("Command", bound=Callable[..., Any])


class MissingSecret(FaasError):
    """A service has not been given a secret that it needs."""


class AddressType(click.ParamType[Address]):
    """``HOST:PORT``, ``[IPv6]:PORT``, or a port of the loopback address."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        host, colon, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not port.isascii() or not port.isdecimal() or int(port) > 65535 or bool(colon) != bool(host):
            self.fail(f"{value!r} is neither HOST:PORT nor a port", param, ctx)
        return Address(host or LOOPBACK, int(port))


def service_options(command: Command) -> Command:
    """Add ``--metrics`` and ``--log-format``, as every service has them."""

    @click.option(
        "--metrics",
        type=AddressType(),
        metavar="[HOST:]PORT",
        envvar="FAASCTL_METRICS",
        help="Show /metrics, /health/live and /health/ready there; of a port alone, to this machine only.",
    )
    @click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        envvar="FAASCTL_LOG_FORMAT",
        help="Lines for people, or one JSON object a line.",
    )
    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        return command(*args, **kwargs)

    return with_options  # type: ignore[return-value]


def begin(name: str | Path, *needed: str, log_format: Format) -> tuple[Environment, threading.Event]:
    """Start logging; the service's environment (see `service_environment`), and what SIGINT and SIGTERM set.

    A child of the local stack ends with its parent.
    """
    lifeline.watch()
    blot = service_log.start(log_format)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    env = service_environment(name, *needed)
    blot.hide(text for secret in secrets_in(env) if not (text := secret.reveal()).startswith("${"))
    return env, stop


@contextmanager
def followed(**follows: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run these in threads of their own until the block is over, which they are told by an event."""
    over = threading.Event()
    threads = [
        threading.Thread(target=follow, args=(over,), name=name, daemon=True) for name, follow in follows.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(5)


def service_environment(name: str | Path, *needed: str) -> Environment:
    """An environment of which a service has only the secrets it needs (``keys.feed``), so that it can lose no others.

    References that cannot be resolved stay as they are; raises `MissingSecret` for one that is needed.
    """
    env = environment.load(name, partial=True)
    for key in needed:
        secret = secret_of(env, key)
        if secret is not None and secret.reveal().startswith("${"):
            hint = "export the variable, or give the service the file, that the environment names"
            raise MissingSecret(
                f"{secret.reveal()} cannot be resolved", where=f"environment {env.name}: {key}", hint=hint
            )
    return env


def secret_of(env: Environment, key: str) -> Secret | None:
    """An environment's secret by its keys (``keys.feed``), None where it has none."""
    value: object = env
    for part in key.split("."):
        value = getattr(value, part, None)
    return value if isinstance(value, Secret) else None
