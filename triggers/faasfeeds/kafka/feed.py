"""One trigger's feed: read, sift, deliver, follow, settle, write the outcomes, and only then commit."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from kafka import TopicPartition

from eventflow.batch import Failure
from eventflow.clients.openwhisk import OpenWhisk
from faasfeeds.kafka.chronicle import Chronicle
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.delivery import Deliveries, Landed, Spread
from faasfeeds.kafka.entrance import Entrance
from faasfeeds.kafka.flight import Entry, Leg
from faasfeeds.kafka.following import Follower
from faasfeeds.kafka.intake import Intake
from faasfeeds.kafka.journal import Journal
from faasfeeds.kafka.line import Line
from faasfeeds.kafka.memory import Memory
from faasfeeds.kafka.pace import MOST_FLIGHTS, Pace
from faasfeeds.kafka.probe import probe
from faasfeeds.kafka.records import ConsumerRecord
from faasfeeds.kafka.registration import Registration, Settings
from faasfeeds.kafka.settlement import Limits, Verdict, refused
from faasfeeds.kafka.sieve import RegistryAway, Sieve
from faasfeeds.kafka.state import FeedState

log = logging.getLogger(__name__)

IDLE_POLL_MS = 100
BUSY_POLL_MS = 5
DRAIN_S = 30.0
"""Seconds that batches under way are waited for at the end; what is not settled then is delivered again."""

REGISTRY_S = 0.5
"""Seconds between two attempts to read a registry that is away."""


class TriggerFeed:
    """Feeds one trigger until it is told to stop.

    ``connect`` makes a client with the key of the trigger's owner; ``parked`` is the topic of parked items.
    """

    def __init__(
        self,
        registration: Registration,
        cluster: Cluster,
        *,
        connect: Callable[[], OpenWhisk],
        sieve: Sieve,
        journal: Journal,
        memory: Memory,
        parked: str,
    ) -> None:
        self._trigger = registration.trigger
        self._about = {"trigger": self._trigger}
        self._settings = self._next_settings = registration.settings
        self._limits = Limits(self._settings.max_attempts, self._settings.max_age_s)
        self._cluster = cluster
        self._connect = connect
        self._sieve = sieve
        self._memory = memory
        self._parked = parked
        self._pace = Pace(self._settings.batch_records)
        self._line = Line()
        self._entrance = Entrance(
            self._trigger,
            sieve,
            memory,
            park_s=self._settings.park_s,
            line_up=lambda leg: self._line.add(leg, time.monotonic()),
            bury=self._bury,
        )
        self._threads = ThreadPoolExecutor(4 * MOST_FLIGHTS, thread_name_prefix=self._trigger)
        self._deliveries = Deliveries(
            self._trigger,
            connect,
            self._threads,
            journal=journal,
            memory=memory,
            limits=self._limits,
            deadline_s=self._settings.deadline_s,
        )
        self._stop = threading.Event()
        self._flying = 0
        self._dead: list[Verdict] = []
        self._registry_at = 0.0
        self._chronicle = Chronicle(self._trigger)

    @property
    def state(self) -> FeedState:
        """How things stand; safe to read from any thread."""
        return self._chronicle.state

    def stop(self) -> None:
        """Ask the feed to end: the batches under way are settled first."""
        self._stop.set()

    def change(self, settings: Settings) -> None:
        """Go on with other settings, from the next batch on; what is read must be the same (`Settings.reads_as`)."""
        self._next_settings = settings

    def run(self) -> None:
        """Feed until `stop`; brokers and OpenWhisk that go away are waited for. Raises `probe.NotStored`. Runs once."""
        probe(Follower(self._connect(), self._trigger, self._stop), self._trigger, self._stop)
        while not self._memory.is_whole and not self._stop.is_set():
            self._stop.wait(0.02)
        if self._stop.is_set():
            return
        intake = Intake(
            self._cluster, self._trigger, [*self._settings.topics, self._parked], start=self._settings.start
        )
        try:
            self._look_for(intake)
            while not self._stop.is_set():
                self._step(intake)
            self._drain(intake)
        finally:
            self._deliveries.abandon()
            intake.close()
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _look_for(self, intake: Intake) -> None:
        try:
            unseen = intake.unseen()
        except Exception as error:  # brokers that went away just now; the intake waits for them
            text = f"{type(error).__name__}: {error}"
            log.warning("%s: cannot look for its topics: %s", self._trigger, text, extra=self._about)
            return
        if unseen:
            log.warning(
                "%s: the brokers show no topic %s: it is not there, or the user may not read it; it is waited for",
                *(self._trigger, ", ".join(unseen)),
                extra=self._about,
            )

    def _adopt(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = Limits(settings.max_attempts, settings.max_age_s)
        self._deliveries.limits, self._deliveries.deadline_s = self._limits, settings.deadline_s
        self._entrance.park_s = settings.park_s
        self._sieve.prefilter = settings.prefilter
        self._pace.bound(settings.batch_records)

    def _step(self, intake: Intake) -> None:
        if self._next_settings is not self._settings:
            self._adopt(self._next_settings)
        room = self._entrance.has_room
        busy = self._flying or not room or self._line.is_due(time.monotonic())
        intake.poll(BUSY_POLL_MS if busy else IDLE_POLL_MS, closed=not room)
        self._land()
        self._sift(intake)
        self._launch()
        intake.commit()
        self._chronicle.turned(intake, self._entrance)

    def _drain(self, intake: Intake) -> None:
        end = time.monotonic() + DRAIN_S
        while self._flying and time.monotonic() < end:
            intake.poll(BUSY_POLL_MS, closed=True)
            self._land()
            intake.commit()
            self._chronicle.turned(intake, self._entrance)
        while not intake.commit(now=True) and time.monotonic() < end:
            intake.poll(IDLE_POLL_MS, closed=True)

    def _sift(self, intake: Intake) -> None:
        """Decide what every record in line is, as far as there is room and the registry of functions is known."""
        for partition, inbox in intake.inboxes.items():
            if inbox:
                lane = intake.lanes[partition]
                if partition.topic == self._parked:
                    while inbox and self._entrance.has_room and self._entrance.readmit(lane, inbox[0]):
                        inbox.popleft()
                elif self._registry_known(inbox):
                    while inbox and self._entrance.has_room:
                        record = inbox.popleft()
                        if record.offset != lane.expected:
                            self._gap(intake, partition, record)
                        self._entrance.admit(lane, record)
        if self._dead:
            self._flying += 1
            self._deliveries.record(self._dead)
            self._dead = []

    def _registry_known(self, inbox: deque[ConsumerRecord]) -> bool:
        """Whether the registry is known as of the newest of these records."""
        if time.monotonic() < self._registry_at:
            return False
        try:
            self._sieve.refresh(max(record.timestamp for record in inbox))
        except RegistryAway as error:
            self._registry_at = time.monotonic() + REGISTRY_S
            self._chronicle.waits_for(str(error))
            return False
        if self._registry_at:
            self._registry_at = 0.0
            self._chronicle.waits_for("")
        return True

    def _gap(self, intake: Intake, partition: TopicPartition, record: ConsumerRecord) -> None:
        lost = intake.lanes[partition].gap(record.offset, intake.first_offset(partition))
        if lost:
            log.error(
                "%s: LOST %d records of %s before offset %d",
                *(self._trigger, lost, partition, record.offset),
                extra=self._about | {"topic": partition.topic},
            )

    def _bury(self, entry: Entry, failure: Failure) -> None:
        leg = Leg(entry=entry, message=entry.message)
        self._dead.append(refused(leg, failure, self._limits, time.time()))

    def _launch(self) -> None:
        now = time.monotonic()
        settings = self._settings
        while self._flying < self._pace.flights and self._pace.may_fire(now):
            batch = self._line.next(
                now, records=self._pace.records, size=settings.batch_bytes, linger=settings.linger_ms / 1000
            )
            if not batch:
                return
            if ours := self._ours(batch):
                self._flying += 1
                self._pace.fired(now)
                self._deliveries.deliver(ours)

    def _ours(self, legs: Sequence[Leg]) -> list[Leg]:
        """The legs of partitions that are still this consumer's; what others took over is theirs to deliver."""
        for leg in legs:
            if not leg.entry.lane.is_ours and leg.entry.pending:
                self._entrance.forget(leg.entry)
        return [leg for leg in legs if leg.entry.pending]

    def _land(self) -> None:
        landings = self._deliveries.landings
        while not landings.empty():
            landing = landings.get()
            if isinstance(landing, Spread):
                self._flying += landing.more
                for entry in landing.entries:
                    entry.pending += landing.more if entry.pending else 0
                continue
            self._flying -= 1
            hold = self._take_note(landing)
            if landing.back:
                self._put_back(landing.back, hold)
            for group in landing.groups:
                self._settle(group)

    def _take_note(self, landing: Landed) -> float:
        """Go faster or slower by what a landing says; the seconds that what comes back has to wait."""
        now = time.monotonic()
        self._chronicle.landed(landing)
        if landing.mood == "passed":
            self._deliveries.passed_at = now
            self._pace.passed()
        elif landing.mood in ("failed", "late"):
            self._pace.failed(now)
        elif landing.mood == "throttled":
            self._pace.throttled()
        elif landing.mood == "away":
            return self._pace.away(now)
        return 0.0

    def _put_back(self, legs: Sequence[Leg], hold: float) -> None:
        if any(leg.entry.failed_at is not None for leg in legs):  # a part of a batch that failed stays by itself
            self._line.again(legs, time.monotonic() + hold)
        else:
            self._line.put_back(legs)

    def _settle(self, verdicts: Sequence[Verdict]) -> None:
        again: dict[tuple[object, float], list[Leg]] = {}
        for verdict in verdicts:
            entry = verdict.leg.entry
            if not entry.pending:
                continue
            entry.add(verdict.counts)
            if verdict.again is not None:
                again.setdefault((verdict.again.rule, verdict.delay), []).append(verdict.again)
                continue
            entry.pending -= 1
            if not entry.pending:
                self._entrance.ended(entry)
        for (_, delay), legs in again.items():
            self._chronicle.again(len(legs))
            self._line.again(legs, time.monotonic() + delay)
