"""Where partitions end, and whether Kafka answers at all."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from kafka import TopicPartition

from faasctl.local.broker import API_VERSION
from faasctl.local.process import Service
from faasfeeds.kafka import watermarks
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.watermarks import SILENT_S, Watermarks
from tests.parts.platform import wait


def test_a_partition_that_is_gone_hides_no_other_and_a_broker_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermarks, "PATIENCE_MS", 500)
    monkeypatch.setattr(watermarks, "ASK_S", 0.1)
    broker = Service("broker", ("faasctl.local.broker",), tmp_path / "broker.log")
    stop = threading.Event()
    try:
        cluster = Cluster(bootstrap_servers=tuple(broker.ready()["bootstrap_servers"]), api_version=API_VERSION)
        producer = cluster.producer()
        for topic in ("own", "there"):
            producer.send(topic, value=b"a record", partition=0).get(timeout=10)
        there, gone = TopicPartition("there", 0), TopicPartition("gone", 999)
        asked = Watermarks(cluster, "own", lambda: [there, gone])
        assert asked.silent(time.time())
        thread = threading.Thread(target=asked.follow, args=(stop,))
        thread.start()
        wait(lambda: asked.ends or None, "the first answer")
        assert asked.ends == {there: 1}
        producer.send("there", value=b"another", partition=0).get(timeout=10)
        wait(lambda: asked.ends == {there: 2} or None, "the second record")
        assert not asked.silent(time.time())
        producer.close(timeout=2)
        broker.stop()
        assert asked.silent((asked.answered or 0) + SILENT_S + 1)
    finally:
        stop.set()
        broker.stop()
    thread.join(30)
    assert not thread.is_alive()
