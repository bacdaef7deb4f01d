"""Firing a trigger with a batch, and following it until each rule's report is there.

OpenWhisk answers a fire with 202 before any rule ran. A throttled rule, a missing action or a failed sequence shows
only in the trigger activation's logs, and in the activations that they name: so each batch is followed to its end.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from eventflow.batch import Delivery, Report
from eventflow.clients.openwhisk import OpenWhisk, OpenWhiskError, Throttled, Unavailable
from eventflow.errors import FaasError
from faasfeeds.kafka.flight import Rule

FIRST_LOOK = 0.004
LONGEST_LOOK = 0.25
"""Seconds between two looks at an activation: short at first, since a warm sequence takes some 20 ms."""

GRACE = 10.0
"""Seconds after a batch's deadline at which it is lost for certain: no step submits after the deadline."""

THROTTLED = ("Too many requests", "Too many concurrent requests")
"""How a rule's log line begins its error when it was throttled (`Messages` in ErrorResponse.scala)."""

INTERNAL = "whisk internal error"
"""How an activation ends when OpenWhisk itself failed: no container to be had, a component's end that it never saw."""

NOT_BEGUN = re.compile(
    r"The action exceeded its time limits of \d+ milliseconds during initialization"
    r"|The action did not initialize|The action failed during initialization"
    r"|Command exited abruptly during initialization|Cannot start action"
    r"|The action failed to generate or locate a binary|Failed to pull container image"
    r"|Sequence component does not exist"
)
"""How the errors begin of an action that did not come so far as to see the batch: many cold containers at once on a
busy machine, a deploy under way (`Messages` in ErrorResponse.scala, initHandler.go of the runtime's proxy)."""


class Outage(FaasError):
    """The batch was not delivered, and not through any fault of its own: it waits and no attempt is counted."""


class Away(Outage):
    """OpenWhisk does not answer."""


class Busy(Outage):
    """OpenWhisk throttles: there were too many fires or invocations."""


class BatchFailed(FaasError):
    """The batch was delivered and came to nothing; what it holds may be the reason."""


class RuleGone(FaasError):
    """The rule that a batch was for is there no more."""


class Vanished(FaasError):
    """An activation did not appear in time; nothing more will come of it."""


class Started(msgspec.Struct, frozen=True):
    """What became of one rule when the trigger was fired: its action's activation, or ``why`` there is none."""

    rule: Rule
    activation: str = ""
    why: str = ""

    @property
    def throttled(self) -> bool:
        """Whether that was for want of OpenWhisk's quota."""
        return self.why.startswith(THROTTLED)


class Follower:
    """Delivers batches for one trigger, in one thread. ``openwhisk`` holds the trigger owner's key; once ``over`` is
    set no activation is waited for any more."""

    def __init__(self, openwhisk: OpenWhisk, trigger: str, over: threading.Event) -> None:
        self._openwhisk = openwhisk
        self._trigger = trigger.rpartition("/")[2]
        self._over = over

    def fire(self, delivery: Delivery) -> list[Started]:
        """Fire the trigger; what became of each active rule.

        Raises `Outage`, `BatchFailed` (the batch itself was refused) and `Vanished`.
        """
        try:
            fired = self._openwhisk.fire(self._trigger, msgspec.json.encode(delivery))
        except OpenWhiskError as error:
            raise _refusal(error) from None
        if fired is None:
            raise Outage(f"trigger {self._trigger} has no active rule", hint="run: faasctl deploy")
        return [_started(line) for line in self._wait(fired, _end(delivery), with_logs=True)["logs"]]

    def invoke(self, rule: Rule, delivery: Delivery) -> Started:
        """Start one rule's action as its trigger would.

        Raises `Outage`, `BatchFailed` and `RuleGone`.
        """
        try:
            trigger = self._openwhisk.get("triggers", self._trigger)
            state = trigger.get("rules", {}).get(rule.name)
            if state is None:
                raise RuleGone(f"the rule {rule.name} is there no more")
            if state.get("status") != "active":
                raise Outage(f"the rule {rule.name} is not active")
            own = {entry["key"]: entry["value"] for entry in trigger.get("parameters", ())}
            payload = msgspec.json.encode({**own, **msgspec.to_builtins(delivery)})
            return Started(rule, self._openwhisk.start(rule.action, payload))
        except OpenWhiskError as error:
            raise _refusal(error) from None

    def report(self, activation: str, delivery: Delivery) -> Report | None:
        """The report of a rule's activation; None when its action makes none.

        Raises `BatchFailed`, `Vanished`, and `Outage` when OpenWhisk did not come so far as to run the batch.
        """
        return _report(self._wait(activation, _end(delivery)))

    def _wait(self, activation: str, end: float, *, with_logs: bool = False) -> dict[str, Any]:
        """Look at an activation again and again, less and less often, until it is there or time is over."""
        pause = FIRST_LOOK
        while True:
            try:
                record = self._openwhisk.activation(activation)
            except (Throttled, Unavailable):
                record = None  # the batch is on its way; an outage now does not undo that
            except OpenWhiskError as error:
                raise Vanished(str(error)) from None
            if record is not None and (record.get("logs") or not with_logs):
                return record
            if time.time() > end:
                raise Vanished(f"activation {activation} did not appear before the deadline")
            if self._over.wait(pause):
                raise Vanished(f"activation {activation} is waited for no more")
            pause = min(pause * 1.5, LONGEST_LOOK)


def _end(delivery: Delivery) -> float:
    return delivery.deadline / 1000 + GRACE


def _refusal(error: OpenWhiskError) -> FaasError:
    if isinstance(error, Throttled):
        return Busy(str(error))
    if isinstance(error, Unavailable):
        return Away(str(error))
    if error.status in (400, 413):
        return BatchFailed(str(error))
    return Outage(str(error), hint=error.hint)  # the trigger is gone or its key was changed: a person must act


def _started(line: str) -> Started:
    """A line of a trigger activation's logs: JSON, after a time stamp and a stream's name where the site's log store
    adds them."""
    try:
        entry: Mapping[str, Any] = msgspec.json.decode(line[line.index("{") :])
        rule = Rule(str(entry["rule"]), str(entry["action"]).strip("/"))
    except (ValueError, KeyError, msgspec.DecodeError):
        raise BatchFailed(f"the trigger activation's log line is not understood: {line[:200]}") from None
    if entry.get("success") and entry.get("activationId"):
        return Started(rule, str(entry["activationId"]))
    return Started(rule, why=str(entry.get("error", "the rule did not start its action")))


def _report(activation: Mapping[str, Any]) -> Report | None:
    response = activation.get("response", {})
    result = response.get("result")
    if not response.get("success"):
        error = str(result.get("error") if isinstance(result, dict) else result)
        why = f"the activation ended in {response.get('status')}: {error[:300]}"
        if response.get("status") == INTERNAL or NOT_BEGUN.match(error):
            raise Outage(why)
        raise BatchFailed(why)
    if not isinstance(result, dict) or "report" not in result:
        return None
    try:
        return msgspec.convert(result["report"], Report)
    except msgspec.ValidationError as error:
        raise BatchFailed(f"the activation's result holds no report: {error}") from None
