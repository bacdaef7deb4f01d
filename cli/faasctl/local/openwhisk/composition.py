"""Compositions: a conductor says after each action which one comes next (controller/actions/PrimitiveActions.scala)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from faasctl.local.openwhisk.account import Account
from faasctl.local.openwhisk.activations import APPLICATION_ERROR, Activation, Response, failure
from faasctl.local.openwhisk.entitlement import use_action
from faasctl.local.openwhisk.errors import ApiError
from faasctl.local.openwhisk.invoke import Order, inner
from faasctl.local.openwhisk.names import DEFAULT, SEGMENT, FullName
from faasctl.local.openwhisk.resolve import Resolved, resolve

if TYPE_CHECKING:
    from faasctl.local.openwhisk.conveyor import Conveyor

Json = Any
TOO_LONG = "Too many actions in the composition."


@dataclass
class Tally:
    """What a composition and those within it have run."""

    conductors: int = 0
    components: int = 0


async def run_composition(conveyor: Conveyor, order: Order, tally: Tally) -> Activation:
    """Alternates between the conductor and the actions it names, until it names none."""
    account = Account(memory=order.action.limits.memory)
    response = await _conduct(conveyor, order, account, tally)
    record = account.record(order, response, conductor=True)
    conveyor.activations.add(record)
    return record


async def _conduct(conveyor: Conveyor, order: Order, account: Account, tally: Tally) -> Response:
    payload, state = order.payload, None
    while tally.conductors <= 2 * conveyor.settings.sequence_length:
        if not isinstance(payload, dict):
            payload = {}
        given = {**payload, **state} if state else payload
        tally.conductors += 1
        activation = await conveyor.invoker.invoke(inner(order, Resolved(order.action, order.binding), given))
        account.add(activation)
        result = _dictionary(activation.response.result)
        params = _boxed(result, "params", "value")
        state = _boxed(result, "state", "state")
        if "action" not in result:
            return Response(code=activation.response.code, result=result if params is None else params)
        payload = await _component(conveyor, order, account, tally, result["action"], params)
    return failure(APPLICATION_ERROR, TOO_LONG)


async def _component(
    conveyor: Conveyor, order: Order, account: Account, tally: Tally, named: Json, params: Json
) -> Json:
    """What the conductor gets next: the result of the action it named, or why there is none."""
    name = _full_name(named, order.identity.namespace)
    if name is None:
        said = msgspec.json.encode(named).decode()
        return {"error": f"Failed to parse action name from json value {said} during composition."}
    if tally.components >= conveyor.settings.sequence_length:
        return {"error": TOO_LONG}
    try:
        use_action(conveyor.store, order.identity.namespace, name)
    except ApiError:
        return {"error": f"Failed entitlement check for action with name '{name}' during composition."}
    try:
        resolved = resolve(conveyor.store, name)
    except ApiError:
        return {"error": f"Failed to resolve action with name '{name}' during composition."}
    next_ = inner(order, resolved, params)
    if resolved.action.is_conductor:
        activation = await run_composition(conveyor, next_, tally)
    else:
        tally.components += 1
        activation = await conveyor.run(next_)
    account.add(activation)
    return activation.response.result


def _dictionary(result: Json) -> dict[str, Json]:
    return result if isinstance(result, dict) else {}


def _boxed(result: dict[str, Json], name: str, box: str) -> dict[str, Json] | None:
    """A field that is to be an object; anything else is put into one."""
    if name not in result:
        return None
    value = result[name]
    return value if isinstance(value, dict) else {box: value}


def _full_name(named: Json, namespace: str) -> FullName | None:
    """``name``, ``package/name`` or ``/namespace/[package/]name`` (FullyQualifiedEntityName.resolveName)."""
    if not isinstance(named, str):
        return None
    parts = [part for part in named.split("/") if part]
    absolute = named.startswith("/")
    if not 1 <= len(parts) <= 3 or (absolute and len(parts) == 1) or not all(map(SEGMENT.match, parts)):
        return None
    if not absolute and len(parts) < 3:
        parts.insert(0, namespace)
    if parts[0] == DEFAULT:
        parts[0] = namespace
    return FullName("/".join(parts[:-1]), parts[-1])
