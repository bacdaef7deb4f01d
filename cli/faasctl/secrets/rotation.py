"""Getting changed secrets to the actions that hold them, and nothing else.

An action's update gives it a new revision, and every activation after it runs in a container of that revision: warm
containers with the old secret get no more work. What stands in the action besides its secrets stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from eventflow.errors import FaasError
from eventflow.macaroon import instant
from faasctl.deploy import content
from faasctl.deploy.execute import after
from faasctl.deploy.remote import owner_of
from faasctl.deploy.session import Session
from faasctl.environment import Secret
from faasctl.secrets import deployed
from faasctl.secrets.deployed import Rows, State
from faasctl.secrets.places import Place, at, changed, tree

OVERLAP_S = 720.0
"""Seconds for which what was sealed or signed with a key of the platform's own may be on its way: a submit token lives
ten minutes, a batch two."""

Outcome = Literal["written", "would be written", "refused", "missing", "same"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a secret, what is there, and why it must not be written, if it must not."""

    place: Place
    state: State
    refusal: FaasError | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is to be written."""
        return self.state == "differs" and self.refusal is None

    def outcome(self, dry_run: bool) -> Outcome:
        """What becomes of it."""
        if self.refusal is not None:
            return "refused"
        return ("would be written" if dry_run else "written") if self.state == "differs" else self.state


def steps(several: Sequence[Place], rows: Rows, now: float) -> list[Step]:
    """What rotating these places comes to, in the order of writing.

    That is against the stream: who opens what another seals has both keys before the first thing is sealed with the
    new one. A key that would be gone for what is under way is refused. ``now`` in unix seconds.
    """
    found = [Step(place=place, state=deployed.use(place, rows).state) for place in reversed(several)]
    refusals = {
        name: refusal
        for step in found
        for name in step.place.names
        if step.state == "differs" and name.startswith("keys.")
        if (refusal := _refusal(name, step.place, several, rows, now)) is not None
    }
    return [
        msgspec.structs.replace(step, refusal=next(filter(None, map(refusals.get, step.place.names)), None))
        for step in found
    ]


def write(session: Session, action: str, several: Sequence[Place], row: dict[str, Any]) -> None:
    """Write the wanted texts into one action; raises `FaasError`.

    Where the action is as faasctl made it, it is marked as being so again: `faasctl plan` finds nothing changed.
    """
    values = {one["key"]: one for one in row["parameters"]}
    for place in several:
        there = values[place.parameter]
        values[place.parameter] = there | {"value": rewritten(place, there["value"])}
    version = after(row["version"])
    body: dict[str, Any] = {"version": version, "parameters": [_parameter(one) for one in values.values()]}
    owner = owner_of(row)
    if owner is not None and owner.version == row["version"]:
        told = content.found("actions", row | {"parameters": list(values.values())}) | {"code": owner.code}
        owner = msgspec.structs.replace(owner, version=version, hash=content.fingerprint(told, session.auth))
        body["annotations"] = [{"key": content.OWNER, "value": msgspec.to_builtins(owner)}]
    session.call(lambda client: client.put("actions", action, body, overwrite=True))


def rewritten(place: Place, there: str) -> str:
    """A parameter with one secret changed, and not a blank besides: a plan compares texts."""
    old = tree(there)
    new = changed(old, place.path, place.wanted.reveal())
    if isinstance(new, str):
        return new
    text = there.replace(json.dumps(at(old, place.path)), json.dumps(place.wanted.reveal()))
    return text if tree(text) == new else json.dumps(new)


def _parameter(one: dict[str, Any]) -> dict[str, Any]:
    return {"key": one["key"], "value": one["value"], **({"init": True} if one.get("init") else {})}


def _refusal(name: str, place: Place, several: Sequence[Place], rows: Rows, now: float) -> FaasError | None:
    held = [Secret(word) for word in (deployed.text(place, rows) or "").split()]
    wanted = [Secret(word) for word in place.wanted.reveal().split()]
    if held and held[0] not in wanted:
        return FaasError(
            "what is under way with the old key could not be opened",
            where=name,
            hint="write the old key behind the new one, with a blank between; to drop it at once: faasctl deploy",
        )
    changed_at = max(_updated(rows[one.action]) for one in several if name in one.names)
    if any(word not in wanted for word in held) and now < changed_at + OVERLAP_S:
        return FaasError(
            "what was made with the old key may still be on its way",
            where=name,
            hint=f"take it out after {instant(changed_at + OVERLAP_S)}",
        )
    return None


def _updated(row: dict[str, Any] | None) -> float:
    """When an action was written last, unix seconds."""
    return float((row or {}).get("updated", 0)) / 1000
