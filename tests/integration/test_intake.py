"""What the members of a consumer group read of a real Kafka while partitions come and go."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from kafka import TopicPartition

from faasfeeds.kafka.intake import Intake
from tests.parts import kafka
from tests.parts.kafka import Kafka
from tests.parts.platform import wait

PARTITIONS = 6


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with kafka.running(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@contextmanager
def member(broker: Kafka, topic: str) -> Iterator[Intake]:
    """A member that turns quickly, as a feed does with batches under way."""
    stop = threading.Event()

    def turn() -> None:
        while not stop.is_set():
            intake.poll(5)
            intake.commit()

    with closing(Intake(broker.cluster, topic, [topic], start="earliest")) as intake:
        thread = threading.Thread(target=turn)
        thread.start()
        try:
            yield intake
        finally:
            stop.set()
            thread.join()


def test_a_partition_that_moved_is_no_more_the_first_members(broker: Kafka) -> None:
    """The client tells the old assignment until the new one is there: whoever believes it reads on beside the new
    owner, and later takes up its old books where the partition comes back."""
    broker.create("moved", partitions=PARTITIONS)
    with member(broker, "moved") as first:
        wait(lambda: len(first.lanes) == PARTITIONS or None, "the first to have all partitions")
        lanes = dict(first.lanes)
        with member(broker, "moved") as second:
            wait(lambda: len(second.lanes) == PARTITIONS / 2 or None, "the second to have its part")
            wait(lambda: (first.joined and len(first.lanes) == PARTITIONS / 2) or None, "the first to have given it up")
            kept = first.lanes.keys() - second.lanes.keys()
        assert len(kept) == PARTITIONS / 2
        assert {partition for partition, lane in lanes.items() if lane.is_ours} == kept


def test_what_is_there_is_asked_for_before_it_counts_as_a_gap(broker: Kafka) -> None:
    broker.create("asked")
    broker.produce("asked", *(str(number).encode() for number in range(50)))
    partition = TopicPartition("asked", 0)

    def read(intake: Intake, closed: bool) -> int:
        intake.poll(10, closed=closed)
        return len(intake.inboxes.get(partition, ()))

    with closing(Intake(broker.cluster, "asked", ["asked"], start="earliest")) as intake:
        wait(lambda: (read(intake, closed=True) == 0 and partition in intake.lanes) or None, "the partition")
        intake._consumer.seek(partition, 30)  # as if the client had a position of its own
        wait(lambda: read(intake, closed=False) or None, "records")
        assert [record.offset for record in intake.inboxes[partition]] == list(range(50))


def test_a_partition_that_was_full_for_a_while_goes_on(broker: Kafka) -> None:
    """Given more records than a poll used to take, and another partition that has none."""
    count = 5000
    broker.create("full", partitions=2)
    full = TopicPartition("full", 0)
    broker.produce("full", *(str(number).encode() for number in range(count)), partition=full.partition)
    seen: list[int] = []

    def take(intake: Intake) -> bool | None:
        pause = time.monotonic() + 1.0  # longer than a fetch waits for records, so the empty partition answers
        while time.monotonic() < pause:
            intake.poll(10)
        inbox = intake.inboxes.get(full, deque())
        seen.extend(record.offset for record in inbox)
        inbox.clear()
        return len(seen) >= count or None

    with closing(Intake(broker.cluster, "full", ["full"], start="earliest")) as intake:
        wait(lambda: take(intake), "all records")
    assert seen == list(range(count))
