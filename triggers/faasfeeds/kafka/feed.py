"""One trigger's feed: read, deliver, follow, settle, write the outcomes, and only then commit.

The consumer is always polled, also while a batch is under way, since a member that does not poll stops the whole
group; back-pressure is `pause`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata, TopicPartition

from eventflow.batch import Message, Report
from eventflow.clients.openwhisk import OpenWhisk
from eventflow.errors import FaasError
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.delivery import BatchFailed, Delivered, Outage, deliver
from faasfeeds.kafka.outcomes import NotWritten, Outcomes
from faasfeeds.kafka.progress import Progress
from faasfeeds.kafka.records import batches, message
from faasfeeds.kafka.registration import Registration
from faasfeeds.kafka.settlement import Verdict, settle, settle_failed

log = logging.getLogger(__name__)

IDLE_POLL_MS = 500
BUSY_POLL_MS = 5
PATIENCE_S = 120.0
"""Seconds that a batch may take before it is lost for certain (and the grace)."""

COMMIT_TIMEOUT_MS = 5000
MOST_WAITING = 20_000
"""Records that are read but not settled; beyond, the feed reads no more until some are."""


class TriggerFeed:
    """Feeds one trigger until it is told to stop. One batch is in flight at a time."""

    def __init__(self, registration: Registration, cluster: Cluster, openwhisk: OpenWhisk, outcomes: Outcomes) -> None:
        self.registration = registration
        self._cluster = cluster
        self._openwhisk = openwhisk
        self._outcomes = outcomes
        self._progress = Progress()
        self._ready: deque[list[Message]] = deque()
        self._later: list[tuple[float, int, list[Message]]] = []
        self._ticket = itertools.count()
        self._outages = 0
        self._stop = threading.Event()
        self._lost: SimpleQueue[tuple[str, int]] = SimpleQueue()
        self._trigger = registration.trigger.rpartition("/")[2]

    def stop(self) -> None:
        """Ask the feed to end: the batch under way is settled first."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether it was told to end."""
        return self._stop.is_set()

    def run(self) -> None:
        """Feed until `stop`; a broker that goes away is waited for."""
        consumer = self._cluster.consumer(self.registration.trigger)
        try:
            consumer.subscribe(list(self.registration.settings.topics), listener=_Listener(self._lost))
            with ThreadPoolExecutor(1, thread_name_prefix="deliver") as pool:
                self._loop(consumer, pool)
        finally:
            self._outcomes.close()
            consumer.close(timeout_ms=2000)

    def _loop(self, consumer: Any, pool: ThreadPoolExecutor) -> None:
        under_way: tuple[list[Message], Future[Delivered]] | None = None
        while under_way is not None or not self._stop.is_set():
            self._read(consumer, busy=under_way is not None)
            if under_way is not None and under_way[1].done():
                self._finish(*under_way)
                self._commit(consumer)
                under_way = None
            if under_way is None and not self._stop.is_set() and (batch := self._next()):
                under_way = batch, pool.submit(self._deliver, batch)

    def _read(self, consumer: Any, *, busy: bool) -> None:
        full = self._progress.in_flight() >= MOST_WAITING or self._stop.is_set()
        partitions = consumer.assignment()
        if full:
            consumer.pause(*partitions)
        elif consumer.paused():
            consumer.resume(*partitions)
        wait = BUSY_POLL_MS if busy or self._ready or self._due() else IDLE_POLL_MS
        try:
            polled = consumer.poll(timeout_ms=wait)
        except Exception as error:  # a broker that went away; kafka-python reconnects by itself
            log.warning("%s: poll failed: %s", self.registration.trigger, error)
            self._stop.wait(1.0)
            return
        self._forget_lost()
        messages = [message(record) for records in polled.values() for record in records]
        for one in messages:
            self._progress.received(one.origin)
        settings = self.registration.settings
        self._ready.extend(batches(messages, records=settings.batch_records, size=settings.batch_bytes))

    def _due(self) -> bool:
        return bool(self._later) and self._later[0][0] <= time.monotonic()

    def _next(self) -> list[Message] | None:
        """What waited longest for another try, else what was read first."""
        if self._due():
            return heapq.heappop(self._later)[2]
        return self._ready.popleft() if self._ready else None

    def _deliver(self, batch: Sequence[Message]) -> Delivered:
        return deliver(self._openwhisk, self._trigger, batch, patience=PATIENCE_S, now=time.time, sleep=self._stop.wait)

    def _finish(self, batch: list[Message], future: Future[Delivered]) -> None:
        attempts = self.registration.settings.max_attempts
        activation = ""
        report = Report()
        try:
            delivered = future.result()
            report, activation = delivered.report, delivered.activation
            self._outages = 0
            groups = [settle(batch, report, max_attempts=attempts)]
        except Outage as error:
            self._wait(batch, error)
            return
        except BatchFailed as error:
            log.warning("%s: a batch of %d failed: %s", self.registration.trigger, len(batch), error)
            groups = settle_failed(batch, str(error), max_attempts=attempts)
        verdicts = [verdict for group in groups for verdict in group]
        try:
            self._outcomes.write(
                report.done,
                [(verdict.message, failure) for verdict in verdicts for failure in verdict.dead],
                activation=activation,
                at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            )
        except NotWritten as error:
            # delivered again as it was: the jobs are there by now and come back as duplicates
            self._wait(batch, error)
            return
        for group in groups:
            self._schedule(group)

    def _schedule(self, verdicts: Sequence[Verdict]) -> None:
        again: dict[float, list[Message]] = {}
        for verdict in verdicts:
            if verdict.again is None:
                self._progress.settled(verdict.message.origin)
            else:
                again.setdefault(verdict.delay, []).append(verdict.again)
        for delay, messages in again.items():
            self._push(delay, messages)

    def _wait(self, batch: list[Message], error: FaasError) -> None:
        delay = min(30.0, 0.25 * 2.0**self._outages)
        self._outages += 1
        log.warning("%s: waiting %.1f s: %s", self.registration.trigger, delay, error)
        self._push(delay, batch)

    def _push(self, delay: float, messages: list[Message]) -> None:
        heapq.heappush(self._later, (time.monotonic() + delay, next(self._ticket), messages))

    def _commit(self, consumer: Any) -> None:
        offsets = self._progress.committable()
        if not offsets:
            return
        wanted = {
            TopicPartition(*partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()
        }
        try:
            consumer.commit(wanted, timeout_ms=COMMIT_TIMEOUT_MS)
        except Exception as error:  # a rebalance or a broker that went away: committed with the next batch
            log.warning("%s: commit failed: %s", self.registration.trigger, error)
        else:
            self._progress.committed(offsets)

    def _forget_lost(self) -> None:
        """Revoked partitions are read from their last commit, here or elsewhere: what is known of them is void."""
        lost: set[tuple[str, int]] = set()
        while not self._lost.empty():
            lost.add(self._lost.get())
        if not lost:
            return
        for partition in lost:
            self._progress.forget(partition)
        keep = [[one for one in batch if (one.topic, one.partition) not in lost] for batch in self._ready]
        self._ready = deque(batch for batch in keep if batch)
        self._later = [
            (due, ticket, rest)
            for due, ticket, batch in self._later
            if (rest := [one for one in batch if (one.topic, one.partition) not in lost])
        ]
        heapq.heapify(self._later)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Called on the client's own thread, where nothing may raise or block: it only takes note."""

    def __init__(self, lost: SimpleQueue[tuple[str, int]]) -> None:
        self._lost = lost

    def on_partitions_revoked(self, revoked: Any) -> None:
        for partition in revoked:
            self._lost.put((partition.topic, partition.partition))

    def on_partitions_assigned(self, assigned: Any) -> None:
        return
