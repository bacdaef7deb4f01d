"""What a Prometheus would scrape of the services in some situation: made by the services' own code."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from kafka import TopicPartition
from prometheus_client import generate_latest

from eventflow.batch import Message, Origin
from faasctl import bundle, environment
from faasctl.environment import Environment
from faasctl.monitor import Monitor
from faasfeeds.condor.state import ScheddState, WatcherState
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.letters import Letter
from faasfeeds.kafka.state import FeedState, ProviderState
from faasfeeds.kafka.watermarks import Watermarks
from faasfeeds.meters import OutcomeMeters
from faasfeeds.metrics import FeedMetrics, ForwarderMetrics, KafkaMetrics, WatcherMetrics
from faasfeeds.outcomes import Outcome, Run, utc
from faasfeeds.xrootd.forwarder import ForwarderState

TRIGGER = "/faas/storage-events"
BILLING = TopicPartition("billing", 0)
PARKED = TopicPartition("faas.parked", 0)
STARTED = 1_800_000_000.0

BOOKS = {"filtered:no_match": 6, "matched": 3, "duplicate": 1, "items:fan-out": 3, "items:submitted": 3}
"""Books of ten records that balance."""


def env() -> Environment:
    """The example environment, without secrets."""
    return environment.load(bundle.manifests() / "environments" / "local.yaml", partial=True)


def page(offset: int, counts: Mapping[str, int], since: int = 0) -> tuple[int, str]:
    """What a commit of a partition holds."""
    return offset, msgspec.json.encode({"since": since, "counts": counts}).decode()


def feed(now: float = STARTED, **changes: Any) -> FeedState:
    """A feed at work."""
    state = FeedState(trigger=TRIGGER, turned=now, joined=True, committed={BILLING: page(10, BOOKS)})
    return msgspec.structs.replace(state, **changes)


def outcome(word: str, *, took: float = 0.5, **more: Any) -> Outcome:
    """An outcome of an event that was written at `STARTED`."""
    told: dict[str, Any] = {"key": "e/demo.calibrate", "trigger": TRIGGER, "origin": Origin("billing", 0, 1)}
    told |= {"function": "demo.calibrate", "written": int(STARTED * 1000), "time": utc(STARTED + took)}
    return Outcome(outcome=word, **(told | more))  # type: ignore[arg-type]


def run(queued: float, started: float | None) -> Run:
    """How a job ran."""
    return Run(entered=0, queued=queued, started=started)


def letter(stage: str) -> Letter:
    """A dead letter."""
    return Letter(trigger=TRIGGER, message=Message(topic="billing", partition=0, offset=1, timestamp=0), stage=stage)


def of_feed(
    *feeds: FeedState,
    ends: Mapping[TopicPartition, int] | None = None,
    answered: float | None = STARTED,
    told: Sequence[tuple[Iterable[Outcome], Iterable[Letter]]] = (),
    credentials: Environment | None = None,
) -> str:
    """The exposition of `faasctl feed kafka`."""
    monitor = Monitor("feed kafka", credentials or env(), threading.Event())
    watermarks = _watermarks(ends or {BILLING: 10}, answered)
    monitor.registry.register(KafkaMetrics(watermarks))
    state = ProviderState(looked=time.time(), feeds=feeds or (feed(),))
    monitor.registry.register(FeedMetrics(lambda: state, watermarks, PARKED.topic))
    _tell(monitor, told)
    return generate_latest(monitor.registry).decode()


def of_watcher(
    *schedds: ScheddState,
    answered: float | None = STARTED,
    told: Sequence[tuple[Iterable[Outcome], Iterable[Letter]]] = (),
) -> str:
    """The exposition of `faasctl feed condor`."""
    monitor = Monitor("feed condor", env(), threading.Event())
    monitor.registry.register(KafkaMetrics(_watermarks({}, answered)))
    monitor.registry.register(WatcherMetrics(lambda: WatcherState(is_whole=True, schedds=schedds)))
    _tell(monitor, told)
    return generate_latest(monitor.registry).decode()


def of_forwarder(state: ForwarderState) -> str:
    """The exposition of `faasctl feed xrootd`."""
    monitor = Monitor("feed xrootd", env(), threading.Event())
    monitor.registry.register(ForwarderMetrics(lambda: state))
    return generate_latest(monitor.registry).decode()


def _tell(monitor: Monitor, told: Sequence[tuple[Iterable[Outcome], Iterable[Letter]]]) -> None:
    meters = OutcomeMeters(monitor.registry)
    for outcomes, dead in told:
        meters.written(list(outcomes), list(dead))


def _watermarks(ends: Mapping[TopicPartition, int], answered: float | None) -> Watermarks:
    watermarks = Watermarks(Cluster(bootstrap_servers=("127.0.0.1:1",)), list)
    watermarks.ends, watermarks.answered = ends, answered
    return watermarks
