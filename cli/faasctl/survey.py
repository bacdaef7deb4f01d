"""Asks every part for its state; what cannot be asked is an outage, and the rest is told all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from eventflow.errors import FaasError
from faasctl import history, status
from faasctl.environment import Environment
from faasctl.environment.ends import ends
from faasctl.functions.access import address
from faasctl.functions.client import Registry
from faasctl.functions.site import pools
from faasctl.kafka import cluster, registrations
from faasctl.status import Feed, Schedd, Status
from faasfeeds.kafka.accounts import account
from faasfeeds.outcomes import Outcome, utc


def survey(env: Environment) -> Status:
    """The state as it is now."""
    now = time.time()
    outages: list[str] = []
    told: list[Outcome] = []
    feeds: list[Feed] = []
    known: dict[str, tuple[str, str | None]] = {}
    try:
        told = list(history.read(env, now - status.DAY_S))
        feeds = list(_feeds(env))
    except FaasError as error:
        outages.append(f"Kafka: {error}")
    try:
        known = _functions(env)
    except FaasError as error:
        outages.append(f"registry: {error}")
    last = list(ends(env))
    found = Status(
        environment=env.name,
        at=utc(now),
        feeds=tuple(feeds),
        schedds=tuple(_schedds(env)),
        functions=status.functions(told, known, now),
        dead=status.dead(told),
        credentials=status.credentials(last),
        outages=tuple(outages),
    )
    return status.finished(found, last, now)


def _feeds(env: Environment) -> Iterator[Feed]:
    with closing(registrations(env)) as store:
        registered = store.all()
    for one in registered:
        found = account(cluster(env), one.trigger, one.settings.topics, env.kafka.parked)
        yield Feed(
            trigger=one.trigger,
            topics=tuple(one.settings.topics),
            paused=one.paused,
            lag=found.lag,
            received=found.books.received,
            records=found.books.records,
            items=found.books.items,
            parked=found.books.parked,
            imbalance=found.books.imbalance(),
        )


def _schedds(env: Environment) -> Iterator[Schedd]:
    try:
        queues = pools(env)
    except FaasError as error:
        yield Schedd(name="(any)", away=str(error))
        return
    for name, queue in queues.items():
        try:
            yield status.schedd(name, queue.watch(0))
        except FaasError as error:
            yield Schedd(name=name, away=str(error))


def _functions(env: Environment) -> dict[str, tuple[str, str | None]]:
    key = env.registry.admin_key
    registry = Registry(address(env), key.reveal() if key is not None else "", ca=env.openwhisk.ca)
    return {one.name: (one.version, one.paused) for one in registry.functions()}
