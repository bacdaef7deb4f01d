"""Which jobs are under way and which ends were told, from the topic of outcomes: the watcher keeps no state of its own.

The topic is read from `WINDOW_S` ago at the start, and followed from then on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from kafka import TopicPartition

from faasfeeds import outcomes
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.finals import DAY_MS, WINDOW_DAYS, Finals
from faasfeeds.kafka.instants import seek_to_time
from faasfeeds.outcomes import JOB_ENDS, BadOutcome, Outcome

log = logging.getLogger(__name__)

AGAIN_S = 5.0


class Jobs:
    """What the outcomes say of jobs. Not safe for several threads at once; pure but for its own memory."""

    def __init__(self) -> None:
        self._told = Finals()
        self._pending: dict[tuple[str, str], Outcome] = {}

    def add(self, one: Outcome) -> None:
        """Take note of an outcome, in whatever order they come."""
        if one.destination is None or one.job is None:
            return
        place = (one.destination, one.job)
        if one.outcome in ("submitted", "duplicate"):
            if not self._told.has(_text(*place), ("job",)):
                self._pending.setdefault(place, one)
        elif one.outcome in JOB_ENDS:
            self._told.add(_text(*place), "job", one.time_ms)
            self._pending.pop(place, None)
        elif one.outcome == "held" and one.run is not None:
            self._told.add(_held(*place, one.run.entered), "job", one.time_ms)

    def is_told(self, schedd: str, job: str) -> bool:
        """Whether the job's end was told."""
        return self._told.has(_text(schedd, job), ("job",))

    def is_hold_told(self, schedd: str, job: str, entered: int) -> bool:
        """Whether it was told that the job is held since then (unix s by its schedd's clock)."""
        return self._told.has(_held(schedd, job, entered), ("job",))

    def submitted(self, schedd: str, job: str) -> Outcome | None:
        """The outcome that told of the job's submission, as long as its end was not told."""
        return self._pending.get((schedd, job))

    def pending(self, schedd: str) -> dict[str, Outcome]:
        """The jobs of a schedd whose end was not told, by id."""
        return {job: one for (name, job), one in self._pending.items() if name == schedd}


class Ledger:
    """The same, filled from the topic; safe for several threads."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._cluster = cluster
        self._topic = topic
        self._whole = threading.Event()
        self.lock = threading.Lock()
        self.jobs = Jobs()

    def add(self, several: Iterable[Outcome]) -> None:
        """Take note of what was written just now, before the topic tells it back."""
        with self.lock:
            for one in several:
                self.jobs.add(one)

    @property
    def is_whole(self) -> bool:
        """Whether all was read that was there at the start; before that, nothing may be told."""
        return self._whole.is_set()

    def follow(self, stop: threading.Event) -> None:
        """Read the topic until ``stop`` is set; brokers that go away are waited for."""
        while not stop.is_set():
            try:
                self._follow(stop)
            except Exception as error:  # of many kinds; the reader is made anew, and reads the window again
                log.warning("the outcomes cannot be read: %s", error)
                stop.wait(AGAIN_S)

    def _follow(self, stop: threading.Event) -> None:
        reader = self._cluster.reader()
        try:
            partitions = [TopicPartition(self._topic, n) for n in reader.partitions_for_topic(self._topic) or (0,)]
            reader.assign(partitions)
            since = int(time.time() * 1000) - WINDOW_DAYS * DAY_MS
            ends = seek_to_time(self._cluster, reader, partitions, since)
            while not stop.is_set():
                for records in reader.poll(timeout_ms=200).values():
                    self.add(one for record in records if (one := _decoded(record)) is not None)
                if not self.is_whole and all(reader.position(one) >= end for one, end in ends.items()):
                    self._whole.set()
        finally:
            reader.close()


def _text(schedd: str, job: str) -> str:
    return f"{schedd}\0{job}"


def _held(schedd: str, job: str, entered: int) -> str:
    return f"{schedd}\0{job}\0{entered}"


def _decoded(record: Any) -> Outcome | None:
    try:
        return outcomes.decode(record)
    except BadOutcome as error:
        log.warning("%s", error)
        return None
