"""One contract for every place where registrations are kept: files, and a compacted topic of a real Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faasfeeds.kafka.directory import DirectoryRegistrations
from faasfeeds.kafka.registration import Registration, Registrations, Settings
from faasfeeds.kafka.topic import TopicRegistrations
from tests.parts import kafka

Open = Callable[[], Registrations]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Kafka]:
    with kafka.running(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(params=["directory", "topic"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same, at first empty, place anew at every call."""
    stores: list[Registrations] = []

    def open_store() -> Registrations:
        if request.param == "directory":
            stores.append(DirectoryRegistrations(tmp_path / "registrations"))
        else:
            broker: kafka.Kafka = request.getfixturevalue("broker")
            stores.append(TopicRegistrations(broker.cluster, f"registrations-{tmp_path.name}"))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def registration(trigger: str, *topics: str) -> Registration:
    return Registration(trigger=trigger, auth="sealed", settings=Settings(topics=topics or ("billing",)))


def test_what_is_put_is_found_by_whoever_looks(opened: Open) -> None:
    writer, reader = opened(), opened()
    assert reader.all() == []

    writer.put(registration("/ns/b"))
    writer.put(registration("/ns/a", "x", "y"))

    for store in (writer, reader, opened()):
        assert store.all() == [registration("/ns/a", "x", "y"), registration("/ns/b")]
        assert store.get("/ns/a") == registration("/ns/a", "x", "y")
        assert store.get("/ns/c") is None


def test_the_last_one_put_counts_and_a_deleted_one_is_gone(opened: Open) -> None:
    store = opened()
    store.put(registration("/ns/a", "old"))
    store.put(registration("/ns/a", "new"))
    store.put(registration("/ns/b"))
    store.delete("/ns/b")
    store.delete("/ns/never-there")

    assert store.all() == opened().all() == [registration("/ns/a", "new")]
    assert store.get("/ns/b") is None


def test_a_trigger_may_be_registered_again(opened: Open) -> None:
    store = opened()
    store.put(registration("/ns/ä"))
    store.delete("/ns/ä")
    store.put(registration("/ns/ä", "again"))

    assert opened().get("/ns/ä") == registration("/ns/ä", "again")


def test_a_compacted_topic_keeps_the_newest_of_each_trigger(broker: kafka.Kafka) -> None:
    """Given many changes and a broker that compacts at once, then what is read anew is the last of each."""
    broker.create(
        "compacted",
        cleanup_policy="compact",
        segment_ms="500",
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="500",
    )
    store = TopicRegistrations(broker.cluster, "compacted")
    for change in range(30):
        store.put(registration(f"/ns/{change % 3}", f"topic{change}"))

    def kept() -> int:
        reader = broker.cluster.reader()
        try:
            from kafka import TopicPartition

            partition = TopicPartition("compacted", 0)
            reader.assign([partition])
            reader.seek_to_beginning(partition)
            count = 0
            while reader.position(partition) < reader.end_offsets([partition])[partition]:
                count += sum(map(len, reader.poll(timeout_ms=100).values()))
            return count
        finally:
            reader.close()

    end = time.monotonic() + 30
    while kept() >= 30:
        assert time.monotonic() < end, "the topic was not compacted"
        store.put(registration("/ns/0", "topic27"))  # a later write rolls the segment
        time.sleep(0.2)
    expected = [registration(f"/ns/{n}", f"topic{27 + n}") for n in range(3)]
    again = TopicRegistrations(broker.cluster, "compacted")
    assert store.all() == again.all() == expected
    store.close()
    again.close()
