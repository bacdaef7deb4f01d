"""The state of the services as Prometheus's metric families, made anew for each scrape. Pure but for asking for states.

Nothing is counted here: the books are those that are committed to Kafka, so that a counter goes on where it was when
another replica takes a partition over. A label is never a path, an event, or a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

from kafka import TopicPartition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from faasfeeds.condor.state import WatcherState
from faasfeeds.kafka.delivery import Mood
from faasfeeds.kafka.ledger import Books, books
from faasfeeds.kafka.state import FeedState, ProviderState
from faasfeeds.kafka.watermarks import Watermarks
from faasfeeds.xrootd.forwarder import ForwarderState

RESULTS = tuple(mood or "waited" for mood in get_args(Mood))
"""What may come of a firing."""

RECORDS = ("matched", "duplicate", "dead-lettered", "lost")
ITEMS = ("submitted", "invoked", "duplicate", "dead-lettered", "parked", "unparked")
"""Words that are always told, so that a first one is a rise from 0 and not a new series."""


class KafkaMetrics(Collector):
    """Whether Kafka answers."""

    def __init__(self, watermarks: Watermarks) -> None:
        self._watermarks = watermarks

    def collect(self) -> Iterator[Metric]:
        """The families of one scrape."""
        answered = GaugeMetricFamily(
            "faas_kafka_last_answer_timestamp_seconds", "When the brokers last answered; 0 before they first did."
        )
        answered.add_metric([], self._watermarks.answered or 0.0)
        yield answered


class FeedMetrics(Collector):
    """The feeds of a provider; ``parked`` is the topic of parked items."""

    def __init__(self, state: Callable[[], ProviderState], watermarks: Watermarks, parked: str) -> None:
        self._state = state
        self._watermarks = watermarks
        self._parked = parked

    def collect(self) -> Iterator[Metric]:
        """The families of one scrape."""
        feeds = self._state().feeds
        yield from self._books(feeds)
        yield from self._turns(feeds)

    def _books(self, feeds: tuple[FeedState, ...]) -> Iterator[Metric]:
        place = ("trigger", "topic", "partition")
        records = CounterMetricFamily(
            "faas_feed_records",
            "Records by what became of them, from the committed books.",
            labels=(*place, "outcome", "reason"),
        )
        items = CounterMetricFamily(
            "faas_feed_items",
            "Items (an event for one function) by what became of them, from the committed books.",
            labels=(*place, "outcome"),
        )
        lag = GaugeMetricFamily("faas_feed_lag_records", "Records that are not final yet.", labels=place)
        unaccounted_records = GaugeMetricFamily(
            "faas_feed_unaccounted_records", "Records that the committed books do not account for.", labels=place
        )
        unaccounted_items = GaugeMetricFamily(
            "faas_feed_unaccounted_items", "Items that the committed books do not account for.", labels=place
        )
        ends = self._watermarks.ends
        for feed in feeds:
            for partition, (offset, text) in feed.committed.items():
                where = (feed.trigger, partition.topic, str(partition.partition))
                found = self._read(partition, offset, text)
                if partition.topic != self._parked:
                    for word, count in {**dict.fromkeys(RECORDS, 0), **found.records}.items():
                        outcome, _, reason = word.partition(":")
                        records.add_metric((*where, outcome, reason), count)
                    if partition in ends:
                        lag.add_metric(where, max(0, ends[partition] - offset))
                for word, count in {**dict.fromkeys(ITEMS, 0), **found.items}.items():
                    items.add_metric((*where, word), count)
                missing = found.imbalance()
                unaccounted_records.add_metric(where, missing[0])
                unaccounted_items.add_metric(where, missing[1])
        yield from (records, items, lag, unaccounted_records, unaccounted_items)

    def _read(self, partition: TopicPartition, offset: int, text: str) -> Books:
        return books({(partition.topic, partition.partition): (offset, text)}, self._parked)

    def _turns(self, feeds: tuple[FeedState, ...]) -> Iterator[Metric]:
        batches = CounterMetricFamily(
            "faas_feed_batches", "Firings by what came of them.", labels=("trigger", "result")
        )
        again = CounterMetricFamily(
            "faas_feed_redeliveries", "Records that had to be delivered once more.", labels=("trigger",)
        )
        minted = CounterMetricFamily(
            "faas_feed_minted_tokens",
            "Storage tokens that were made, as the batches' reports tell.",
            labels=("trigger",),
        )
        in_flight = GaugeMetricFamily(
            "faas_feed_in_flight_records", "Records that were read and are not final.", labels=("trigger",)
        )
        waiting = GaugeMetricFamily(
            "faas_feed_waiting",
            "1 when OpenWhisk or its registry keeps records from going on, or the feed from beginning.",
            labels=("trigger",),
        )
        turned = GaugeMetricFamily(
            "faas_feed_last_turn_timestamp_seconds", "When the feed's loop last turned.", labels=("trigger",)
        )
        for feed in feeds:
            for result in RESULTS:
                batches.add_metric((feed.trigger, result), feed.batches.get(result, 0))
            again.add_metric((feed.trigger,), feed.again)
            minted.add_metric((feed.trigger,), feed.minted)
            in_flight.add_metric((feed.trigger,), feed.in_flight)
            waiting.add_metric((feed.trigger,), feed.is_waiting)
            if feed.turned is not None:
                turned.add_metric((feed.trigger,), feed.turned)
        yield from (batches, again, minted, in_flight, waiting, turned)


class WatcherMetrics(Collector):
    """The schedds that a watcher looks at."""

    def __init__(self, state: Callable[[], WatcherState]) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """The families of one scrape."""
        jobs = GaugeMetricFamily(
            "faas_jobs", "The platform's jobs that have not ended, by state.", labels=("schedd", "state")
        )
        looked = GaugeMetricFamily(
            "faas_watcher_last_look_timestamp_seconds",
            "When a look at the schedd last succeeded and all of it was told; 0 before the first.",
            labels=("schedd",),
        )
        for schedd in self._state().schedds:
            for state, count in schedd.jobs.items():
                jobs.add_metric((schedd.name, state), count)
            looked.add_metric((schedd.name,), schedd.looked or 0.0)
        yield from (jobs, looked)


class ForwarderMetrics(Collector):
    """A server whose files are announced."""

    def __init__(self, state: Callable[[], ForwarderState]) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """The families of one scrape."""
        state = self._state()
        sent = CounterMetricFamily("faas_announced_events", "Events that Kafka has taken.", labels=("topic",))
        waiting = GaugeMetricFamily("faas_waiting_events", "Events that wait for Kafka.", labels=("topic",))
        sent.add_metric((state.topic,), state.sent)
        waiting.add_metric((state.topic,), state.waiting)
        yield from (sent, waiting)
