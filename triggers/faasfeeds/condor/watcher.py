"""The service that watches the schedds: a thread for each, so that one that answers slowly delays no other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from eventflow.batch import Message, key_parts
from eventflow.errors import FaasError
from eventflow.watching import Watch
from faasfeeds.condor import telling
from faasfeeds.condor.budget import Budget
from faasfeeds.condor.ledger import Ledger
from faasfeeds.condor.originals import Originals
from faasfeeds.condor.state import ScheddState, WatcherState, looked
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.journal import Journal
from faasfeeds.kafka.letters import Letter
from faasfeeds.outcomes import Outcome

log = logging.getLogger(__name__)

TICK_S = 5.0

OVERLAP_S = 300.0
"""Each look goes back so much further than the last one that succeeded."""

MOST_AT_ONCE = 500
"""Ends that are told in one go, and jobs that are asked for by their id."""

Pause = Callable[[str, str, int], bool]
"""Pauses a function, given its name, the version that failed, and how often; False when that version is not the one
in force."""


class Watcher:
    """Watches every schedd of a pool until told to stop."""

    def __init__(
        self,
        schedds: Mapping[str, Watch],
        cluster: Cluster,
        journal: Journal,
        ledger: Ledger,
        budget: Budget,
        pause: Pause,
        *,
        tick: float = TICK_S,
    ) -> None:
        self._schedds = schedds
        self._cluster = cluster
        self._journal = journal
        self._ledger = ledger
        self._budget = budget
        self._spending = threading.Lock()
        self._pause = pause
        self._tick = tick
        self._states = {name: ScheddState(name=name) for name in schedds}

    @property
    def state(self) -> WatcherState:
        """How things stand; safe to read from any thread."""
        return WatcherState(is_whole=self._ledger.is_whole, schedds=tuple(self._states.values()))

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Watch until ``stop`` is set; ``beat`` is called often."""
        while not self._ledger.is_whole:
            beat()
            if stop.wait(0.1):
                return
        threads = [
            threading.Thread(target=self._watch, args=(name, schedd, stop), name=f"schedd {name}")
            for name, schedd in self._schedds.items()
        ]
        for thread in threads:
            thread.start()
        while not stop.wait(0.5):
            beat()
        for thread in threads:
            thread.join()

    def _watch(self, name: str, schedd: Watch, stop: threading.Event) -> None:
        look = _Look(name, schedd, self._ledger)
        originals = Originals(self._cluster)
        trouble, about = "", {"schedd": name}
        while not stop.is_set():
            try:
                for told in _portions(look.outcomes()):
                    self._tell(told, originals)
                self._states[name] = look.succeeded()
                if trouble:
                    log.info("schedd %s: goes on", name, extra=about)
                trouble = ""
            except Exception as error:  # schedd or brokers: nothing is told that was not written, so it is told later
                if not isinstance(error, FaasError | TimeoutError) and not _is_kafkas(error):
                    log.exception("schedd %s: the watcher failed and goes on", name, extra=about)
                elif not trouble:
                    log.warning("schedd %s: waiting: %s", name, error, extra=about)
                trouble = str(error)
                originals.close()
            stop.wait(self._tick)
        originals.close()

    def _tell(self, told: Sequence[Outcome], originals: Originals) -> None:
        messages = originals.fetch(one.origin for one in told if telling.is_dead(one))
        told = [telling.renewed(one) if telling.may_be_renewed(one) and one.origin in messages else one for one in told]
        dead = [_letter(one, messages.get(one.origin)) for one in told if telling.is_dead(one)]
        again = [_letter(one, messages[one.origin]) for one in told if one.code == telling.RENEWED]
        self._journal.write(told, dead=dead, parked=[msgspec.structs.replace(one, redriven=True) for one in again])
        self._ledger.add(told)
        for one in told:
            log.log(
                logging.INFO if one.outcome == "completed" else logging.WARNING,
                "job %s of schedd %s (%s): %s%s",
                one.job,
                one.destination,
                one.key,
                f"{one.outcome} and renewed" if one.code == telling.RENEWED else one.outcome,
                f": {one.why}" if one.why else "",
                extra=one.about,
            )
        with self._spending:
            over = self._budget.spend(told)
        for function, version, count in over:
            self._stop_function(function, version, count)

    def _stop_function(self, function: str, version: str, count: int) -> None:
        try:
            paused = self._pause(function, version, count)
        except FaasError as error:
            log.error(
                "%s: %d jobs failed in a row, and it cannot be paused: %s",
                *(function, count, error),
                extra={"function": function},
            )
            return
        if paused:
            log.error(
                "%s is PAUSED: %d jobs of version %s failed in a row; its events are parked until `faasctl fn resume`",
                *(function, count, version),
                extra={"function": function},
            )


class _Look:
    """One schedd, and when it was last looked at with success."""

    def __init__(self, name: str, schedd: Watch, ledger: Ledger) -> None:
        self._name = name
        self._schedd = schedd
        self._ledger = ledger
        self._last: float | None = None
        self._begun = 0.0
        self._seen = ScheddState(name=name)

    def outcomes(self) -> list[Outcome]:
        """What is to be told now; raises `PoolUnavailable`."""
        self._begun = time.monotonic()
        within = None if self._last is None else self._begun - self._last + OVERLAP_S
        with self._ledger.lock:
            pending = self._ledger.jobs.pending(self._name)
        rows = self._schedd.watch(within)
        absent = telling.missing(pending, rows)[:MOST_AT_ONCE]
        recalled = self._schedd.recall(absent) if absent else []
        now = time.time()
        gone = telling.missing({job: pending[job] for job in absent}, recalled)
        self._seen = looked(self._name, rows, now)
        with self._ledger.lock:
            told = telling.tell([*rows, *recalled], self._ledger.jobs, now)
        return [*told, *telling.lost(pending, gone, now)]

    def succeeded(self) -> ScheddState:
        """All of it was told; the schedd as it was seen."""
        self._last = self._begun
        return self._seen


def _portions(told: Sequence[Outcome]) -> list[Sequence[Outcome]]:
    return [told[start : start + MOST_AT_ONCE] for start in range(0, len(told), MOST_AT_ONCE)]


def _letter(one: Outcome, message: Message | None) -> Letter:
    """The letter of a job that came to nothing; without its record, which retention took, it cannot be redriven."""
    place = one.origin
    kept = message or Message(topic=place.topic, partition=place.partition, offset=place.offset, timestamp=one.written)
    return Letter(
        trigger=one.trigger,
        message=msgspec.structs.replace(kept, run=key_parts(one.key)[2] + 1),  # a job with a key of its own
        functions=(one.function,) if one.function else (),
        id=one.id,
        code=one.code or "",
        stage=one.stage or "",
        why=one.why or "",
        destination=one.destination or "",
        cut="" if message is not None else "the record is gone",
    )


def _is_kafkas(error: Exception) -> bool:
    return type(error).__module__.startswith("kafka.")
