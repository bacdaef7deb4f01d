"""The options that choose what `plan`, `deploy` and `undeploy` are about."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from eventflow.errors import UsageError
from faasctl import environment
from faasctl.deploy import sources, wskprops
from faasctl.deploy.model import Desired
from faasctl.deploy.plan import Plan, make_plan
from faasctl.deploy.remote import read_state
from faasctl.deploy.session import Session
from faasctl.environment import find
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
        session, env = self._session()
        return self._own(session) or sources.platform(env or self._load()), session

    def open_for_removal(self) -> tuple[Desired, Session]:
        """The same, without building what would only be deleted."""
        session, _ = self._session()
        nothing = Desired(project=sources.PROJECT, namespace=session.namespace, entities=())
        return self._own(session) or nothing, session

    def _session(self) -> tuple[Session, environment.Environment | None]:
        if self._manifest and not self._environment and wskprops.path_of().is_file():
            return wskprops.session_from(wskprops.path_of()), None
        env = self._load()
        return sources.session_of(env), env

    def _load(self) -> environment.Environment:
        return environment.load(self._environment or find.LOCAL)

    def _own(self, session: Session) -> Desired | None:
        """What the user's own manifest wants, when there is one."""
        if self._manifest is None:
            return None
        return sources.from_file(self._manifest, session.namespace, deployment=self._deployment)


def options(command: Command) -> Command:
    """Add ``--env``, ``--env-file``, ``--manifest`` and ``--deployment``; the command gets them as ``chosen``."""

    @env_names
    @click.option(
        "--manifest",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A wskdeploy manifest of your own instead of the platform's. Without --env, .wskprops says where to.",
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


def planned(desired: Desired, session: Session) -> Plan:
    """Read what is there and plan; nothing is written."""
    return make_plan(desired, read_state(session, desired), apihost=session.apihost, auth=session.auth)
