"""The topics of an environment: what each is for, its settings, and which service may do what with it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from faasctl.environment import Environment
from faasfeeds import outcomes
from faasfeeds.kafka import letters, topic

Service = Literal["feed", "watcher", "action", "people", "storage"]
"""Who connects to Kafka: `faasctl feed kafka`, `faasctl feed condor`, the action `faas/kafka_feed`, whoever runs
`faasctl` by hand, and the storages that announce their changes."""

Operation = Literal["READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"]


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic, what is on it, and its settings in Kafka's words."""

    name: str
    holds: str
    settings: dict[str, str]


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that a service needs; a group's ``name`` is a prefix, a topic's is the whole name."""

    service: Service
    kind: Literal["topic", "group"]
    name: str
    operation: Operation


def own(env: Environment) -> Iterator[Topic]:
    """The platform's own topics."""
    kafka = env.kafka
    yield Topic(name=kafka.outcomes, holds="what became of every item", settings=dict(outcomes.SETTINGS))
    yield Topic(name=kafka.dead_letters, holds="what could not be done", settings=dict(letters.SETTINGS))
    yield Topic(name=kafka.parked, holds="what waits for something outside", settings=dict(letters.SETTINGS))
    if kafka.registrations.topic is not None:
        yield Topic(name=kafka.registrations.topic, holds="the fed triggers", settings=dict(topic.COMPACTED))


def events(env: Environment) -> Iterator[Topic]:
    """The topics that events come from: kept as long as the longest outage that must lose nothing."""
    settings = {"cleanup.policy": "delete", "retention.ms": str(int(env.kafka.longest_outage) * 1000)}
    for name, source in env.kafka.topics.items():
        yield Topic(name=name, holds=f"changes of {source.instance} ({source.format})", settings=settings)


def rights(env: Environment) -> Iterator[Right]:
    """Every right that a service needs, and no other. Groups are the triggers' full names, as the stock feed's."""
    kafka = env.kafka
    registrations = kafka.registrations.topic
    for name in kafka.topics:
        yield from _topic("storage", name, "WRITE", "DESCRIBE")
        yield from _topic("feed", name, "READ", "DESCRIBE")
        yield from _topic("watcher", name, "READ", "DESCRIBE")
        yield from _topic("people", name, "READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
    for name in (kafka.outcomes, kafka.parked):
        yield from _topic("feed", name, "READ", "WRITE", "DESCRIBE")
    yield from _topic("feed", kafka.dead_letters, "WRITE", "DESCRIBE")
    yield from _topic("watcher", kafka.outcomes, "READ", "WRITE", "DESCRIBE")
    yield from _topic("watcher", kafka.dead_letters, "WRITE", "DESCRIBE")
    yield from _topic("people", kafka.outcomes, "READ", "DESCRIBE", "DESCRIBE_CONFIGS")
    yield from _topic("people", kafka.dead_letters, "READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
    yield from _topic("people", kafka.parked, "READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
    if registrations is not None:
        yield from _topic("feed", registrations, "READ", "DESCRIBE")
        yield from _topic("action", registrations, "READ", "WRITE", "DESCRIBE")
        yield from _topic("people", registrations, "READ", "DESCRIBE", "DESCRIBE_CONFIGS")
    groups = f"/{env.openwhisk.platform.namespace}/"
    yield Right(service="feed", kind="group", name=groups, operation="READ")
    yield Right(service="people", kind="group", name=groups, operation="DESCRIBE")


def _topic(service: Service, name: str, *operations: Operation) -> Iterator[Right]:
    for operation in operations:
        yield Right(service=service, kind="topic", name=name, operation=operation)
