"""Where billing records go: a Kafka topic, or a file when there is no Kafka.

Announcing never delays or fails an upload: records wait in a bounded queue, as in dCache's own producer, and a
broker that is away longer than the queue lasts loses the newest ones, which is logged.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from pathlib import Path
from typing import Any, Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError

from faasctl.local.storage.billing import Record

LOG = logging.getLogger(__name__)

CAPACITY = 10_000


class RecordSink(Protocol):
    """Takes records in order."""

    def announce(self, *records: Record) -> None:
        """Pass ``records`` on; returns at once and never raises."""

    def close(self) -> None:
        """Pass on what waits, for a few seconds at most."""


class RecordFile:
    """One line of JSON per record; the file is created 0600, since records say who did what."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._file = path.open("a", encoding="utf-8")

    def announce(self, *records: Record) -> None:
        self._file.writelines(f"{json.dumps(record)}\n" for record in records)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class KafkaTopic:
    """Records without a key on ``topic``, as dCache sends them.

    ``api_version`` is given because the broker may be librdkafka's mock cluster, which cannot be asked for it.
    """

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._waiting: queue.Queue[Record | None] = queue.Queue(CAPACITY)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._produce, args=(bootstrap_servers,), name="billing", daemon=True)
        self._thread.start()

    def announce(self, *records: Record) -> None:
        for record in records:
            try:
                self._waiting.put_nowait(record)
            except queue.Full:
                LOG.error("a %s record of %s is lost: %d wait for Kafka", record["msgType"], record["pnfsid"], CAPACITY)

    def close(self) -> None:
        self._closing.set()
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            LOG.error("%d records are lost: Kafka is away", self._waiting.qsize())
        self._thread.join(10)

    def _produce(self, bootstrap_servers: str) -> None:
        producer: Any = None
        while (record := self._waiting.get()) is not None:
            value = json.dumps(record).encode()
            while True:
                try:
                    producer = producer or KafkaProducer(
                        bootstrap_servers=bootstrap_servers, api_version=(2, 3), acks="all", max_block_ms=2000
                    )
                    producer.send(self._topic, value).add_errback(_lost)
                    break
                except KafkaError as error:
                    LOG.warning("Kafka does not take records yet: %s", error)
                    if self._closing.wait(0.5):
                        return
        if producer is not None:
            producer.close(timeout=5)


def _lost(error: Exception) -> None:
    """The producer has given up on a record; dCache's gives up after the same 120 s."""
    LOG.error("a record is lost: %s", error)
