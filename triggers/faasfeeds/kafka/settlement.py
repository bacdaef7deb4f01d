"""What becomes of each leg after its batch came back: final, again, parked, or dead. Pure decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from eventflow.batch import DEFERRED, Done, Failure, Report
from eventflow.errors import FaasError
from faasfeeds.kafka.flight import Leg

PARKED_AT_ONCE = frozenset({"over_limit", "paused"})
PARKED_LATER = frozenset({"unavailable", "throttled", "credential_refused"})
"""Codes of what is parked when it lasts: a storage or a schedd that is away, or takes the platform's own credential no
more until a person changes it."""

UNCOUNTED = PARKED_AT_ONCE | PARKED_LATER | {"in_progress", "deadline", DEFERRED}
"""Failures that are an outage or a matter of turn, never the record's own: no attempt is counted for them."""

TRIES_BEFORE_PARKING = 4
"""About eight seconds: what is back by then is not worth the way through Kafka."""

LONGEST_DELAY_S = 60.0


class UnfitReport(FaasError):
    """A report that does not tell of everything that was delivered."""


class Limits(msgspec.Struct, frozen=True):
    """How long something is tried: attempts of its own, and seconds since it was written."""

    max_attempts: int
    max_age_s: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What happens with one leg next.

    It goes on as ``again`` in ``delay`` seconds; with None it is final. ``done`` and ``dead`` became final now;
    ``parked`` waits elsewhere. ``counts`` is what all this adds to the books.
    """

    leg: Leg
    again: Leg | None = None
    delay: float = 0.0
    done: tuple[Done, ...] = ()
    dead: tuple[Failure, ...] = ()
    parked: tuple[Failure, ...] = ()
    counts: Mapping[str, int] = {}


def judge(legs: Sequence[Leg], report: Report, limits: Limits, now: float) -> list[Verdict]:
    """Judge every leg of a delivered batch by the batch's report; raises `UnfitReport` when it leaves one out."""
    if (missing := report.imbalance()) != (0, 0):
        raise UnfitReport(f"the report does not add up: {missing[0]} records and {missing[1]} items are missing")
    if report.received != len(legs):
        raise UnfitReport(f"the report is of {report.received} records, not of {len(legs)}")
    done, failed = _by_place(report.done), _by_place(report.failed)
    moving = bool(report.done) or any(failure.code != DEFERRED for failure in report.failed)
    reasons = _reasons(report)
    verdicts = []
    for leg in legs:
        place = leg.message.origin
        mine, failures = done.pop(place, ()), failed.pop(place, ())
        told = {one.function for one in (*mine, *failures)}
        if leg.message.only is not None and None not in told and (absent := set(leg.message.only) - told):
            raise UnfitReport(f"the report leaves out {', '.join(sorted(absent))} for {place}")
        if mine or failures:
            verdicts.append(_verdict(leg, mine, failures, limits, now, moving=moving))
        else:
            word = next(reasons, None)
            if word is None:
                raise UnfitReport(f"the report does not tell of {place}")
            verdicts.append(Verdict(leg=leg, counts={word: 1}))
    if done or failed:
        raise UnfitReport("the report tells of records that were not delivered")
    return verdicts


def standstill(report: Report | None, deadline: float, now: float) -> str:
    """Why no delivery at all can come through, as far as a batch's report shows it: something that a person must put
    right. ``deadline`` is the batch's, ``now`` when the report came, both by this machine's clock (unix seconds)."""
    if report is None or not report.failed or report.done:
        return ""
    codes = {failure.code for failure in report.failed}
    if "deadline" in codes and now < deadline:
        ahead = f"{deadline - now:.0f} s or more ahead of the feed's"
        return f"the clock of the machine that submits is {ahead}: nothing is submitted until that is put right"
    if codes == {DEFERRED}:
        return f"nothing of a batch was done in its time ({report.failed[0].message}): is deadline_s long enough?"
    return ""


def accepted(leg: Leg) -> Verdict:
    """A leg to an action that makes no reports, and that ended well."""
    return Verdict(leg=leg, counts={"matched": 1})


def refused(leg: Leg, failure: Failure, limits: Limits, now: float) -> Verdict:
    """Judge a leg that failed as a whole, alone."""
    return _verdict(leg, (), _each(leg, failure), limits, now)


def wait(leg: Leg, why: Failure, limits: Limits, now: float) -> Verdict:
    """A leg whose delivery came to nothing through no fault of its own; only its age ends that."""
    if _too_old(leg, limits, now):
        return refused(leg, why, limits, now)
    return Verdict(leg=leg, again=msgspec.structs.replace(leg, tries=leg.tries + 1), delay=delay(leg.tries))


def _each(leg: Leg, failure: Failure) -> Sequence[Failure]:
    """A failure of the whole leg, once for each function that it is for, where these are known to be items."""
    if leg.message.only is None or not (leg.counted or leg.entry.returned):
        return (failure,)
    event = leg.entry.claim
    return [msgspec.structs.replace(failure, function=name, id=event) for name in leg.message.only]


def _verdict(
    leg: Leg, done: Sequence[Done], failures: Sequence[Failure], limits: Limits, now: float, *, moving: bool = True
) -> Verdict:
    """Judge a leg; ``moving`` says that something of its batch came through, so that what is deferred comes next."""
    message = leg.message
    exhausted = message.attempt >= limits.max_attempts
    too_old = _too_old(leg, limits, now)
    dead: list[Failure] = []
    parked: list[Failure] = []
    retry: list[Failure] = []
    for failure in failures:
        if not failure.retryable or too_old or (failure.code not in UNCOUNTED and exhausted):
            dead.append(failure)
        elif failure.function is not None and _parks(failure, leg):
            parked.append(failure)
        else:
            retry.append(failure)
    again = None
    counted = any(failure.code not in UNCOUNTED for failure in retry)
    items = len(done) + sum(1 for one in failures if one.function is not None)
    if retry:
        whole = any(failure.function is None for failure in retry)
        functions = message.only if whole else tuple(one.function for one in retry if one.function)
        again = msgspec.structs.replace(
            leg,
            message=msgspec.structs.replace(message, only=functions, attempt=message.attempt + (1 if counted else 0)),
            tries=leg.tries + (0 if counted else 1),
            counted=leg.counted or bool(items),
        )
    urgent = moving and all(failure.code == DEFERRED for failure in retry)
    counts: Counter[str] = Counter(f"items:{one.outcome}" for one in done)
    counts.update("items:dead-lettered" for one in dead if one.function is not None)
    if parked:
        counts["items:parked"] = len(parked)
    if items and not leg.counted:  # the fan-out is counted when the event is first matched, and never again
        counts["items:fan-out"] = items
    counts["matched" if items else "dead-lettered"] = 1
    return Verdict(
        leg=leg,
        again=again,
        delay=0.0 if urgent else delay(message.attempt if counted else leg.tries),
        done=tuple(done),
        dead=tuple(dead),
        parked=tuple(parked),
        counts=counts if items or dead else {},
    )


def _too_old(leg: Leg, limits: Limits, now: float) -> bool:
    return now - leg.message.timestamp / 1000 > limits.max_age_s and not leg.entry.redriven


def _parks(failure: Failure, leg: Leg) -> bool:
    if failure.code in PARKED_AT_ONCE:
        return True
    away = failure.code in PARKED_LATER and failure.destination not in (None, "registry")
    return away and (leg.entry.returned or leg.tries + 1 >= TRIES_BEFORE_PARKING)


def delay(tries: int) -> float:
    """Seconds before the next try, after so many."""
    return float(min(LONGEST_DELAY_S, 0.5 * 2.0 ** min(tries, 10)))


T = TypeVar("T", Done, Failure)


def _by_place(entries: Iterable[T]) -> dict[object, list[T]]:
    found: dict[object, list[T]] = {}
    for entry in entries:
        found.setdefault(entry.origin, []).append(entry)
    return found


def _reasons(report: Report) -> Iterator[str]:
    """The words of the records that fired nothing; which of them is which the report does not tell."""
    for reason, count in report.filtered.items():
        for _ in range(count):
            yield f"filtered:{reason}"
    for _ in range(report.duplicate):
        yield "duplicate"
