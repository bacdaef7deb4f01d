"""Entities that name each other: each name leads somewhere, and no sequence leads back to itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eventflow.spec import Key, SpecError, nearest
from faasctl.deploy import model
from faasctl.deploy.model import Action, Entity, EntityId, Package, Rule, Trigger, entity_id


def check_references(entities: Sequence[Entity], namespace: str, keys: Mapping[EntityId, Key]) -> None:
    """Raise `SpecError` for a sequence or rule that names an action which its own manifest's package does not have,
    for a trigger that is nearly but not quite one of the manifest's, and for sequences that contain themselves.

    Names outside the manifest are left to OpenWhisk, which knows what else is there.
    """
    own = {f"/{namespace}/{e.name}": e for e in entities if isinstance(e, Action | model.Sequence)}
    packages = {f"/{namespace}/{e.name}" for e in entities if isinstance(e, Package) and e.binding is None}
    triggers = [e.name for e in entities if isinstance(e, Trigger)]
    for entity in entities:
        key = keys[entity_id(entity)]
        for name in _actions_named_by(entity):
            package = name.rpartition("/")[0]
            if name not in own and package in packages:
                raise SpecError(f"there is no action {name}", key=key, hint=nearest(name, list(own)))
        if isinstance(entity, Rule):
            name = entity.trigger.rpartition("/")[2]
            near = nearest(name, triggers)
            if name not in triggers and near.startswith("did you mean"):
                raise SpecError(f"there is no trigger {name!r}", key=(*key, "trigger"), hint=near)
    _check_cycles(own, keys)


def _actions_named_by(entity: Entity) -> tuple[str, ...]:
    match entity:
        case model.Sequence():
            return entity.components
        case Rule():
            return (entity.action,)
    return ()


def _check_cycles(own: Mapping[str, Action | model.Sequence], keys: Mapping[EntityId, Key]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        entity = own.get(name)
        if not isinstance(entity, model.Sequence) or name in done:
            return
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            key = keys[entity_id(entity)]
            raise SpecError(f"the sequence contains itself: {circle}", key=key, hint="take one of them out")
        for component in entity.components:
            visit(component, (*path, name))
        done.add(name)

    for name in own:
        visit(name, ())
