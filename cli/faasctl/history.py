"""The topic of outcomes, read from a point in time to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kafka import TopicPartition

from eventflow.errors import FaasError
from faasctl.environment import Environment
from faasctl.kafka import cluster
from faasfeeds import outcomes
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.instants import seek_to_time
from faasfeeds.outcomes import BadOutcome, Outcome


class NoHistory(FaasError):
    """The outcomes cannot be read now."""


def read(env: Environment, since: float) -> Iterator[Outcome]:
    """Every outcome that was written since a time (unix s), oldest first within its partition.

    Raises `NoHistory` and `faasfeeds.kafka.connecting.Unreachable`; records that are no outcomes are left out.
    """
    for record in records(cluster(env), (env.kafka.outcomes,), since):
        try:
            yield outcomes.decode(record)
        except BadOutcome:
            continue


def records(brokers: Cluster, topics: tuple[str, ...], since: float) -> Iterator[Any]:
    """The records of some topics since a time (unix s) up to their end as it is now; raises `NoHistory`."""
    reader = brokers.reader()
    try:
        partitions = [
            TopicPartition(topic, number) for topic in topics for number in reader.partitions_for_topic(topic) or ()
        ]
        if not partitions:
            return
        reader.assign(partitions)
        ends = seek_to_time(brokers, reader, partitions, int(since * 1000))
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for several in reader.poll(timeout_ms=500).values():
                yield from (record for record in several if record.timestamp >= since * 1000)
    except FaasError:
        raise
    except Exception as error:  # kafka-python's errors have no common root that would leave out bugs
        raise NoHistory(f"{type(error).__name__}: {error}", where=", ".join(topics), hint="is Kafka up?") from None
    finally:
        reader.close()
