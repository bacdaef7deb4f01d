"""Sequences: each component's result is the next one's payload (core/controller/actions/SequenceActions.scala)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from faasctl.local.openwhisk.activations import (
    APPLICATION_ERROR,
    SUCCESS,
    Activation,
    ActivationStore,
    Response,
    failure,
)
from faasctl.local.openwhisk.entities import Action
from faasctl.local.openwhisk.errors import ApiError
from faasctl.local.openwhisk.invoke import Invoker, Order
from faasctl.local.openwhisk.names import FullName, new_activation_id
from faasctl.local.openwhisk.resolve import COMPONENT_NOT_FOUND, TOO_LONG, resolve
from faasctl.local.openwhisk.settings import Settings
from faasctl.local.openwhisk.store import Store

Json = Any


@dataclass
class _Account:
    """What a sequence's record is made of (SequenceAccounting)."""

    response: Response
    actions: int
    logs: list[str] = field(default_factory=list)
    duration: int = 0
    memory: int | None = None

    def add(self, activation: Activation) -> None:
        self.logs.append(activation.id)
        self.duration += activation.duration or 0
        memory = activation.annotations.get("limits", {}).get("memory")
        if memory is not None:
            self.memory = max(self.memory or 0, memory)
        self.response = activation.response


class Conveyor:
    """Runs whatever an action is: code in a container, or a sequence of others."""

    def __init__(self, settings: Settings, store: Store, activations: ActivationStore, invoker: Invoker) -> None:
        self._settings = settings
        self._store = store
        self._activations = activations
        self._invoker = invoker

    async def run(self, order: Order) -> Activation:
        """To the end; never raises for what actions do."""
        if order.action.exec.components is None:
            return await self._invoker.invoke(order)
        activation, _ = await self._sequence(order, order.action.exec.components, 0, topmost=True)
        return activation

    async def _sequence(
        self, order: Order, components: tuple[FullName, ...], actions: int, *, topmost: bool
    ) -> tuple[Activation, int]:
        start = time.time()
        account = _Account(response=Response(code=SUCCESS, result=order.arguments), actions=actions)
        for component in components:
            if account.actions >= self._settings.sequence_length:
                account.response = failure(APPLICATION_ERROR, TOO_LONG)
                break
            try:
                action, binding = resolve(self._store, component)
            except ApiError:
                account.response = failure(APPLICATION_ERROR, COMPONENT_NOT_FOUND)
                break
            await self._component(order, action, binding, account)
            result = account.response.result
            if isinstance(result, dict) and "error" in result:
                break
        activation = self._record(order, start, account, topmost=topmost)
        self._activations.add(activation)
        return activation, account.actions

    async def _component(self, order: Order, action: Action, binding: FullName | None, account: _Account) -> None:
        payload = account.response.result
        inner = Order(
            identity=order.identity,
            action=action,
            arguments=merged(action, payload),
            transaction=order.transaction,
            received=time.time(),
            binding=binding,
            cause=order.id,
            id=new_activation_id(),
        )
        if action.exec.components is None:
            account.add(await self._invoker.invoke(inner))
            account.actions += 1
        else:
            unmerged = payload if isinstance(payload, dict | list) else {}
            nested = msgspec.structs.replace(inner, arguments=unmerged)
            activation, account.actions = await self._sequence(
                nested, action.exec.components, account.actions, topmost=False
            )
            account.add(activation)

    def _record(self, order: Order, start: float, account: _Account, *, topmost: bool) -> Activation:
        action = order.action
        annotations: dict[str, Json] = {
            "topmost": topmost,
            "path": str(action.full_name),
            "kind": "sequence",
        }
        if not topmost:
            annotations["causedBy"] = "sequence"
        annotations["waitTime"] = max(round((start - order.received) * 1000), 0)
        if order.binding is not None:
            annotations["binding"] = str(order.binding)
        if account.memory is not None:
            annotations["limits"] = action.limits.activation_document | {"memory": account.memory}
        return Activation(
            namespace=order.identity.namespace,
            name=action.name,
            path=f"{action.full_name.package}/{action.name}" if action.full_name.package else action.name,
            subject=order.identity.namespace,
            id=order.id,
            start=round(start * 1000),
            end=round(time.time() * 1000),
            duration=account.duration,
            version=str(action.version),
            cause=None if topmost else order.cause,
            response=account.response,
            annotations=annotations,
            logs=tuple(account.logs),
        )


def merged(action: Action, payload: Json) -> Json:
    """The arguments of an action: its own parameters, and the payload over them; a list comes alone."""
    if isinstance(payload, list):
        return payload
    own = action.parameters.arguments
    return {**own, **payload} if isinstance(payload, dict) else own
