"""The platform's own manifest, read for an environment."""

from __future__ import annotations

import tempfile
from pathlib import Path

from faasctl import bundle, strict_yaml
from faasctl.build import Target, build_actions
from faasctl.deploy import manifest
from faasctl.deploy.model import Desired
from faasctl.deploy.session import Session
from faasctl.deploy.template import TEMPLATE, render
from faasctl.environment import Environment

PROJECT = "faas"
"""The project that owns the platform's entities, as the template names it."""


def session_of(environment: Environment) -> Session:
    """The way to the environment's platform namespace."""
    site = environment.openwhisk
    account = site.platform
    return Session(site.apihost, account.auth.reveal(), namespace=account.namespace, ca=site.ca)


def target_of(environment: Environment) -> Target:
    """What the environment's actions are built for."""
    return Target.here() if environment.openwhisk.runs_here else Target.of_kind(environment.openwhisk.kind)


def platform(environment: Environment) -> Desired:
    """The platform as this environment wants it: actions built, manifest rendered and read."""
    with tempfile.TemporaryDirectory(prefix="faasctl-") as folder:
        built = build_actions(bundle.action_folders(), target_of(environment), Path(folder))
        zips = {action.name: str(action.path) for action in built}
        rendered = render(environment, zips.__getitem__)
        return manifest.desired(
            strict_yaml.parse(rendered.text.encode(), TEMPLATE),
            namespace=environment.openwhisk.platform.namespace,
            base=Path(folder),
            variables=rendered.variables,
        )
