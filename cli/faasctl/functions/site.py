"""An environment's storages and batch system, as the domain's clients take them."""

from __future__ import annotations

from typing import Any

import msgspec

from eventflow.clients import pools as clients
from eventflow.clients.pools import PoolAccess, Schedd
from eventflow.storages import Storage
from faasctl.deploy.template import pool_settings, storage_settings
from faasctl.environment import Environment
from faasctl.environment.secret import Secret


def storages(env: Environment) -> list[Storage]:
    """The storages with their credentials."""
    return [msgspec.convert(_revealed(storage_settings(one, True)), Storage) for one in env.storages]


def pools(env: Environment) -> dict[str, Schedd]:
    """The schedds by name, connected with the platform's token."""
    return clients.connect(access(env))


def access(env: Environment) -> PoolAccess:
    """How the batch system is reached."""
    found: PoolAccess = msgspec.convert(_revealed(pool_settings(env)), PoolAccess)
    return found


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return {name: _revealed(inner) for name, inner in value.items() if inner is not None}
    return [_revealed(inner) for inner in value] if isinstance(value, list | tuple) else value
