"""The consumer's side of a feed: partitions come and go, records wait in line, offsets are committed with the books.

The consumer is always polled, also when nothing may be read: a member of a group that does not poll stops the whole
group. Back-pressure is `pause`.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any, Literal

from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata, TopicPartition

from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.ledger import Lane
from faasfeeds.kafka.records import ConsumerRecord

log = logging.getLogger(__name__)

COMMIT_TIMEOUT_MS = 5000
COMMIT_EVERY_S = 0.2
JOIN_MS = 500
MOST_UNCOMMITTED = 100_000
"""Records of one partition that wait for an older one; beyond, no more are read of it."""

Start = Literal["earliest", "latest"]


class Intake:
    """What one member of a consumer group reads; for one thread.

    ``lanes`` and ``inboxes`` are by partition, as is ``committed``: the offset and the books that the brokers hold.
    ``joined`` says that the group has given this member its partitions, be they none.
    """

    def __init__(self, cluster: Cluster, group: str, topics: Sequence[str], *, start: Start) -> None:
        self._group = group
        self._start: Start = start
        self.lanes: dict[TopicPartition, Lane] = {}
        self.inboxes: dict[TopicPartition, deque[ConsumerRecord]] = {}
        self.joined = False
        self._suspended: dict[TopicPartition, Lane] = {}
        self._asked: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, tuple[int, str]] = {}
        self._changes: SimpleQueue[tuple[bool, set[TopicPartition]]] = SimpleQueue()
        self._last_commit = 0.0
        self._complained = False
        self._topics = tuple(topics)
        self._consumer = cluster.consumer(group)
        self._consumer.subscribe(list(topics), listener=_Listener(self._consumer, self._changes))

    def poll(self, wait_ms: int, *, closed: bool = False) -> None:
        """Read into the inboxes for at most so long; with ``closed`` nothing is read. Without a partition it waits
        longer: joining a group comes to nothing in many short polls."""
        self._hold(closed)
        if not self.lanes:
            wait_ms = max(wait_ms, JOIN_MS)
        try:
            polled = self._consumer.poll(timeout_ms=wait_ms)
        except Exception as error:  # brokers that went away; kafka-python reconnects by itself
            self._warn("cannot read", error)
            time.sleep(0.5)
            return
        opened = self._rebalanced()
        for partition, records in polled.items():
            lane = self.lanes.get(partition)
            if lane is not None and partition not in opened:  # what was fetched before is not where it goes on
                inbox = self.inboxes[partition]
                expected = inbox[-1].offset + 1 if inbox else lane.expected
                if records[0].offset > expected and self._asked.get(partition) != expected:
                    self._asked[partition] = expected  # a gap is only what does not come when it is asked for
                    self._consumer.seek(partition, expected)
                    continue
                inbox.extend(records if records[0].offset >= expected else (r for r in records if r.offset >= expected))

    def unseen(self) -> list[str]:
        """Those of its topics that the brokers do not show; raises kafka-python's errors."""
        return [topic for topic in self._topics if not self._consumer.partitions_for_topic(topic)]

    def first_offset(self, partition: TopicPartition) -> int:
        """The oldest offset that the brokers hold; raises kafka-python's errors."""
        return int(self._consumer.beginning_offsets([partition])[partition])

    def commit(self, *, now: bool = False) -> bool:
        """Commit what is settled, not more often than makes sense unless ``now``; whether all of it is. What fails is
        tried again."""
        if not self._changes.empty():  # a partition may be another's by now, and the broker would take it from us
            return False
        if not now and time.monotonic() < self._last_commit + COMMIT_EVERY_S:
            return False
        wanted = {
            partition: (lane.settled, lane.metadata())
            for partition, lane in self.lanes.items()
            if self.committed.get(partition, (-1, ""))[0] != lane.settled
        }
        if not wanted:
            return True
        self._last_commit = time.monotonic()
        offsets = {partition: OffsetAndMetadata(offset, books, -1) for partition, (offset, books) in wanted.items()}
        try:
            self._consumer.commit(offsets, timeout_ms=COMMIT_TIMEOUT_MS)
        except Exception as error:  # a rebalance is under way or brokers went away: committed the next time
            if not self._complained:
                self._warn("cannot commit", error)
            self._complained = True
            return False
        self._complained = False
        self.committed.update(wanted)
        return True

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close(timeout_ms=2000)

    def _hold(self, closed: bool) -> None:
        assigned = self._consumer.assignment()
        held = {
            partition
            for partition in assigned
            if closed
            or partition not in self.lanes
            or self.inboxes[partition]
            or len(self.lanes[partition]) > MOST_UNCOMMITTED
        }
        paused = self._consumer.paused()
        if pausing := held - paused:
            self._consumer.pause(*pausing)
        if resuming := (paused & assigned) - held:
            self._consumer.resume(*resuming)

    def _rebalanced(self) -> set[TopicPartition]:
        """Follow what the group decided; the partitions that were opened now. One that comes back before anybody else
        committed to it goes on where it was; otherwise all that is known of it is void.

        Between `on_partitions_revoked` and `on_partitions_assigned` the client still tells the old assignment, which
        is nobody's: nothing is opened then.
        """
        while not self._changes.empty():
            self.joined, partitions = self._changes.get()
            for partition in partitions:
                if not self.joined and partition in self.lanes:
                    self._suspended[partition] = self.lanes.pop(partition)
                    self.inboxes.pop(partition)
        if not self.joined:
            return set()
        opened = set()
        for partition in self._consumer.assignment() - self.lanes.keys():
            try:
                self._open(partition)
                opened.add(partition)
            except Exception as error:  # brokers that went away just now: it stays paused until the next poll
                self._warn(f"cannot open {partition}", error)
        for partition, lane in self._suspended.items():
            lane.is_ours = False
            self.committed.pop(partition, None)
        self._suspended.clear()
        return opened

    def _warn(self, what: str, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        log.warning("%s: %s: %s", self._group, what, text, extra={"trigger": self._group})

    def _open(self, partition: TopicPartition) -> None:
        held = self._consumer.committed(partition, metadata=True, timeout_ms=COMMIT_TIMEOUT_MS)
        lane = self._suspended.get(partition)
        if lane is not None and held is not None and (held.offset, held.metadata) == self.committed.get(partition):
            del self._suspended[partition]
        elif held is not None:
            lane = Lane(held.offset, held.metadata or "")
            self.committed[partition] = (held.offset, held.metadata or "")
        else:
            ask = self._consumer.end_offsets if self._start == "latest" else self._consumer.beginning_offsets
            lane = Lane(int(ask([partition])[partition]))
            self.committed.pop(partition, None)  # so that where it begins is committed at once
        self._consumer.seek(partition, lane.expected)
        self.lanes[partition] = lane
        self.inboxes[partition] = deque()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Called on the client's own thread, where nothing may raise or block: it only takes note."""

    def __init__(self, consumer: Any, changes: SimpleQueue[tuple[bool, set[TopicPartition]]]) -> None:
        self._consumer = consumer
        self._changes = changes

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._changes.put((False, set(revoked)))

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._changes.put((True, set(assigned)))
        if assigned:
            self._consumer.pause(*assigned)  # until it is known where to go on
