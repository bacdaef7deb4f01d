"""The feed on a real Kafka: records that it sifts in one process, and events that it delivers."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kafka import TopicPartition

from eventflow import function
from eventflow.filtering import Topic
from eventflow.function import Function
from eventflow.registry import Registry
from faasctl.local.stack import TOPIC
from faasfeeds.kafka.entrance import Entrance
from faasfeeds.kafka.intake import Intake
from faasfeeds.kafka.memory import Memory
from faasfeeds.kafka.sieve import Sieve
from tests.bench.matching import functions
from tests.bench.result import Result, against
from tests.parts import feed, kafka
from tests.parts.feed import Site, matching, other, produce
from tests.unit.test_dcache import SAMPLE

SEED = 1
RECORDS = 150_000
FUNCTIONS = 100
SHARE = 0.02
ROUNDS = 3
EVENTS = 2_000


def measure() -> dict[str, Result]:
    """``feed.prefilter_records_per_s``: records read, decoded and sifted by one process, beside a bare consumer with
    the same settings that reads and parses their JSON. ``feed.delivered_events_per_s``: events from Kafka to their
    jobs in the queue, through the whole sequence on the local host; ``..._throttled`` at OpenWhisk's default limits."""
    with tempfile.TemporaryDirectory() as folder:
        results = prefilter(Path(folder) / "prefilter")
        with feed.running(Path(folder) / "site", settings={"topics": TOPIC}) as site:
            free = delivered(site, "free", EVENTS)
            site.throttle(True)
            slow = delivered(site, "throttled", EVENTS // 2)
    results["feed.delivered_events_per_s"] = Result(round(free, 1), "1/s")
    results["feed.delivered_events_per_s_throttled"] = against(slow, "1/s", free)
    return results


def prefilter(folder: Path) -> dict[str, Result]:
    """Sift a topic from its beginning, several times, in turn with the bare consumer; the best of each counts."""
    chance = random.Random(SEED)
    with kafka.running(folder) as broker:
        broker.create(TOPIC, partitions=6)
        broker.create("parked")
        for _ in range(RECORDS // 10_000):
            broker.produce(TOPIC, *(_record(chance) for _ in range(10_000)))
        bare, ours = 0.0, 0.0
        for turn in range(ROUNDS):
            bare = max(bare, RECORDS / read_bare(broker))
            ours = max(ours, RECORDS / sift(broker, f"bench-{turn}"))
    return {"feed.prefilter_records_per_s": against(ours, "1/s", bare)}


def read_bare(broker: kafka.Kafka) -> float:
    """Seconds in which a consumer reads the topic and parses every value."""
    consumer = broker.cluster.reader()
    partitions = [TopicPartition(TOPIC, number) for number in range(6)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    seen = 0
    begin = time.perf_counter()
    while seen < RECORDS:
        for records in consumer.poll(timeout_ms=100).values():
            for record in records:
                json.loads(record.value)
            seen += len(records)
    taken = time.perf_counter() - begin
    consumer.close()
    return taken


def sift(broker: kafka.Kafka, group: str) -> float:
    """Seconds in which the feed's own way in deals with the topic, commits included; what is wanted is put aside."""
    sieve = Sieve({TOPIC: Topic(instance="bench", format="dcache")}, Registry(_Rows(), _now_ms), frozenset())
    aside: list[Any] = []
    entrance = Entrance(
        "/bench/t",
        sieve,
        Memory(broker.cluster, "outcomes"),
        park_s=5,
        line_up=aside.append,
        bury=lambda entry, failure: aside.append(entry),
    )
    intake = Intake(broker.cluster, group, [TOPIC], start="earliest")
    while len(intake.lanes) < 6:
        intake.poll(10, closed=True)
    begin = time.perf_counter()
    while sum(lane.expected for lane in intake.lanes.values()) < RECORDS:
        intake.poll(100)
        for partition, inbox in intake.inboxes.items():
            if inbox:
                sieve.refresh(inbox[-1].timestamp)
                lane = intake.lanes[partition]
                while inbox:
                    entrance.admit(lane, inbox.popleft())
        intake.commit()
    taken = time.perf_counter() - begin
    intake.close()
    assert len(aside) > RECORDS * SHARE / 2
    return taken


def delivered(site: Site, run: str, count: int) -> float:
    """Events a second, from the first on Kafka to the last that is in the queue and committed."""
    warm = [json.dumps(matching(number, f"warm-{run}")).encode() for number in range(20)]
    produce(site, warm)
    site.drained()
    records = [json.dumps(matching(number, run)).encode() for number in range(count)]
    begin = time.perf_counter()
    produce(site, records)
    site.drained(600)
    return count / (time.perf_counter() - begin)


class _Rows:
    """The functions as OpenWhisk lists them."""

    def __init__(self) -> None:
        self._rows = [_row(one) for one in functions(FUNCTIONS)]

    def get(self, collection: str, name: str = "", /, **query: str | int) -> Any:
        return {"actions": len(self._rows)} if "count" in query else self._rows[:1]

    def pages(self, collection: str) -> Iterable[dict[str, Any]]:
        return self._rows


def _row(one: Function) -> dict[str, Any]:
    annotations = {"faas": function.encode(one), "faas-push": {"code": "sha256:0"}}
    return {
        "namespace": f"functions/{one.namespace}",
        "name": one.name,
        "version": "0.0.1",
        "updated": 1,
        "annotations": [{"key": key, "value": value} for key, value in annotations.items()],
    }


def _record(chance: random.Random) -> bytes:
    record = other(chance)
    if chance.random() < SHARE:
        number = chance.randrange(FUNCTIONS)
        path = f"/data/group{number // 10}/kind{number % 10}/r1/{chance.randrange(10**6)}.root"
        record = {**SAMPLE, "isWrite": "write", "transferPath": path, "pnfsid": f"{chance.randrange(16**36):036X}"}
    return json.dumps(record).encode()


_now_ms: Callable[[], int] = lambda: int(time.time() * 1000)  # noqa: E731
