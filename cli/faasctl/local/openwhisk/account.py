"""What the record of an activation made of others adds up (SequenceAccounting, Session in the controller's sources)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from faasctl.local.openwhisk.activations import Activation, Response
from faasctl.local.openwhisk.invoke import Order

Json = Any


@dataclass
class Account:
    """Opened with the first component, closed with the last; ``memory`` in MB."""

    start: float = field(default_factory=time.time)
    logs: list[str] = field(default_factory=list)
    duration: int = 0
    memory: int | None = None

    def add(self, activation: Activation) -> None:
        self.logs.append(activation.id)
        self.duration += activation.duration or 0
        memory = activation.annotations.get("limits", {}).get("memory")
        if memory is not None:
            self.memory = max(self.memory or 0, memory)

    def record(self, order: Order, response: Response, *, conductor: bool = False) -> Activation:
        """Its log are the components' ids, its duration theirs together, its memory the greatest of theirs."""
        action = order.action
        annotations: dict[str, Json] = {
            "topmost": order.cause is None,
            "path": str(action.full_name),
            "kind": "sequence",
        }
        if conductor:
            annotations["conductor"] = True
        if order.cause is not None:
            annotations["causedBy"] = "sequence"
        annotations["waitTime"] = max(round((self.start - order.received) * 1000), 0)
        if order.binding is not None:
            annotations["binding"] = str(order.binding)
        if self.memory is not None:
            annotations["limits"] = action.limits.activation_document | {"memory": self.memory}
        return Activation(
            namespace=order.identity.namespace,
            name=action.name,
            path=action.full_name.relative,
            subject=order.identity.namespace,
            id=order.id,
            start=round(self.start * 1000),
            end=round(time.time() * 1000),
            duration=self.duration,
            version=str(action.version),
            cause=order.cause,
            response=response,
            annotations=annotations,
            logs=tuple(self.logs),
        )
