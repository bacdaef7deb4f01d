"""What is there now: read only, and no more than the plan needs.

Four lists tell which entities exist, who owns them and which content they were given. An entity whose content and
version are still the ones written into its `OWNER` annotation is not read any further; every change by anybody
else has counted its version up (WhiskEntityStore `upPatch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from eventflow.clients.openwhisk import NotFound
from faasctl.deploy import content
from faasctl.deploy.model import Collection, Desired, EntityId, Rule, entity_id, local_name
from faasctl.deploy.session import Session

COLLECTIONS: tuple[Collection, ...] = ("packages", "actions", "triggers", "rules")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The `OWNER` annotation: the project, the fingerprint of the content, and the version that had it.

    ``pending`` marks a trigger whose feed may not have been told of it yet; ``code`` is the digest of an action's code,
    ``feed`` the fingerprint of what the feed was last called with.
    """

    project: str
    hash: str
    version: str
    pending: bool = False
    code: str | None = None
    feed: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An entity that is there. ``content`` is ``None`` when it is known to be what its owner wrote."""

    version: str
    owner: Owner | None
    content: content.Content | None = None
    feed: str | None = None
    ends: tuple[str, ...] = ()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The entities of a namespace."""

    found: dict[EntityId, Found]


def read_state(session: Session, desired: Desired) -> State:
    """Read what the plan for ``desired`` needs to know. Raises `OpenWhiskError`."""
    rows = _lists(session)
    wanted = desired.by_id()
    prints = {name: content.fingerprint(content.wanted(entity), session.auth) for name, entity in wanted.items()}

    def settled(name: EntityId, row: Mapping[str, Any]) -> bool:
        return is_settled(owner_of(row), desired.project, prints[name], row["version"])

    unclear = [name for name in wanted if name in rows and not settled(name, rows[name])]
    packages = {EntityId("packages", name.name.partition("/")[0]) for name in unclear if "/" in name.name}
    asked = sorted({*unclear, *packages & rows.keys()})
    whole = dict(zip(asked, session.each(lambda name: _whole(session, name, rows[name]), asked), strict=True))
    inactive = _inactive_rules(session, desired, rows)
    found = {}
    for name, summary in rows.items():
        row = whole.get(name) or summary  # a list may be older than the entity (CouchDB's views)
        told = None
        if name in unclear and not settled(name, row):
            told = _content(name, row, whole)
        elif name in inactive:
            told = content.wanted(wanted[name])
        if told is not None and name in inactive:
            told["status"] = "inactive"
        found[name] = Found(
            version=row["version"],
            owner=owner_of(row),
            content=told,
            feed=_annotation(row, "feed") if name.collection == "triggers" else None,
            ends=_ends(name, row),
        )
    return State(found=found)


def is_settled(owner: Owner | None, project: str, fingerprint: str, version: str) -> bool:
    """Whether an entity is known, from its summary alone, to have the content with that fingerprint."""
    return (
        owner is not None
        and (owner.project, owner.hash, owner.version) == (project, fingerprint, version)
        and not owner.pending
    )


def owner_of(row: Mapping[str, Any]) -> Owner | None:
    """The owner that an entity's annotation names; an annotation that is not ours is no owner."""
    try:
        return msgspec.convert(_annotation(row, content.OWNER), Owner)
    except msgspec.ValidationError:
        return None


def _lists(session: Session) -> dict[EntityId, dict[str, Any]]:
    pages = session.each(lambda c: session.call(lambda client: list(client.pages(c))), COLLECTIONS)
    rows: dict[EntityId, dict[str, Any]] = {}
    for collection, page in zip(COLLECTIONS, pages, strict=True):
        for row in page:
            package = row["namespace"].partition("/")[2]
            name = f"{package}/{row['name']}" if package else row["name"]
            rows[EntityId(collection, name)] = row
    return rows


def _whole(session: Session, name: EntityId, summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """The entity itself; an action's code only when its version says that somebody else may have changed it."""
    owner = owner_of(summary)
    known = owner is not None and owner.version == summary["version"] and owner.code is not None
    query = {"code": "false"} if name.collection == "actions" and known else {}
    try:
        return dict(session.call(lambda client: client.get(name.collection, name.name, **query)))
    except NotFound:
        return None


def _content(
    name: EntityId, row: Mapping[str, Any], whole: Mapping[EntityId, dict[str, Any] | None]
) -> content.Content:
    found = content.found(name.collection, row, whole.get(EntityId("packages", name.name.partition("/")[0])))
    owner = owner_of(row)
    if found.get("code", "") is None and owner is not None:
        found["code"] = owner.code
    return found


def _inactive_rules(session: Session, desired: Desired, rows: Mapping[EntityId, Any]) -> set[EntityId]:
    """The desired rules that are there and do not fire. Lists do not tell; each trigger tells of all its rules."""
    rules = [e for e in desired.entities if isinstance(e, Rule) and entity_id(e) in rows]
    names = sorted({name for rule in rules if (name := local_name(rule.trigger, desired.namespace)) is not None})
    states: dict[str, str] = {}
    for told in session.each(lambda name: _rules_of(session, name), names):
        states.update(told)
    return {entity_id(rule) for rule in rules if states.get(f"{desired.namespace}/{rule.name}") != "active"}


def _rules_of(session: Session, trigger: str) -> dict[str, str]:
    try:
        row = session.call(lambda client: client.get("triggers", trigger))
    except NotFound:
        return {}
    return {name: rule["status"] for name, rule in row.get("rules", {}).items()}


def _ends(name: EntityId, row: Mapping[str, Any]) -> tuple[str, ...]:
    """The trigger and the action of a rule, by their whole names: what a deletion has to keep the order of."""
    if name.collection != "rules":
        return ()
    return tuple(f"/{row[end]['path']}/{row[end]['name']}" for end in ("trigger", "action"))


def _annotation(row: Mapping[str, Any], key: str) -> Any:
    return next((item["value"] for item in row.get("annotations", []) if item["key"] == key), None)
