"""What jobs write is announced on the topic of events, and by a user that the platform knows as its own.

A file by an unknown owner would look like a user's, and fire functions on the platform's own output.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from kafka import TopicPartition

from eventflow.batch import Message
from eventflow.errors import FaasError, ItemError
from eventflow.event import Event
from eventflow.filtering import Topic, decode
from faasctl.deploy.template import identities
from faasctl.doctor.finding import Finding, ok, problem, skipped
from faasctl.doctor.probe import Probe, probes
from faasctl.environment import Environment
from faasctl.kafka import cluster
from faasfeeds.kafka.letters import texts

PATIENCE_S = 15.0


def check(env: Environment) -> Iterator[Finding]:
    """One finding per storage, for the first prefix that jobs may write to there."""
    seen: set[str] = set()
    for probe in probes(env):
        if probe.storage.name not in seen:
            seen.add(probe.storage.name)
            with probe:
                yield _about(env, probe)
    for storage in env.storages:
        if storage.name not in seen:
            yield skipped(f"storage {storage.name}", "no policy lets jobs write to it")


def _about(env: Environment, probe: Probe) -> Finding:
    about = f"storage {probe.storage.name}"
    reader = cluster(env).reader()
    try:
        partitions = [
            TopicPartition(name, number)
            for name in env.kafka.topics
            for number in reader.partitions_for_topic(name) or ()
        ]
        if not partitions:
            return problem(about, "there is no topic of events", "see the check kafka-topics")
        reader.assign(partitions)
        for partition, end in reader.end_offsets(partitions).items():
            reader.seek(partition, end)
        probe.write()
        try:
            begun = time.monotonic()
            event = _awaited(env, reader, probe.path)
        finally:
            probe.remove()
    except FaasError as error:
        return problem(about, str(error), error.hint or "see the check storage-rights")
    finally:
        reader.close()
    if event is None:
        why = f"a file was written, and no event of it came within {PATIENCE_S:.0f} s"
        return problem(about, why, "switch on the storage's events, to a topic that kafka.topics names")
    owner = (event.data.principal or {}).get("username")
    if owner is not None and owner not in identities(env):
        why = f"the event says that {owner} wrote the file, whom the environment does not know as the platform"
        return problem(about, why, f"add {owner} to identities of storage {probe.storage.name}, and deploy")
    return ok(about, f"an event of a file came {time.monotonic() - begun:.1f} s after it, written by {owner}")


def _awaited(env: Environment, reader: Any, path: str) -> Event | None:
    topics = {name: Topic(instance=one.instance, format=one.format) for name, one in env.kafka.topics.items()}
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for records in reader.poll(timeout_ms=200).values():
            for record in records:
                event = _decoded(record, topics)
                if event is not None and event.subject == path and event.type == "storage.written":
                    return event
    return None


def _decoded(record: Any, topics: dict[str, Topic]) -> Event | None:
    text, encoded = texts(record.value)
    message = Message(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        value=text,
        value_b64=encoded,
    )
    try:
        event = decode(message, topics)
    except ItemError:  # somebody else's record
        return None
    return event if isinstance(event, Event) else None
