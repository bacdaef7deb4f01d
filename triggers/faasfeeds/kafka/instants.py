"""Where in a topic a point in time is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafka import TopicPartition

from faasfeeds.kafka.cluster import Cluster

PATIENCE_MS = 10_000


def seek_to_time(
    cluster: Cluster, reader: Any, partitions: Sequence[TopicPartition], since_ms: int
) -> Mapping[TopicPartition, int]:
    """Let an assigned reader begin with the first records since a time (unix ms); returns the ends as they are now.

    A broker whose version is pinned (the local stack's) finds no offsets by time, so it is read from the beginning.
    """
    ends: Mapping[TopicPartition, int] = reader.end_offsets(partitions, timeout_ms=PATIENCE_MS)
    if cluster.api_version is not None:
        reader.seek_to_beginning(*partitions)
        return ends
    found = reader.offsets_for_times(dict.fromkeys(partitions, since_ms), timeout_ms=PATIENCE_MS)
    for partition in partitions:
        start = found.get(partition)
        reader.seek(partition, start.offset if start is not None else ends[partition])
    return ends
