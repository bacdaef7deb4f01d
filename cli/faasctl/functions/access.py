"""The way to the registry: its address and a credential, from an environment or from a CI job's variables.

A CI job has `FAASCTL_REGISTRY` and `FAASCTL_ID_TOKEN` and no environment file; whoever has an environment file needs
its administrator's key and none of its other secrets, which are therefore left unresolved.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from eventflow.errors import UsageError
from faasctl import environment
from faasctl.environment import Environment
from faasctl.functions.client import Registry
from faasctl.options import env_options

ACTION = "faas/registry"
ID_TOKEN = "FAASCTL_ID_TOKEN"  # noqa: S105
ADMIN_KEY = "FAASCTL_REGISTRY_KEY"

Command = TypeVar("Command", bound=Callable[..., Any])


def registry_address(command: Command) -> Command:
    """Add ``--registry``, ``--env`` and ``--env-file``; the command gets ``url`` and ``environment_name``."""
    option = click.option(
        "--registry",
        "url",
        metavar="URL",
        envvar="FAASCTL_REGISTRY",
        help="The registry's address.  [default: the environment's]",
    )
    return option(env_options(command))


def registry_option(command: Command) -> Command:
    """Add the same; the command gets the `Registry` as ``registry``."""

    @registry_address
    @functools.wraps(command)
    def with_registry(*args: Any, url: str | None, environment_name: str | Path, **kwargs: Any) -> Any:
        return command(*args, registry=connect(url, environment_name), **kwargs)

    return with_registry  # type: ignore[return-value]


def connect(url: str | None, environment_name: str | Path, process: Mapping[str, str] = os.environ) -> Registry:
    """The registry at ``url``, else the environment's; raises `UsageError` when there is no credential."""
    if url is None:
        return of_environment(environment.load(environment_name, process=process, partial=True), process)
    return _registry(url, None, process.get("SSL_CERT_FILE") or process.get("REQUESTS_CA_BUNDLE"), process)


def of_environment(env: Environment, process: Mapping[str, str] = os.environ) -> Registry:
    """The environment's registry, by default as its administrator; raises `UsageError` without a credential."""
    key = env.registry.admin_key
    own = None if key is None or key.reveal().startswith("${") else key.reveal()
    ca = env.openwhisk.ca or process.get("SSL_CERT_FILE") or process.get("REQUESTS_CA_BUNDLE")
    return _registry(address(env), own, ca, process)


def _registry(url: str, own: str | None, ca: str | None, process: Mapping[str, str]) -> Registry:
    credential = process.get(ID_TOKEN) or process.get(ADMIN_KEY) or own
    if not credential:
        raise UsageError(
            "there is no credential for the registry",
            where=url,
            hint=f"in GitLab CI: id_tokens as {ID_TOKEN}; elsewhere: the administrator's key as {ADMIN_KEY}",
        )
    return Registry(url, credential, ca=ca)


def address(env: Environment) -> str:
    """Where the environment's platform has its registry."""
    site = env.openwhisk
    host = site.apihost if "://" in site.apihost else f"https://{site.apihost}"
    return f"{host.rstrip('/')}/api/v1/web/{site.platform.namespace}/{ACTION}"
