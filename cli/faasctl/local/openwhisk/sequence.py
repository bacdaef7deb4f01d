"""Sequences: each component's result is the next one's payload (core/controller/actions/SequenceActions.scala)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faasctl.local.openwhisk.account import Account
from faasctl.local.openwhisk.activations import APPLICATION_ERROR, SUCCESS, Activation, Response, failure
from faasctl.local.openwhisk.errors import ApiError
from faasctl.local.openwhisk.invoke import Order, inner
from faasctl.local.openwhisk.resolve import COMPONENT_NOT_FOUND, TOO_LONG, resolve

if TYPE_CHECKING:
    from faasctl.local.openwhisk.conveyor import Conveyor


@dataclass
class Count:
    """Actions run so far, those of sequences within the sequence included."""

    actions: int = 0


async def run_sequence(conveyor: Conveyor, order: Order, count: Count) -> Activation:
    """Ends early with the first result that is an error, whatever the component's status."""
    account = Account()
    response = Response(code=SUCCESS, result=order.payload)
    for component in order.action.exec.components or ():
        if count.actions >= conveyor.settings.sequence_length:
            response = failure(APPLICATION_ERROR, TOO_LONG)
            break
        try:
            resolved = resolve(conveyor.store, component)
        except ApiError:
            response = failure(APPLICATION_ERROR, COMPONENT_NOT_FOUND)
            break
        next_ = inner(order, resolved, response.result)
        if resolved.action.exec.is_sequence:
            activation = await run_sequence(conveyor, next_, count)
        else:
            activation = await conveyor.run(next_)
            count.actions += 1
        account.add(activation)
        response = activation.response
        if isinstance(response.result, dict) and "error" in response.result:
            break
    record = account.record(order, response)
    conveyor.activations.add(record)
    return record
