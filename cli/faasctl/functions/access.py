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


def registry_option(command: Command) -> Command:
    """Add ``--registry``, ``--env`` and ``--env-file``; the command gets the `Registry` as ``registry``."""

    @click.option(
        "--registry",
        "url",
        metavar="URL",
        envvar="FAASCTL_REGISTRY",
        help="The registry's address.  [default: the environment's]",
    )
    @env_options
    @functools.wraps(command)
    def with_registry(*args: Any, url: str | None, environment_name: str | Path, **kwargs: Any) -> Any:
        return command(*args, registry=connect(url, environment_name), **kwargs)

    return with_registry  # type: ignore[return-value]


def connect(url: str | None, environment_name: str | Path, process: Mapping[str, str] = os.environ) -> Registry:
    """The registry at ``url``, else the environment's; raises `UsageError` when there is no credential."""
    credential = process.get(ID_TOKEN) or process.get(ADMIN_KEY)
    ca = process.get("SSL_CERT_FILE") or process.get("REQUESTS_CA_BUNDLE")
    if url is None:
        env = environment.load(environment_name, process=process, partial=True)
        url = address(env)
        ca = env.openwhisk.ca or ca
        key = env.registry.admin_key
        if credential is None and key is not None and not key.reveal().startswith("${"):
            credential = key.reveal()
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
