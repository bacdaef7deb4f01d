"""Which step must wait for which: OpenWhisk refuses a rule without its trigger, a package that is not empty, and two
changes of one trigger's rules at the same time (a rule is written into its trigger's document)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from faasctl.deploy.model import Collection, Entity, EntityId, Package, Rule, Sequence, Trigger, local_name
from faasctl.deploy.plan import Step


class Order(msgspec.Struct, frozen=True):
    """What one step waits for: ``needs`` must have worked, ``turns`` must only have ended."""

    needs: frozenset[EntityId]
    turns: frozenset[EntityId] = frozenset()


def order_of(steps: Iterable[Step], wanted: Mapping[EntityId, Entity], namespace: str) -> dict[EntityId, Order]:
    """What each step waits for. Nothing is deleted before everything new is there, and in use."""
    steps = list(steps)
    building = {step.id: step for step in steps if step.verb != "delete"}
    deleting = [step for step in steps if step.verb == "delete"]
    needs = {name: building.keys() & set(_references(wanted[name], namespace)) for name in building}
    for step in deleting:
        needs[step.id] = building.keys() | {other.id for other in deleting if _holds(other, step, namespace)}
    turns = _turns(building.values(), {n: e.trigger for n, e in wanted.items() if isinstance(e, Rule)})
    turns |= _turns(deleting, {step.id: step.ends[0] for step in deleting if step.ends})
    for step in deleting:
        if step.collection in ("actions", "packages"):  # first nothing may fire any more
            turns[step.id] = {other.id for other in deleting if other.collection in ("rules", "triggers")}
    return {name: Order(frozenset(needs[name]), frozenset(turns.get(name, ()))) for name in needs}


def _holds(other: Step, step: Step, namespace: str) -> bool:
    """Whether the entity of ``step`` must stay while that of ``other`` is there: a rule's trigger and action, the feed
    of a trigger (or its feed would never hear of the deletion), a package with something in it."""
    whole = f"/{namespace}/{step.name}"
    match step.collection:
        case "triggers":
            return other.collection == "rules" and whole == other.ends[0]
        case "actions":
            return (other.collection == "rules" and whole == other.ends[1]) or whole == other.feed
        case "packages":
            return (other.collection == "actions" and other.name.startswith(f"{step.name}/")) or (
                other.feed is not None and other.feed.startswith(f"{whole}/")
            )
    return False


def _references(entity: Entity, namespace: str) -> Iterator[EntityId]:
    """The entities of this namespace that an entity refers to."""
    references: list[tuple[Collection, str]] = []
    match entity:
        case Package() if entity.binding:
            references = [("packages", entity.binding)]
        case Sequence():
            references = [("actions", name) for name in entity.components]
        case Trigger() if entity.feed:
            references = [("actions", entity.feed.action)]
        case Rule():
            references = [("triggers", entity.trigger), ("actions", entity.action)]
    for collection, whole in references:
        name = local_name(whole, namespace)
        if name is not None:
            yield EntityId(collection, name)
    if "/" in entity.name:
        yield EntityId("packages", entity.name.partition("/")[0])


def _turns(steps: Iterable[Step], triggers: Mapping[EntityId, str]) -> dict[EntityId, set[EntityId]]:
    """The rules of one trigger, each after the one before."""
    last: dict[str, EntityId] = {}
    turns = {}
    for step in steps:
        if step.collection == "rules" and step.id in triggers:
            trigger = triggers[step.id]
            turns[step.id] = {last[trigger]} if trigger in last else set()
            last[trigger] = step.id
    return turns
