"""The options that choose what `plan`, `deploy` and `undeploy` are about."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from eventflow.errors import UsageError
from faasctl import environment, strict_yaml
from faasctl.deploy import sources, wskprops
from faasctl.deploy.manifest import address, desired
from faasctl.deploy.model import Desired
from faasctl.deploy.plan import Plan, make_plan
from faasctl.deploy.remote import read_state
from faasctl.deploy.session import Session
from faasctl.environment import find
from faasctl.environment.concerns import concerns
from faasctl.options import env_names

Command = TypeVar("Command", bound=Callable[..., Any])


class Chosen:
    """What to deploy and where to, made from the options only when it is asked for."""

    def __init__(self, environment_name: str | Path | None, manifest: Path | None, deployment: Path | None) -> None:
        if deployment and not manifest:
            raise UsageError("--deployment goes with --manifest")
        self._environment = environment_name
        self._manifest = manifest
        self._deployment = deployment

    def open(self) -> tuple[Desired, Session]:
        """The wanted entities and the way to their namespace; the platform's actions are built for it."""
        if self._manifest is not None:
            return self._own(self._manifest)
        env = self._load()
        for line in concerns(env.storages, time.time()):
            click.echo(f"{click.style('warning:', fg='yellow')} {line}", err=True)
        with _telling("building the actions"):
            return sources.platform(env), sources.session_of(env)

    def open_for_removal(self) -> tuple[Desired, Session]:
        """The same, without building what would only be deleted."""
        if self._manifest is not None:
            return self._own(self._manifest)
        session = sources.session_of(self._load())
        return Desired(project=sources.PROJECT, namespace=session.namespace, entities=()), session

    def _load(self) -> environment.Environment:
        return environment.load(self._environment or find.LOCAL)

    def _own(self, path: Path) -> tuple[Desired, Session]:
        """What the user's own manifest wants. As with wskdeploy, an environment that is named on the command line goes
        before the manifest's own host and key, and those go before `.wskprops`."""
        document = strict_yaml.read(path)
        props = wskprops.path_of()
        properties = {**wskprops.read(props), **address(document, os.environ)}
        if self._environment or "APIHOST" not in properties:
            session = sources.session_of(self._load())
        else:
            session = wskprops.session(properties, where=str(props))
        deployment = strict_yaml.read(self._deployment) if self._deployment else None
        wanted = desired(
            document, namespace=session.namespace, base=path.parent, variables=os.environ, deployment=deployment
        )
        return wanted, session


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Say on a terminal what takes a while: the first build fetches the actions' requirements."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        yield


def options(command: Command) -> Command:
    """Add ``--env``, ``--env-file``, ``--manifest`` and ``--deployment``; the command gets them as ``chosen``."""

    @env_names
    @click.option(
        "--manifest",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A wskdeploy manifest of your own, not the platform's; without --env it or .wskprops says where to.",
    )
    @click.option(
        "--deployment",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A wskdeploy deployment file: inputs and annotations that go before the manifest's.",
    )
    @functools.wraps(command)
    def with_choice(
        *args: Any,
        environment_name: str | Path | None,
        manifest: Path | None,
        deployment: Path | None,
        **kwargs: Any,
    ) -> Any:
        return command(*args, chosen=Chosen(environment_name, manifest, deployment), **kwargs)

    return with_choice  # type: ignore[return-value]


def planned(wanted: Desired, session: Session) -> Plan:
    """Read what is there and plan; nothing is written."""
    return make_plan(wanted, read_state(session, wanted), apihost=session.apihost, auth=session.auth)
