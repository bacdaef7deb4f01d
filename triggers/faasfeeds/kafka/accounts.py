"""The books of a trigger, read from what its consumer group has committed. Nobody needs to run for that."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from kafka import TopicPartition

from eventflow.errors import FaasError
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.ledger import Books, books

PATIENCE_MS = 10_000


class NoAccount(FaasError):
    """The brokers do not tell what was committed."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The books of everything committed, how many records are not (``lag``), and those in the topic of parked items
    that were not looked at yet (``parked_lag``)."""

    books: Books
    lag: int
    parked_lag: int


def account(cluster: Cluster, trigger: str, topics: Sequence[str], parked: str) -> Account:
    """The account of a trigger that is fed from ``topics``; raises `NoAccount` and `Unreachable`."""
    consumer = cluster.consumer(trigger)  # of the group in name only: it never joins
    try:
        partitions = [
            TopicPartition(topic, number)
            for topic in (*topics, parked)
            for number in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        ends = consumer.end_offsets(partitions, timeout_ms=PATIENCE_MS)
        begins = consumer.beginning_offsets(partitions, timeout_ms=PATIENCE_MS)
        committed: dict[tuple[str, int], tuple[int, str]] = {}
        lag = {True: 0, False: 0}
        for partition in partitions:
            held = consumer.committed(partition, metadata=True, timeout_ms=PATIENCE_MS)
            if held is not None:
                committed[(partition.topic, partition.partition)] = (held.offset, held.metadata or "")
            start = held.offset if held is not None else begins[partition]
            lag[partition.topic == parked] += max(0, ends[partition] - start)
    except Exception as error:  # kafka-python's errors have no common root that would leave out bugs
        raise NoAccount(f"{type(error).__name__}: {error}", where=f"trigger {trigger}") from None
    finally:
        consumer.close()
    return Account(books=books(committed, parked), lag=lag[False], parked_lag=lag[True])
