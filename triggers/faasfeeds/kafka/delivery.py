"""Firing a trigger with a batch, and following it until its report is there.

OpenWhisk answers a fire with 202 before any rule ran. A throttled rule, a missing action or a failed sequence shows
only in the trigger activation's logs, and in the activations that they name: so each batch is followed to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from eventflow.batch import SCHEMA, Delivery, Message, Report
from eventflow.clients.openwhisk import OpenWhisk, OpenWhiskError, Throttled, Unavailable
from eventflow.errors import FaasError

FIRST_LOOK = 0.004
LONGEST_LOOK = 0.25
"""Seconds between two looks at an activation: short at first, since a warm sequence takes some 20 ms."""

GRACE = 10.0
"""Seconds after a batch's deadline at which it is lost for certain: no step submits after the deadline."""


class Outage(FaasError):
    """The batch was not delivered, and not through any fault of its own: it waits and no attempt is counted."""


class BatchFailed(FaasError):
    """The batch was delivered and came to nothing; what it holds may be the reason."""


class Delivered(msgspec.Struct, frozen=True):
    """A batch's report, and the sequence's activation that it comes from."""

    report: Report
    activation: str


def deliver(
    openwhisk: OpenWhisk,
    trigger: str,
    messages: Sequence[Message],
    *,
    patience: float,
    now: Callable[[], float],
    sleep: Callable[[float], object],
) -> Delivered:
    """Fire ``trigger`` with ``messages`` and wait for the report, at most ``patience`` seconds and the grace.

    Raises `Outage` (OpenWhisk is away or throttles, no rule is active) and `BatchFailed`.
    """
    end = now() + patience
    delivery = Delivery(schema=SCHEMA, deadline=int(end * 1000), messages=tuple(messages))
    try:
        fired = openwhisk.fire(trigger, msgspec.json.encode(delivery))
    except (Throttled, Unavailable) as error:
        raise Outage(str(error)) from None
    except OpenWhiskError as error:
        if error.status in (401, 403, 404):  # the trigger is gone or the key was changed: a person must act
            raise Outage(str(error), hint=error.hint) from None
        raise BatchFailed(str(error)) from None
    if fired is None:
        raise Outage(f"trigger {trigger} has no active rule", hint="run: faasctl deploy")
    wait = _Waiting(openwhisk, end + GRACE, now, sleep)
    sequence = _rule_activation(wait.for_activation(fired, with_logs=True))
    return Delivered(report=_report(wait.for_activation(sequence)), activation=sequence)


class _Waiting:
    """Looks at an activation again and again, less and less often, until it is there or time is over."""

    def __init__(
        self, openwhisk: OpenWhisk, end: float, now: Callable[[], float], sleep: Callable[[float], object]
    ) -> None:
        self._openwhisk = openwhisk
        self._end = end
        self._now = now
        self._sleep = sleep

    def for_activation(self, activation_id: str, *, with_logs: bool = False) -> dict[str, Any]:
        pause = FIRST_LOOK
        while True:
            try:
                record = self._openwhisk.activation(activation_id)
            except (Throttled, Unavailable):
                record = None  # the batch is on its way; an outage now does not undo that
            if record is not None and (record.get("logs") or not with_logs):
                return record
            if self._now() > self._end:
                raise BatchFailed(f"activation {activation_id} did not appear before the deadline")
            self._sleep(pause)
            pause = min(pause * 1.5, LONGEST_LOOK)


def _rule_activation(trigger_activation: dict[str, Any]) -> str:
    """The activation that the trigger's rule started; a trigger activation's logs are JSON, one line per rule."""
    problems: list[str] = []
    for line in trigger_activation["logs"]:
        entry = msgspec.json.decode(line)
        if entry.get("success") and entry.get("activationId"):
            return str(entry["activationId"])
        problems.append(str(entry.get("error", entry)))
    why = "; ".join(problems) or "no rule ran"
    raise Outage(f"no rule could start its action: {why}", hint="see the trigger activation's logs")


def _report(activation: dict[str, Any]) -> Report:
    response = activation.get("response", {})
    result = response.get("result")
    if not response.get("success"):
        error = result.get("error") if isinstance(result, dict) else result
        raise BatchFailed(f"the sequence ended in {response.get('status')}: {str(error)[:300]}")
    try:
        report = msgspec.convert(result["report"], Report)
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise BatchFailed(f"the sequence's result holds no report: {error}") from None
    if (imbalance := report.imbalance()) != (0, 0):
        raise BatchFailed(f"the report does not add up: {imbalance[0]} records and {imbalance[1]} items are missing")
    return report
