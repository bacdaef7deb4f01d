"""What OpenWhisk has of the environment's secrets. Read only."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from eventflow.clients.openwhisk import NotFound
from faasctl.deploy.session import Session
from faasctl.environment.ends import life
from faasctl.secrets.places import Place, at, tree

State = Literal["same", "differs", "missing"]
Rows = Mapping[str, dict[str, Any] | None]
"""Actions by name, as OpenWhisk tells them without their code; None for one that is not there."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a secret, and whether what is deployed there is what the environment has.

    ``missing``: the action, or this place in it, is not deployed. ``ends`` is the end (unix seconds) of what is
    deployed, where that says so.
    """

    action: str
    parameter: str
    state: State
    ends: float | None = None


def read(session: Session, actions: Iterable[str]) -> Rows:
    """The actions as they are now."""

    def row(name: str) -> dict[str, Any] | None:
        try:
            return dict(session.call(lambda client: client.get("actions", name, code="false")))
        except NotFound:
            return None

    names = sorted(set(actions))
    return dict(zip(names, session.each(row, names), strict=True))


def use(place: Place, rows: Rows) -> Use:
    """What is deployed at a place, compared in constant time."""
    there = text(place, rows)
    state: State = "missing"
    if there is not None:
        state = "same" if hmac.compare_digest(there.encode(), place.wanted.reveal().encode()) else "differs"
    return Use(
        action=place.action, parameter=place.parameter, state=state, ends=None if there is None else life(there)[1]
    )


def uses(name: str, several: Sequence[Place], rows: Rows) -> list[Use]:
    """Where a secret is; a certificate and its key, in one parameter, are one use."""
    found: dict[tuple[str, str], Use] = {}
    for place in several:
        if name in place.names:
            one = use(place, rows)
            key = (one.action, one.parameter)
            if key not in found or found[key].state == "same":
                found[key] = one
    return list(found.values())


def parameter(row: Mapping[str, Any] | None, name: str) -> str | None:
    """An action's parameter as text."""
    values = [one["value"] for one in (row or {}).get("parameters", []) if one["key"] == name]
    return values[0] if values and isinstance(values[0], str) else None


def text(place: Place, rows: Rows) -> str | None:
    """The text that is deployed at a place. It is a secret."""
    whole = parameter(rows[place.action], place.parameter)
    found = None if whole is None else at(tree(whole), place.path)
    return found if isinstance(found, str) else None
