"""One batch on its way: deliver it, follow it, judge it, write down what became final. Runs in threads of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from queue import SimpleQueue
from typing import Literal

import msgspec

from eventflow.batch import SCHEMA, Delivery, Failure
from eventflow.clients.openwhisk import OpenWhisk
from faasfeeds import outcomes
from faasfeeds.kafka import letters, settlement
from faasfeeds.kafka.flight import Entry, Leg
from faasfeeds.kafka.following import Away, BatchFailed, Busy, Follower, Outage, RuleGone, Started, Vanished
from faasfeeds.kafka.journal import Journal, NotWritten
from faasfeeds.kafka.memory import Memory
from faasfeeds.kafka.settlement import Limits, UnfitReport, Verdict

log = logging.getLogger(__name__)

MOST_VANISHED = 3
"""How often a batch's activation may fail to appear before that is held against the batch."""

REWRITE_S = 1.0

Mood = Literal["passed", "failed", "late", "throttled", "away", ""]
"""What a landing says about OpenWhisk."""


class Spread(msgspec.Struct, frozen=True):
    """A fired trigger started several rules: each entry now has ``more`` legs, which land by themselves."""

    entries: tuple[Entry, ...]
    more: int


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """A batch is back: verdicts in groups that stay together, or ``back`` when it was never delivered; ``minted``
    counts the storage tokens that its report tells of."""

    mood: Mood
    groups: tuple[tuple[Verdict, ...], ...] = ()
    back: tuple[Leg, ...] = ()
    why: str = ""
    minted: int = 0


class Deliveries:
    """Delivers the batches of one trigger; what happens comes out of ``landings``.

    ``connect`` makes a client with the key of the trigger's owner, one for each thread. ``limits`` and ``deadline_s``
    are those of the next batch. ``passed_at`` is when a batch came through last (monotonic seconds).
    """

    def __init__(
        self,
        trigger: str,
        connect: Callable[[], OpenWhisk],
        threads: Executor,
        *,
        journal: Journal,
        memory: Memory,
        limits: Limits,
        deadline_s: float,
    ) -> None:
        self._trigger = trigger
        self._connect = connect
        self._threads = threads
        self._journal = journal
        self._memory = memory
        self.limits = limits
        self.deadline_s = deadline_s
        self._local = threading.local()
        self._abandoned = threading.Event()
        self.passed_at = 0.0
        self.landings: SimpleQueue[Spread | Landed] = SimpleQueue()

    def deliver(self, legs: Sequence[Leg]) -> None:
        """Send a batch on its way; all its legs have the same rule, or none."""
        self._threads.submit(self._safely, legs, lambda: self._deliver(legs))

    def record(self, verdicts: Sequence[Verdict]) -> None:
        """Write down what needs no delivery."""
        legs = [verdict.leg for verdict in verdicts]
        self._threads.submit(self._safely, legs, lambda: self._write([verdicts], "", ""))

    def abandon(self) -> None:
        """Write no more: what was not written is delivered again by whoever comes next."""
        self._abandoned.set()

    def _safely(self, legs: Sequence[Leg], step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # a bug: the batch must come back all the same, or its records were never committed
            log.exception(
                "%s: a batch of %d could not be handled", self._trigger, len(legs), extra={"trigger": self._trigger}
            )
            self.landings.put(Landed(mood="away", back=tuple(legs), why="an error of the feed's own"))

    @property
    def _follower(self) -> Follower:
        if not hasattr(self._local, "follower"):
            self._local.follower = Follower(self._connect(), self._trigger, self._abandoned)
        follower: Follower = self._local.follower
        return follower

    def _deliver(self, legs: Sequence[Leg]) -> None:
        rule = legs[0].rule
        delivery = Delivery(
            schema=SCHEMA,
            deadline=int((time.time() + self.deadline_s) * 1000),
            messages=tuple(leg.message for leg in legs),
        )
        try:
            started = self._follower.fire(delivery) if rule is None else [self._follower.invoke(rule, delivery)]
        except (Busy, Away) as error:
            mood: Mood = "throttled" if isinstance(error, Busy) else "away"
            self.landings.put(Landed(mood=mood, back=tuple(legs), why=str(error)))
        except Outage as error:
            if rule is None:
                self.landings.put(Landed(mood="away", back=tuple(legs), why=str(error)))
            else:
                self._wait(legs, str(error), "")
        except RuleGone as error:
            failure = _failure("rule_gone", str(error), retryable=False)
            verdicts = [settlement.refused(leg, _at(failure, leg), self.limits, time.time()) for leg in legs]
            self._write([verdicts], "", "")
        except BatchFailed as error:
            self._failed(legs, str(error), "")
        except Vanished as error:
            self._vanished(legs, str(error))
        else:
            self._spread(legs, started, delivery)

    def _spread(self, legs: Sequence[Leg], started: Sequence[Started], delivery: Delivery) -> None:
        """Follow each rule by itself, so that one rule's trouble neither delays nor repeats another."""
        ways = [([msgspec.structs.replace(leg, rule=one.rule) for leg in legs], one) for one in started]
        if len(ways) > 1:
            self.landings.put(Spread(tuple(leg.entry for leg in legs), len(ways) - 1))
            for way, one in ways[1:]:
                self._threads.submit(self._safely, way, partial(self._follow, way, one, delivery))
        self._follow(*ways[0], delivery)

    def _follow(self, legs: Sequence[Leg], started: Started, delivery: Delivery) -> None:
        if not started.activation:
            self._wait(legs, f"rule {started.rule.name}: {started.why}", "throttled" if started.throttled else "")
            return
        minted = 0
        try:
            report = self._follower.report(started.activation, delivery)
            if report is None:
                verdicts = [settlement.accepted(leg) for leg in legs]
            else:
                verdicts = settlement.judge(legs, report, self.limits, time.time())
                minted = report.minted
        except Outage as error:
            self._wait(legs, str(error), "away")
        except (BatchFailed, UnfitReport) as error:
            self._failed(legs, str(error), started.activation)
        except Vanished as error:
            self._vanished(legs, str(error))
        else:
            if why := settlement.standstill(report, delivery.deadline / 1000, time.time()):
                log.error("%s: %s", self._trigger, why, extra={"trigger": self._trigger})
            self._write([verdicts], started.activation, "away" if why else "passed", why, minted)

    def _wait(self, legs: Sequence[Leg], why: str, mood: Mood) -> None:
        failure = _failure("unavailable", why, retryable=True)
        verdicts = [settlement.wait(leg, _at(failure, leg), self.limits, time.time()) for leg in legs]
        self._write([verdicts], "", mood, why)

    def _vanished(self, legs: Sequence[Leg], why: str) -> None:
        if all(leg.tries >= MOST_VANISHED for leg in legs):
            self._failed(legs, why, "")
        else:
            self._wait(legs, why, "late")

    def _failed(self, legs: Sequence[Leg], why: str, activation: str) -> None:
        """A batch of many that came to nothing is cut in half, until the one that spoils it stands alone.

        Alone it uses up its attempts, unless nothing else came through since it failed first: then the pipeline is
        at fault, and it waits.
        """
        now = time.monotonic()
        for leg in legs:
            leg.entry.failed_at = leg.entry.failed_at or now
        if len(legs) > 1:
            half = len(legs) // 2
            groups = [[Verdict(leg=leg, again=leg) for leg in part] for part in (legs[:half], legs[half:])]
            self._write(groups, activation, "failed", why)
            return
        (leg,) = legs
        failure = _at(_failure("sequence_failed", why, retryable=True), leg)
        judged = settlement.refused if self.passed_at > (leg.entry.failed_at or now) else settlement.wait
        self._write([[judged(leg, failure, self.limits, time.time())]], activation, "failed", why)

    def _write(
        self, groups: Sequence[Sequence[Verdict]], activation: str, mood: Mood, why: str = "", minted: int = 0
    ) -> None:
        """Write outcomes and letters, for as long as it takes, and land."""
        written: list[outcomes.Outcome] = []
        dead: list[letters.Letter] = []
        parked: list[letters.Letter] = []
        now = time.time()
        for verdict in (verdict for group in groups for verdict in group):
            leg = verdict.leg
            rule = leg.rule.name if leg.rule is not None else None
            for done in verdict.done:
                written.append(
                    outcomes.of_done(
                        done, leg.message, trigger=self._trigger, rule=rule, activation=activation, now=now
                    )
                )
            for failures, word, several in (
                (verdict.dead, "dead-lettered", dead),
                (verdict.parked, "parked", parked),
            ):
                for failure in failures:
                    written.append(
                        outcomes.of_failure(
                            failure,
                            leg.message,
                            word,  # type: ignore[arg-type]  # mypy widens the literals of the loop's tuple
                            trigger=self._trigger,
                            rule=rule,
                            activation=activation,
                            now=now,
                        )
                    )
                    several.append(
                        letters.letter(
                            leg.message,
                            failure,
                            trigger=self._trigger,
                            rule=leg.rule,
                            functions=(failure.function,) if failure.function else (),
                            times=leg.entry.times + 1 if word == "parked" else 0,
                        )
                    )
        while written and not self._abandoned.is_set():
            try:
                self._journal.write(written, dead=dead, parked=parked)
                break
            except NotWritten as error:
                log.warning("%s: outcomes wait: %s", self._trigger, error, extra={"trigger": self._trigger})
                self._abandoned.wait(REWRITE_S)
        else:
            if written:
                return
        self._memory.add(written)
        self.landings.put(Landed(mood=mood, groups=tuple(map(tuple, groups)), why=why, minted=minted))


def _failure(code: str, why: str, *, retryable: bool) -> dict[str, object]:
    return {"stage": "filter", "code": code, "message": why[:500], "retryable": retryable}


def _at(failure: dict[str, object], leg: Leg) -> Failure:
    return msgspec.convert({**failure, "origin": msgspec.to_builtins(leg.message.origin)}, Failure)
