"""Options that many commands share."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from eventflow.errors import UsageError
from faasctl import environment
from faasctl.environment import find

Command = TypeVar("Command", bound=Callable[..., Any])


class Since(click.ParamType[float]):
    """A point in time as unix seconds: how long ago (``90s``, ``2h``, ``7d``), or RFC 3339."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if found := re.fullmatch(r"([0-9]{1,9})([smhd])", value):
            return time.time() - int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
        try:
            return datetime.fromisoformat(value).astimezone().timestamp()
        except ValueError:
            self.fail(f"{value!r} is neither a duration such as 2h nor a time such as 2026-11-21T10:00:00Z", param, ctx)


output = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="FAASCTL_OUTPUT",
    help="How data is printed.",
)


def env_names(command: Command) -> Command:
    """Add ``--env NAME`` and ``--env-file FILE``; the command gets the one given as ``environment_name``."""

    @click.option("--env", metavar="NAME", envvar="FAASCTL_ENV", help="The environment, by name.  [default: local]")
    @click.option(
        "--env-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="FAASCTL_ENV_FILE",
        help="The environment, by file.",
    )
    @functools.wraps(command)
    def with_name(*args: Any, env: str | None, env_file: Path | None, **kwargs: Any) -> Any:
        given = click.get_current_context().get_parameter_source("env")
        if env_file and given is click.core.ParameterSource.COMMANDLINE:
            raise UsageError("--env and --env-file name two environments", hint="give one of them")
        return command(*args, environment_name=env_file or env, **kwargs)

    return with_name  # type: ignore[return-value]


def env_options(command: Command) -> Command:
    """The same, with ``local`` when nothing is named."""

    @env_names
    @functools.wraps(command)
    def with_default(*args: Any, environment_name: str | Path | None, **kwargs: Any) -> Any:
        return command(*args, environment_name=environment_name or find.LOCAL, **kwargs)

    return with_default  # type: ignore[return-value]


def env_option(command: Command) -> Command:
    """The same, loaded: the command gets the `environment.Environment` as ``env``."""

    @env_options
    @functools.wraps(command)
    def with_loaded(*args: Any, environment_name: str | Path, **kwargs: Any) -> Any:
        return command(*args, env=environment.load(environment_name), **kwargs)

    return with_loaded  # type: ignore[return-value]
