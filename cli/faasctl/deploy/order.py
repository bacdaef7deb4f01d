"""Which step must wait for which: OpenWhisk refuses a rule without its trigger, a package that is not empty, and two
changes of one trigger's rules at the same time (a rule is written into its trigger's document)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from faasctl.deploy.model import Collection, Entity, EntityId, Package, Rule, Sequence, Trigger, local_name
from faasctl.deploy.plan import Step

_DELETION = {"rules": 0, "triggers": 1, "actions": 2, "packages": 3}


def prerequisites(
    steps: Iterable[Step], wanted: Mapping[EntityId, Entity], namespace: str
) -> dict[EntityId, set[EntityId]]:
    """The steps, by entity, that each step waits for. Deletions wait for all creations and updates."""
    steps = list(steps)
    building = {step.id: step for step in steps if step.verb != "delete"}
    deleting = [step for step in steps if step.verb == "delete"]
    before: dict[EntityId, set[EntityId]] = {}
    for name in building:
        before[name] = {need for need in _needs(wanted[name], namespace) if need in building and need != name}
    _one_rule_at_a_time(building.values(), {n: e.trigger for n, e in wanted.items() if isinstance(e, Rule)}, before)
    for step in deleting:
        rank = _DELETION[step.collection]
        before[step.id] = {other.id for other in deleting if _DELETION[other.collection] < rank} | building.keys()
    _one_rule_at_a_time(deleting, {step.id: step.ends[0] for step in deleting if step.ends}, before)
    return before


def _needs(entity: Entity, namespace: str) -> Iterator[EntityId]:
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


def _one_rule_at_a_time(
    steps: Iterable[Step], triggers: Mapping[EntityId, str], before: dict[EntityId, set[EntityId]]
) -> None:
    last: dict[str, EntityId] = {}
    for step in steps:
        if step.collection != "rules" or step.id not in triggers:
            continue
        trigger = triggers[step.id]
        if trigger in last:
            before[step.id].add(last[trigger])
        last[trigger] = step.id
