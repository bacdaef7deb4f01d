"""Records of what was run (core/entity/{WhiskActivation,ActivationResult}.scala), as many as fit."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import Any

import msgspec

from faasctl.local.openwhisk.errors import not_found
from faasctl.local.openwhisk.settings import Settings

Document = dict[str, Any]

SUCCESS, APPLICATION_ERROR, DEVELOPER_ERROR, WHISK_ERROR = range(4)
STATUS = ("success", "application error", "action developer error", "whisk internal error")


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """How an activation ended. ``size`` is the number of characters that the container answered."""

    code: int
    result: Any = None
    size: int | None = None

    @property
    def document(self) -> Document:
        document: Document = {
            "status": STATUS[self.code],
            "success": self.code == SUCCESS,
            "result": self.result,
        }
        if self.size is not None:
            document["size"] = self.size
        return document


def failure(code: int, why: Any, size: int | None = None) -> Response:
    return Response(code=code, result={"error": why}, size=size)


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """One activation of an action, a sequence or a trigger; times in ms since the epoch, duration in ms."""

    namespace: str
    name: str
    path: str
    """``package/name``, or the name alone: what lists are filtered by."""
    subject: str
    id: str
    start: int
    version: str
    response: Response
    annotations: dict[str, Any] = {}
    logs: tuple[str, ...] = ()
    end: int | None = None
    duration: int | None = None
    cause: str | None = None

    def document(self, *, logs: bool = True) -> Document:
        """``logs=False`` is what a blocking invocation answers: logs are collected later."""
        return self._common() | {
            "subject": self.subject,
            "response": self.response.document,
            "logs": list(self.logs) if logs else [],
        }

    @property
    def summary(self) -> Document:
        return self._common() | {"statusCode": self.response.code}

    @property
    def weight(self) -> int:
        """About the bytes it takes."""
        return 1000 + (self.response.size or 0) + sum(len(line) for line in self.logs)

    def _common(self) -> Document:
        document: Document = {
            "namespace": self.namespace,
            "name": self.name,
            "version": self.version,
            "activationId": self.id,
            "start": self.start,
            "publish": False,
            "annotations": [{"key": key, "value": value} for key, value in self.annotations.items()],
        }
        optional = {"end": self.end, "duration": self.duration, "cause": self.cause}
        return document | {name: value for name, value in optional.items() if value is not None}


class ActivationStore:
    """The newest activations of all namespaces; they do not survive the host."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.activations_kept
        self._heaviest = settings.activation_bytes_kept
        self._by_id: dict[str, Activation] = {}
        self._by_start: dict[str, list[Activation]] = {}
        self._weight = 0

    def add(self, activation: Activation) -> None:
        self._by_id[activation.id] = activation
        mine = self._by_start.setdefault(activation.namespace, [])
        bisect.insort(mine, activation, key=_start)
        self._weight += activation.weight
        while len(self._by_id) > self._most or (self._weight > self._heaviest and len(self._by_id) > 1):
            self._forget(next(iter(self._by_id.values())))

    def get(self, namespace: str, activation_id: str) -> Activation:
        """Raises ApiError 404, also while the activation still runs."""
        activation = self._by_id.get(activation_id)
        if activation is None or activation.namespace != namespace:
            raise not_found()
        return activation

    def list(self, namespace: str, accept: Callable[[Activation], bool]) -> list[Activation]:
        """Those that ``accept`` takes, the newest first."""
        return [activation for activation in reversed(self._by_start.get(namespace, [])) if accept(activation)]

    def _forget(self, activation: Activation) -> None:
        del self._by_id[activation.id]
        mine = self._by_start[activation.namespace]
        at = bisect.bisect_left(mine, activation.start, key=_start)
        while mine[at].id != activation.id:
            at += 1
        del mine[at]
        self._weight -= activation.weight


def _start(activation: Activation) -> int:
    return activation.start
