"""Light functions: invoked in OpenWhisk itself, in the functions' own namespace and on its account.

One activation takes the events of one function in a batch, and answers with one record per event, as a job's runner
writes it. A function may run more than once for an event (at least once); the event's key is at hand for whoever
minds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from eventflow.batch import DEFERRED, Done, Item
from eventflow.clients.openwhisk import NotFound, OpenWhiskError, Throttled, Unavailable
from eventflow.errors import ItemError
from eventflow.function import LIGHT_TIMEOUT_MS

PAYLOAD_BYTES = 900_000
"""OpenWhisk takes a megabyte of arguments."""

PATIENCE_MS = LIGHT_TIMEOUT_MS - 10_000
"""How long after the first activation of a batch no further event is begun."""

PASSING = (11, 31)
"""The runner's exit codes for trouble that may pass (`eventflow.job.runner`)."""


class Actions(Protocol):
    """What is needed of OpenWhisk: `eventflow.clients.openwhisk.OpenWhisk`."""

    def invoke(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]: ...


class Light(msgspec.Struct, frozen=True):
    """An item of a light function, and its event with its tokens."""

    item: Item
    version: str
    event: dict[str, Any]

    def __repr__(self) -> str:  # the event holds tokens
        return f"Light({self.item.key!r})"


def until_ms(began: float, deadline_ms: int) -> float:
    """When the light functions of a batch stop beginning events (ms); ``began`` is in unix seconds."""
    return min(began * 1000 + PATIENCE_MS, deadline_ms)


def invoke(actions: Actions, lights: Sequence[Light], *, until_ms: float) -> list[Done | ItemError]:
    """Invoke a function for its events; for each, in order, that it is done or why not."""
    return [outcome for chunk in _chunks(lights) for outcome in _once(actions, chunk, until_ms)]


def _once(actions: Actions, lights: Sequence[Light], until: float) -> list[Done | ItemError]:
    function = lights[0].item.function
    arguments = {"events": [light.event for light in lights], "until": until}
    try:
        answer = actions.invoke(function.replace(".", "/", 1), arguments)
        records = {record["key"]: record for record in answer["records"]}
    except (Throttled, Unavailable) as error:
        code = "throttled" if isinstance(error, Throttled) else "unavailable"
        away = ItemError(str(error), code=code, retryable=True, destination="functions")
        return [away] * len(lights)
    except NotFound:
        return [ItemError(f"{function} is registered no more", code="gone")] * len(lights)
    except (OpenWhiskError, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, OpenWhiskError) else "its answer is not the wrapper's"
        return [ItemError(f"the activation came to nothing: {why}", code="invoke_failed", retryable=True)] * len(lights)
    return [_settled(light, records.get(light.item.key)) for light in lights]


def _settled(light: Light, record: Mapping[str, Any] | None) -> Done | ItemError:
    if record is None:
        return ItemError("the activation had no time left for it", code=DEFERRED, retryable=True)
    code = record.get("exit")
    if code != 0:
        return ItemError(str(record.get("reason")), code=f"exit_{code}", retryable=code in PASSING)
    item = light.item
    return Done(
        origin=item.origin,
        key=item.key,
        function=item.function,
        version=light.version,
        outcome="invoked",
        destination="openwhisk",
        bytes_in=_count(record.get("bytes_in")),
        bytes_out=_count(record.get("bytes_out")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _chunks(lights: Sequence[Light]) -> Iterator[list[Light]]:
    chunk: list[Light] = []
    used = 0
    for light in lights:
        size = len(msgspec.json.encode(light.event))
        if chunk and used + size > PAYLOAD_BYTES:
            yield chunk
            chunk, used = [], 0
        chunk.append(light)
        used += size
    if chunk:
        yield chunk
