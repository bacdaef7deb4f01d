"""What is counted as it happens: the outcomes that a service writes, and how long things took."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from eventflow.batch import Stage
from faasfeeds.kafka.letters import Letter
from faasfeeds.outcomes import Outcome

MOST_NAMES = 500
"""Different values of a label that are told apart; an action of somebody else's may report whatever it likes."""

OTHER = "other"

STAGES = (*get_args(Stage), "job")
"""Where an item may die: in a step of the sequence, or as a job."""

DELIVERED = frozenset({"submitted", "invoked", "dead-lettered"})
"""The outcomes whose time since their record was written is measured."""

DELIVERY_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0, 86400.0)
QUEUE_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 259200.0)
"""The buckets' bounds, in seconds."""


class OutcomeMeters:
    """Counts what a `Journal` has written; safe for several threads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = Counter(
            "faas_outcomes",
            "Outcomes written; an item may have several.",
            ("outcome", "function", "reason"),
            registry=registry,
        )
        self._dead_letters = Counter("faas_dead_letters", "Dead letters written.", ("stage",), registry=registry)
        self._delivery = Histogram(
            "faas_delivery_seconds",
            "From a record's own time to its item's outcome.",
            ("outcome",),
            buckets=DELIVERY_S,
            registry=registry,
        )
        self._queue = Histogram(
            "faas_job_queue_seconds",
            "From a job's submission to its last start, by its schedd's clock.",
            buckets=QUEUE_S,
            registry=registry,
        )
        for stage in STAGES:
            self._dead_letters.labels(stage)
        self._functions = Names()
        self._reasons = Names()

    def written(self, outcomes: Sequence[Outcome], dead: Sequence[Letter]) -> None:
        """Count what the brokers have now."""
        for one in outcomes:
            function, reason = self._functions.known(one.function or ""), self._reasons.known(one.code or "")
            self._outcomes.labels(one.outcome, function, reason).inc()
            if one.outcome in DELIVERED and one.written:
                took = max(0.0, (one.time_ms - one.written) / 1000)  # the record's time is of another clock
                self._delivery.labels(one.outcome).observe(took)
            if one.outcome in ("completed", "failed") and one.run is not None and one.run.started is not None:
                self._queue.observe(max(0.0, one.run.started - one.run.queued))
        for letter in dead:
            self._dead_letters.labels(letter.stage if letter.stage in STAGES else OTHER).inc()


class Names:
    """Bounds the values of a label: the first so many are themselves, all others are one."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def known(self, name: str) -> str:
        """The name, or ``other``."""
        with self._lock:
            if name not in self._known and len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return name
