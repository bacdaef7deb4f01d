"""Options that say which making each part of a local stack has."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from faasctl.local import htcondor
from faasctl.local.parts import Choice

Command = TypeVar("Command", bound=Callable[..., Any])


def choice_options(command: Command) -> Command:
    """Add ``--kafka``, ``--storage`` and ``--pool``; the command gets a `Choice` as ``choice``."""

    @click.option(
        "--kafka",
        type=click.Choice(["mock", "apache"]),
        default="mock",
        show_default=True,
        help="A stand-in that forgets, or Apache Kafka (on the PATH, or in $FAASCTL_KAFKA).",
    )
    @click.option(
        "--storage",
        type=click.Choice(["dcache", "xrootd"]),
        default="dcache",
        show_default=True,
        help="A stand-in for dCache, or XRootD (on the PATH, or in $FAASCTL_XROOTD).",
    )
    @click.option(
        "--pool",
        type=click.Choice(["process", "htcondor"]),
        help="Processes, or HTCondor (on the PATH, or in $FAASCTL_CONDOR).  "
        "[default: htcondor where condor_master is on the PATH, else process]",
    )
    @functools.wraps(command)
    def with_choice(*args: Any, kafka: Any, storage: Any, pool: Any, **kwargs: Any) -> Any:
        pool = pool or ("htcondor" if htcondor.on_path() else "process")
        return command(*args, choice=Choice(kafka=kafka, storage=storage, pool=pool), **kwargs)

    return with_choice  # type: ignore[return-value]
