"""Options that many commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from eventflow.errors import UsageError
from faasctl import environment

Command = TypeVar("Command", bound=Callable[..., Any])

output = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="FAASCTL_OUTPUT",
    help="How data is printed.",
)


def chosen(env: str | None, env_file: Path | None) -> str | Path:
    """The environment that the options name: a name, or a file; ``local`` when they name none."""
    if env and env_file and click.get_current_context().get_parameter_source("env") is not None:
        source = click.get_current_context().get_parameter_source("env")
        if source is click.core.ParameterSource.COMMANDLINE:
            raise UsageError("--env and --env-file name two environments", hint="give one of them")
    return env_file or env or "local"


def env_options(command: Command) -> Command:
    """Add ``--env NAME`` and ``--env-file FILE``; the command gets them as one argument, ``environment_name``."""

    @click.option("--env", metavar="NAME", envvar="FAASCTL_ENV", help="The environment, by name.  [default: local]")
    @click.option(
        "--env-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="FAASCTL_ENV_FILE",
        help="The environment, by file.",
    )
    @functools.wraps(command)
    def with_environment(*args: Any, env: str | None, env_file: Path | None, **kwargs: Any) -> Any:
        return command(*args, environment_name=chosen(env, env_file), **kwargs)

    return with_environment  # type: ignore[return-value]


def env_option(command: Command) -> Command:
    """The same, loaded: the command gets the `environment.Environment` as ``env``."""

    @env_options
    @functools.wraps(command)
    def with_loaded(*args: Any, environment_name: str | Path, **kwargs: Any) -> Any:
        return command(*args, env=environment.load(environment_name), **kwargs)

    return with_loaded  # type: ignore[return-value]
