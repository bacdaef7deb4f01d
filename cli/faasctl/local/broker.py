"""A Kafka-protocol broker for laptops: librdkafka's mock cluster, in a process of its own.

It speaks the protocol well enough for producers and consumer groups, and keeps everything in memory: about 5 MiB a
partition, the oldest dropped without a word, no compaction, nothing after a restart. It serves on a loopback port of
its own choice. Clients must pin `api_version` to 2.3.
"""

from __future__ import annotations

import signal
import threading

from confluent_kafka import Producer

from faasctl.local import announce, lifeline

API_VERSION = (2, 3)


def serve() -> None:
    """Run the broker until SIGTERM or SIGINT."""
    lifeline.watch()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    holder = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    brokers = holder.list_topics(timeout=10).brokers.values()
    announce.ready(bootstrap_servers=[f"{broker.host}:{broker.port}" for broker in brokers])
    stop.wait()


if __name__ == "__main__":
    serve()
