"""What a manifest wants to exist: frozen entities with full names, free of variables and of files to read.

Names are relative to the namespace (``faas/filter_event``); references to other entities are whole (``/guest/faas``).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

Collection = Literal["packages", "actions", "triggers", "rules"]


class EntityId(NamedTuple):
    """An entity's collection in OpenWhisk's API and its name in the namespace; sequences are actions."""

    collection: Collection
    name: str

    def __str__(self) -> str:
        return f"{self.collection.removesuffix('s')} {self.name}"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A bound parameter. ``init`` parameters reach the process once, as environment variables; ``secret`` ones
    hold the value of a variable and are never shown."""

    value: Any
    init: bool = False
    secret: bool = False


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """An action's code: its text, or a zip as base64; ``digest`` is the SHA-256 (hex) of that string."""

    text: str
    digest: str

    def __repr__(self) -> str:
        return f"Code({self.digest[:12]})"


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package, or with ``binding`` (``/namespace/package``) a reference to another."""

    name: str
    parameters: dict[str, Parameter] = {}
    annotations: dict[str, Any] = {}
    public: bool = False
    binding: str | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """An action's limits: ``timeout`` in ms, ``memory`` and ``logs`` in MB; the defaults are OpenWhisk's own."""

    timeout: int = 60_000
    memory: int = 256
    logs: int = 10


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """An action with code, or with ``image`` a container (kind ``blackbox``)."""

    name: str
    kind: str
    code: Code | None
    main: str | None = None
    image: str | None = None
    limits: Limits = Limits()
    parameters: dict[str, Parameter] = {}
    annotations: dict[str, Any] = {}


class Sequence(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence of actions, each by its whole name."""

    name: str
    components: tuple[str, ...]
    annotations: dict[str, Any] = {}


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """What feeds a trigger: the feed action's whole name, and what it is called with."""

    action: str
    parameters: dict[str, Parameter] = {}


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger; a fed trigger has no parameters of its own, they are its feed's."""

    name: str
    feed: Feed | None = None
    parameters: dict[str, Parameter] = {}
    annotations: dict[str, Any] = {}


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, between a trigger and an action by their whole names."""

    name: str
    trigger: str
    action: str
    annotations: dict[str, Any] = {}


Entity = Package | Action | Sequence | Trigger | Rule


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """All that a manifest wants in ``namespace``. ``project`` is the name under which it owns what it makes;
    without one nothing is ever deleted for having left the manifest."""

    project: str
    namespace: str
    entities: tuple[Entity, ...]

    def by_id(self) -> dict[EntityId, Entity]:
        """The entities by their ids."""
        return {entity_id(entity): entity for entity in self.entities}


def entity_id(entity: Entity) -> EntityId:
    """An entity's id."""
    match entity:
        case Package():
            return EntityId("packages", entity.name)
        case Action() | Sequence():
            return EntityId("actions", entity.name)
        case Trigger():
            return EntityId("triggers", entity.name)
        case Rule():
            return EntityId("rules", entity.name)


def local_name(whole: str, namespace: str) -> str | None:
    """``faas/process`` of ``/guest/faas/process`` in ``guest``; ``None`` for another namespace's."""
    prefix = f"/{namespace}/"
    return whole.removeprefix(prefix) if whole.startswith(prefix) else None
