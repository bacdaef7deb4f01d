"""The platform's own manifest, read for an environment."""

from __future__ import annotations

from faasctl import bundle, strict_yaml
from faasctl.build import Target, build_actions
from faasctl.deploy import manifest
from faasctl.deploy.model import Desired
from faasctl.deploy.session import Session
from faasctl.deploy.template import TEMPLATE, render
from faasctl.environment import Environment
from faasctl.environment.find import xdg

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
    folder = xdg("XDG_CACHE_HOME", ".cache") / "actions" / environment.name
    built = {
        action.name: action.path for action in build_actions(bundle.action_folders(), target_of(environment), folder)
    }
    rendered = render(environment, lambda name: str(built[name]))
    document = strict_yaml.parse(rendered.text.encode(), TEMPLATE)
    namespace = environment.openwhisk.platform.namespace
    return manifest.desired(document, namespace=namespace, base=folder, variables=rendered.variables)
