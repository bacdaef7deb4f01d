"""Runs whatever an action is: code in a container, a sequence of actions, or a composition led by a conductor."""

from __future__ import annotations

from dataclasses import dataclass

from faasctl.local.openwhisk.activations import Activation, ActivationStore
from faasctl.local.openwhisk.composition import Tally, run_composition
from faasctl.local.openwhisk.invoke import Invoker, Order
from faasctl.local.openwhisk.sequence import Count, run_sequence
from faasctl.local.openwhisk.settings import Settings
from faasctl.local.openwhisk.store import Store


@dataclass(frozen=True)
class Conveyor:
    """What running an action takes."""

    settings: Settings
    store: Store
    activations: ActivationStore
    invoker: Invoker

    async def run(self, order: Order) -> Activation:
        """To the end; never raises for what actions do."""
        if order.action.exec.is_sequence:
            return await run_sequence(self, order, Count())
        if order.action.is_conductor:
            return await run_composition(self, order, Tally())
        return await self.invoker.invoke(order)
