"""One activation of one action: from its arguments to its record.

Sources: core/containerpool/ContainerProxy.scala (initializeAndRun, constructWhiskActivation), Container.scala,
core/entity/ActivationResult.scala (how answers are classified), WhiskAction.scala (containerInitializer).
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Awaitable, Mapping
from typing import Any, NamedTuple

import msgspec

from faasctl.local.openwhisk.activations import (
    APPLICATION_ERROR,
    DEVELOPER_ERROR,
    SUCCESS,
    Activation,
    ActivationStore,
    Response,
    failure,
)
from faasctl.local.openwhisk.auth import Identity
from faasctl.local.openwhisk.entities import Action
from faasctl.local.openwhisk.names import FullName, new_activation_id
from faasctl.local.openwhisk.resolve import Resolved
from faasctl.local.openwhisk.runtime.container import Answer, Code
from faasctl.local.openwhisk.runtime.guard import Guard
from faasctl.local.openwhisk.runtime.logs import LogLine, render
from faasctl.local.openwhisk.runtime.pool import ContainerPool, Owner, Room
from faasctl.local.openwhisk.settings import MB, Settings
from faasctl.local.openwhisk.throttle import Throttle

Json = Any


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run: an action with all inherited parameters, for a caller."""

    identity: Identity
    action: Action
    payload: Json
    """The arguments given; the action's own parameters lie under them."""
    transaction: str
    received: float
    """When the request came, seconds since the epoch."""
    binding: FullName | None = None
    """The package binding through which the action was named."""
    cause: str | None = None
    """The activation of the sequence or composition that it is part of."""
    id: str = msgspec.field(default_factory=new_activation_id)


def inner(order: Order, resolved: Resolved, payload: Json) -> Order:
    """A component of a sequence or a composition."""
    return Order(
        identity=order.identity,
        action=resolved.action,
        payload=payload,
        transaction=order.transaction,
        received=time.time(),
        binding=resolved.binding,
        cause=order.id,
    )


def merged(action: Action, payload: Json) -> Json:
    """The arguments of an action: its own parameters, and the payload over them; a list comes alone."""
    if isinstance(payload, list):
        return payload
    own = action.parameters.arguments
    return {**own, **payload} if isinstance(payload, dict) else own


class Outcome(NamedTuple):
    response: Response
    reusable: bool
    timed_out: bool = False


class Invoker:
    """Runs actions in containers and keeps the records."""

    def __init__(
        self, settings: Settings, activations: ActivationStore, throttle: Throttle, api_host: str = ""
    ) -> None:
        self._settings = settings
        self._activations = activations
        self._throttle = throttle
        self.api_host = api_host
        """``http://host:port`` of this host, which actions find as ``__OW_API_HOST``."""
        self.pool = ContainerPool(settings)

    async def invoke(self, order: Order) -> Activation:
        """Run the action to its end; never raises for what the action does."""
        namespace = order.identity.namespace
        self._throttle.in_flight[namespace] += 1
        try:
            return await self._invoke(order)
        finally:
            self._throttle.in_flight[namespace] -= 1

    async def _invoke(self, order: Order) -> Activation:
        action = order.action
        owner = Owner(order.identity.namespace, str(action.full_name), action.updated)
        if action.exec.kind not in self._settings.kinds:
            why = f"Failed to pull container image '{action.exec.image}'."
            return self._record(order, time.time(), None, Outcome(failure(DEVELOPER_ERROR, why), False), ())
        room = await self.pool.acquire(
            owner, kind=action.exec.kind, api_host=self.api_host, log_limit=action.limits.logs
        )
        outcome = Outcome(failure(DEVELOPER_ERROR, "The action was aborted."), reusable=False)
        start = time.time()
        initialised: float | None = None
        try:
            deadline = start + action.limits.timeout / 1000
            if not room.initialised:
                failed = await self._init(room, order, deadline)
                initialised = time.time()
                outcome = failed or outcome
                room.initialised = failed is None
            if room.initialised:
                outcome = await self._run(room, order, deadline)
            return self._record(order, start, initialised, outcome, self._logs(room, action, outcome))
        finally:
            self.pool.release(room, reusable=outcome.reusable)

    async def _init(self, room: Room, order: Order, deadline: float) -> Outcome | None:
        """None when the container is ready."""
        answer = await self._bounded(
            room, order, room.container.init(code_of(order, deadline)), deadline, " during initialization"
        )
        if isinstance(answer, Outcome):
            return answer
        return None if answer.status == 200 else Outcome(init_failure(answer), reusable=False)

    async def _run(self, room: Room, order: Order, deadline: float) -> Outcome:
        body = msgspec.json.encode({"value": merged(order.action, order.payload), **run_fields(order, deadline)})
        answer = await self._bounded(room, order, room.container.run(body), deadline, "")
        if isinstance(answer, Outcome):
            return answer
        return Outcome(classify(answer, self._settings.payload_size), reusable=room.container.alive)

    async def _bounded(
        self, room: Room, order: Order, work: Awaitable[Answer], deadline: float, when: str
    ) -> Answer | Outcome:
        limits = order.action.limits
        seconds = deadline - time.time()
        with Guard(room.container, self.pool.watch, seconds=seconds, memory=limits.memory * MB) as guard:
            answer = await work
        if guard.verdict == "time":
            why = f"The action exceeded its time limits of {limits.timeout} milliseconds{when}."
            return Outcome(failure(DEVELOPER_ERROR, why), reusable=False, timed_out=True)
        if guard.verdict == "memory":
            why = "The action exhausted its memory and was aborted."
            return Outcome(failure(DEVELOPER_ERROR, why), reusable=False)
        return answer

    def _logs(self, room: Room, action: Action, outcome: Outcome) -> tuple[str, ...]:
        lines, truncated = room.take_logs()
        if action.limits.logs == 0:
            return ()
        logs = [render(line) for line in lines]
        now = time.time()
        if truncated:
            limit = action.limits.logs * MB
            why = f"Logs were truncated because the total bytes size exceeds the limit of {limit} bytes."
            logs.append(render_warning(now, why))
        if outcome.response.code == DEVELOPER_ERROR:
            logs.append(
                render_warning(now, "The action did not initialize or run as expected. Log data might be missing.")
            )
        return tuple(logs)

    def _record(
        self, order: Order, start: float, initialised: float | None, outcome: Outcome, logs: tuple[str, ...]
    ) -> Activation:
        action = order.action
        end = time.time()
        annotations: dict[str, Json] = {"path": str(action.full_name)}
        if order.binding is not None:
            annotations["binding"] = str(order.binding)
        annotations["waitTime"] = max(round((start - order.received) * 1000), 0)
        annotations["kind"] = action.exec.kind
        annotations["timeout"] = outcome.timed_out
        annotations["limits"] = action.limits.activation_document
        if order.cause is not None:
            annotations["causedBy"] = "sequence"
        if initialised is not None:
            annotations["initTime"] = round((initialised - start) * 1000)
        activation = Activation(
            namespace=order.identity.namespace,
            name=action.name,
            path=action.full_name.relative,
            subject=order.identity.namespace,
            id=order.id,
            start=round(start * 1000),
            end=round(end * 1000),
            duration=round(end * 1000) - round(start * 1000),
            version=str(action.version),
            cause=order.cause,
            response=outcome.response,
            annotations=annotations,
            logs=logs,
        )
        self._activations.add(activation)
        return activation


def render_warning(when: float, text: str) -> str:
    """A line that the host itself adds to an action's log."""
    return render(LogLine(when, "stderr", text))


def run_fields(order: Order, deadline: float) -> dict[str, str]:
    """What stands beside ``value`` in the body of /run, and becomes ``__OW_*`` in the action's environment."""
    fields = {
        "namespace": order.identity.namespace,
        "action_name": f"/{order.action.full_name}",
        "action_version": str(order.action.version),
        "activation_id": order.id,
        "transaction_id": order.transaction,
        "deadline": str(round(deadline * 1000)),
    }
    if order.action.annotations.truthy("provide-api-key", default=True):
        fields["api_key"] = order.identity.auth
    return fields


def code_of(order: Order, deadline: float) -> Code:
    """The code and the init environment; values that are no texts are written as the invoker writes them."""
    exec_ = order.action.exec
    content = (exec_.code or "").encode()
    if exec_.binary:
        try:
            content = base64.b64decode(content, validate=False)
        except binascii.Error:
            content = b""
    environment = {name: as_text(value) for name, value in order.action.parameters.environment.items()}
    environment |= {f"__OW_{name.upper()}": value for name, value in run_fields(order, deadline).items()}
    return Code(content=content, main=exec_.main or "main", env=environment)


def as_text(value: Json) -> str:
    """``null`` is empty, texts are themselves, anything else compact JSON (WhiskAction.scala)."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def init_failure(answer: Answer) -> Response:
    """Any answer of /init but 200 is the developer's fault."""
    text = answer.body.decode(errors="replace")
    try:
        document = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        document = None
    if isinstance(document, Mapping) and "error" in document:
        return failure(DEVELOPER_ERROR, document["error"], len(text))
    return failure(DEVELOPER_ERROR, f"The action failed during initialization: {text}", len(text))


def classify(answer: Answer, largest: int) -> Response:
    """What an answer of /run means (ActivationResult.scala, processRunResponseContent)."""
    size = len(answer.body)
    if size > largest:
        cut = answer.body[:largest].decode(errors="replace")
        why = (
            f"The action produced a response that exceeded the allowed length: {size} > {largest} bytes. "
            f"The truncated response was: {cut}"
        )
        return failure(APPLICATION_ERROR, why, size)
    text = answer.body.decode(errors="replace")
    length = len(text)
    try:
        document = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        document = None
    invalid = f"The action did not produce a valid JSON or JSON Array response: {text}"
    if isinstance(document, dict):
        if answer.status != 200:
            return failure(DEVELOPER_ERROR, document.get("error", invalid), length)
        if "error" in document:
            return failure(APPLICATION_ERROR, document["error"], length)
        return Response(code=SUCCESS, result=document, size=length)
    if isinstance(document, list) and answer.status == 200:
        return Response(code=SUCCESS, result=document, size=length)
    return failure(DEVELOPER_ERROR, invalid, length)
