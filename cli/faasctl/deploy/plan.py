"""Wanted x found -> plan. Pure: nothing is asked and nothing is done here."""

from __future__ import annotations

import json
from collections.abc import Set
from typing import Any, Literal

import msgspec

from eventflow.errors import FaasError
from faasctl.deploy import content
from faasctl.deploy.model import Collection, Desired, Entity, EntityId, Sequence, entity_id
from faasctl.deploy.remote import Found, State, is_settled

MAX_SHOWN = 80


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field that differs, as text to show; ``None`` for absent. Parameters are shown as new values alone, and
    secrets not at all: what is there may be a secret even where the manifest has none."""

    field: str
    before: str | None = None
    after: str | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One entity to create, update or delete.

    ``version`` is the version that is there (``None`` when nothing is), ``hash`` the fingerprint of the content to be.
    ``feed`` is the whole name of the feed action that feeds the trigger now; ``ends`` what a rule connects now.
    """

    verb: Literal["create", "update", "delete"]
    collection: Collection
    name: str
    changes: tuple[Change, ...] = ()
    version: str | None = None
    hash: str | None = None
    feed: str | None = None
    pending: bool = False
    ends: tuple[str, ...] = ()

    @property
    def id(self) -> EntityId:
        """The entity's id."""
        return EntityId(self.collection, self.name)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would be done for ``project`` in ``namespace`` of ``apihost``, and how many entities stay as they are."""

    apihost: str
    namespace: str
    project: str
    steps: tuple[Step, ...]
    unchanged: int = 0

    def count(self, verb: str) -> int:
        """How many steps are of that verb."""
        return sum(step.verb == verb for step in self.steps)


class Foreign(FaasError):
    """Entities of the wanted names are there and belong to somebody else."""


def make_plan(desired: Desired, state: State, *, apihost: str, auth: str) -> Plan:
    """The steps from ``state`` to ``desired``. Raises `Foreign` when a wanted name is taken."""
    steps = []
    taken = []
    unchanged = 0
    for entity in desired.entities:
        name = entity_id(entity)
        found = state.found.get(name)
        if found is not None and (found.owner is None or found.owner.project != desired.project):
            taken.append((name, f"of project {found.owner.project!r}" if found.owner else "not made by faasctl"))
            continue
        step = _step(entity, found, desired.project, auth)
        if step is None:
            unchanged += 1
        else:
            steps.append(step)
    if taken:
        names = ", ".join(f"{name} ({owner})" for name, owner in taken)
        hint = "faasctl changes only what it made: rename yours, or remove the one that is there"
        raise Foreign(f"the name is taken: {names}", where=f"namespace {desired.namespace}", hint=hint)
    wanted = desired.by_id()
    gone = [name for name, found in state.found.items() if name not in wanted and _owned(found, desired.project)]
    steps += [_deletion(name, state.found[name]) for name in sorted(gone)]
    return Plan(
        apihost=apihost, namespace=desired.namespace, project=desired.project, steps=tuple(steps), unchanged=unchanged
    )


def removal(state: State, names: Set[EntityId], *, apihost: str, namespace: str, project: str) -> Plan:
    """The plan that deletes all that ``project`` owns; for a nameless project what it owns of ``names``."""
    owned = [name for name, found in state.found.items() if found.owner and found.owner.project == project]
    if not project:
        owned = [name for name in owned if name in names]
    steps = tuple(_deletion(name, state.found[name]) for name in sorted(owned))
    return Plan(apihost=apihost, namespace=namespace, project=project, steps=steps)


def _step(entity: Entity, found: Found | None, project: str, auth: str) -> Step | None:
    wanted = content.wanted(entity)
    fingerprint = content.fingerprint(wanted, auth)
    name = entity_id(entity)
    if found is None:
        return Step(verb="create", collection=name.collection, name=name.name, hash=fingerprint)
    if found.content is None and is_settled(found.owner, project, fingerprint, found.version):
        return None
    changes = _changes(entity, wanted, _told(entity, found, auth))
    pending = found.owner is not None and found.owner.pending
    if not changes and not pending:
        return None
    return Step(
        verb="update",
        collection=name.collection,
        name=name.name,
        changes=changes,
        version=found.version,
        hash=fingerprint,
        feed=found.feed,
        pending=pending,
        ends=found.ends,
    )


def _told(entity: Entity, found: Found, auth: str) -> content.Content:
    """What is there, with the feed's inputs when it was last called with these very ones."""
    told = dict(found.content or {})
    inputs = content.feed_inputs(entity)
    if found.owner is not None and found.owner.feed == content.fingerprint(inputs, auth):
        told |= inputs
    return told


def _changes(entity: Entity, wanted: content.Content, told: content.Content) -> tuple[Change, ...]:
    if isinstance(entity, Sequence):
        told.setdefault("annotations.provide-api-key", False)
    secret = content.secret_fields(entity)
    changes = []
    for field in sorted(wanted.keys() | told.keys()):
        old, new = told.get(field), wanted.get(field)
        if old == new or (field == "kind" and isinstance(old, str) and content.same_kind(str(new), old)):
            continue
        hidden = field.startswith(("parameters.", content.FEED_INPUTS))
        changes.append(
            Change(
                field=field,
                before=None if field not in told else "(hidden)" if hidden else _shown(old),
                after=None if field not in wanted else "(secret)" if field in secret else _shown(new),
            )
        )
    return tuple(changes)


def _deletion(name: EntityId, found: Found) -> Step:
    return Step(
        verb="delete",
        collection=name.collection,
        name=name.name,
        version=found.version,
        feed=found.feed,
        ends=found.ends,
    )


def _owned(found: Found, project: str) -> bool:
    return bool(project) and found.owner is not None and found.owner.project == project


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
