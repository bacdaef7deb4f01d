"""What a Prometheus would scrape of the services in some situation: made by the services' own code."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
from kafka import TopicPartition
from prometheus_client import generate_latest

from eventflow.batch import Message, Origin
from faasctl import bundle, environment
from faasctl.environment import Environment, Secret
from faasctl.environment.model import HTCondorPool
from faasctl.monitor import Monitor
from faasfeeds.condor.state import ScheddState, WatcherState
from faasfeeds.condor.state import lacking as watcher_lacks
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.letters import Letter
from faasfeeds.kafka.state import FeedState, ProviderState
from faasfeeds.kafka.state import lacking as feed_lacks
from faasfeeds.kafka.watermarks import Watermarks
from faasfeeds.meters import OutcomeMeters
from faasfeeds.metrics import FeedMetrics, ForwarderMetrics, KafkaMetrics, WatcherMetrics
from faasfeeds.outcomes import Outcome, Run, utc
from faasfeeds.xrootd.forwarder import ForwarderState

TRIGGER = "/faas/storage-events"
BILLING = TopicPartition("billing", 0)
PARKED = TopicPartition("faas.parked", 0)
WRITTEN = 1_800_000_000.0
"""When the events of `outcome` were written."""

BOOKS = {"filtered:no_match": 6, "matched": 3, "duplicate": 1, "items:fan-out": 3, "items:submitted": 3}
"""Books of ten records that balance."""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def page(offset: int, counts: Mapping[str, int], since: int = 0) -> tuple[int, str]:
    """What a commit of a partition holds."""
    return offset, msgspec.json.encode({"since": since, "counts": counts}).decode()


def feed(now: float = WRITTEN, **changes: Any) -> FeedState:
    """A feed at work."""
    state = FeedState(trigger=TRIGGER, turned=now, joined=True, committed={BILLING: page(10, BOOKS)})
    return msgspec.structs.replace(state, **changes)


def outcome(word: str, *, took: float = 0.5, **more: Any) -> Outcome:
    """An outcome of an event that was written at `WRITTEN`."""
    told: dict[str, Any] = {"key": "e/demo.calibrate", "trigger": TRIGGER, "origin": Origin("billing", 0, 1)}
    told |= {"function": "demo.calibrate", "written": int(WRITTEN * 1000), "time": utc(WRITTEN + took)}
    return Outcome(outcome=word, **(told | more))  # type: ignore[arg-type]


def run(queued: float, started: float | None) -> Run:
    """How a job ran."""
    return Run(entered=0, queued=queued, started=started)


def letter(stage: str) -> Letter:
    """A dead letter."""
    return Letter(trigger=TRIGGER, message=Message(topic="billing", partition=0, offset=1, timestamp=0), stage=stage)


def env(pool_token_ends: float | None = None) -> Environment:
    """The example environment, without secrets but for a pool's token, if it is to have one."""
    found = environment.load(bundle.manifests() / "environments" / "local.yaml", partial=True)
    if pool_token_ends is None:
        return found
    claims = base64.urlsafe_b64encode(json.dumps({"exp": pool_token_ends}).encode()).decode()
    pool = HTCondorPool(collector="cm.example.org", schedds=("bird",), token=Secret(f"header.{claims}.signature"))
    return msgspec.structs.replace(found, pool=pool)


class Scraped:
    """A service without its work: what it would show is set from outside."""

    def __init__(self, service: str, environment: Environment | None = None) -> None:
        self.monitor = Monitor(service, environment or env(), threading.Event())

    def text(self) -> str:
        """The exposition."""
        return generate_latest(self.monitor.registry).decode()

    def samples(self) -> Samples:
        """The same, by name and labels."""
        families = self.monitor.registry.collect()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def __getitem__(self, sample: tuple[str, Mapping[str, str]]) -> float | None:
        name, labels = sample
        return self.samples().get((name, tuple(sorted(labels.items()))))


class OnKafka(Scraped):
    """One that writes outcomes to Kafka."""

    def __init__(self, service: str, environment: Environment | None = None) -> None:
        super().__init__(service, environment)
        self.watermarks = Watermarks(Cluster(bootstrap_servers=("127.0.0.1:1",)), "faas.outcomes")
        self.watermarks.answered = WRITTEN
        self.monitor.registry.register(KafkaMetrics(self.watermarks))
        self.meters = OutcomeMeters(self.monitor.registry)


class Feed(OnKafka):
    """`faasctl feed kafka`."""

    def __init__(self, *feeds: FeedState, ends: Mapping[TopicPartition, int] | None = None) -> None:
        super().__init__("feed kafka")
        self.feeds = feeds or (feed(),)
        self.watermarks.ends = ends or {BILLING: 10}
        self.monitor.registry.register(FeedMetrics(self.state, self.watermarks, PARKED.topic))
        self.monitor.needs(lambda: feed_lacks(self.state(), WRITTEN))

    def state(self) -> ProviderState:
        """Of its provider, which has just looked at the registrations."""
        return ProviderState(looked=WRITTEN, feeds=self.feeds)


class Watcher(OnKafka):
    """`faasctl feed condor`."""

    def __init__(self, *schedds: ScheddState, environment: Environment | None = None) -> None:
        super().__init__("feed condor", environment)
        self.schedds = schedds
        self.monitor.registry.register(WatcherMetrics(self.state))
        self.monitor.needs(lambda: watcher_lacks(self.state()))

    def state(self) -> WatcherState:
        """Of the watcher."""
        return WatcherState(is_whole=True, schedds=self.schedds)


class Forwarder(Scraped):
    """`faasctl feed xrootd`."""

    def __init__(self, state: ForwarderState) -> None:
        super().__init__("feed xrootd")
        self.state = state
        self.monitor.registry.register(ForwarderMetrics(lambda: self.state))
