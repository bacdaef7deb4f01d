"""The host's parts, put together once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from faasctl.local.openwhisk.activations import Activation, ActivationStore
from faasctl.local.openwhisk.auth import Authenticator, Identity
from faasctl.local.openwhisk.conveyor import Conveyor
from faasctl.local.openwhisk.entitlement import use_action, use_actions
from faasctl.local.openwhisk.errors import PARAMETERS_NOT_ALLOWED, bad_request
from faasctl.local.openwhisk.invoke import Invoker, Order
from faasctl.local.openwhisk.names import FullName
from faasctl.local.openwhisk.resolve import Resolved, resolve
from faasctl.local.openwhisk.settings import Settings
from faasctl.local.openwhisk.store import Store
from faasctl.local.openwhisk.throttle import Throttle

Json = Any


class Host:
    """Everything that handlers need; owns the tasks that outlive a request."""

    def __init__(self, settings: Settings, identities: Iterable[Identity], directory: Path | None = None) -> None:
        self.settings = settings
        self.authenticator = Authenticator(identities)
        self.store = Store(directory)
        self.activations = ActivationStore(settings)
        self.throttle = Throttle(settings)
        self.invoker = Invoker(settings, self.activations, self.throttle)
        self._conveyor = Conveyor(settings, self.store, self.activations, self.invoker)
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that no request waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def order(
        self,
        identity: Identity,
        resolved: Resolved,
        payload: Json,
        transaction: str,
        *,
        received: float | None = None,
        trusted: bool = False,
    ) -> Order:
        """An invocation of a resolved action; raises ApiError when the payload touches what is final.

        A ``trusted`` payload has been looked at already.
        """
        action = resolved.action
        if isinstance(payload, Mapping) and not trusted and not action.immutable.isdisjoint(payload):
            raise bad_request(PARAMETERS_NOT_ALLOWED)
        use_actions(self.store, identity.namespace, action.exec.components or ())
        return Order(
            identity=identity,
            action=action,
            payload=payload,
            transaction=transaction,
            received=time.time() if received is None else received,
            binding=resolved.binding,
        )

    def start(self, order: Order) -> asyncio.Future[Activation | None]:
        """Begin an activation; it goes on even when nobody waits for it."""
        outcome = asyncio.get_running_loop().create_future()
        self.spawn(self._run(order, outcome))
        return outcome

    async def wait(self, order: Order, seconds: float) -> Activation | None:
        """Begin an activation and wait for its end; None when it takes longer than that, and goes on."""
        outcome = self.start(order)
        timer = asyncio.get_running_loop().call_later(seconds, _settle, outcome, None)
        try:
            return await outcome
        finally:
            timer.cancel()

    async def _run(self, order: Order, outcome: asyncio.Future[Activation | None]) -> None:
        try:
            _settle(outcome, await self._conveyor.run(order))
        except Exception as error:
            if outcome.done():
                raise
            outcome.set_exception(error)

    async def post(self, identity: Identity, action: FullName, arguments: Mapping[str, Json]) -> str:
        """What a rule does: an invocation like any other, throttled, that nobody waits for; raises ApiError."""
        self.throttle.check_invocation(identity.namespace)
        use_action(self.store, identity.namespace, action)
        order = self.order(identity, resolve(self.store, action), dict(arguments), "rule")
        self.start(order)
        return order.id

    async def close(self) -> None:
        """End all activations, and with them their containers."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.invoker.pool.close()
        self.store.close()


def _settle(outcome: asyncio.Future[Activation | None], activation: Activation | None) -> None:
    if not outcome.done():
        outcome.set_result(activation)
