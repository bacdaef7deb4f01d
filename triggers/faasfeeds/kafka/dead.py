"""The dead letters: what could not be done, found again by its reason, and sent on its way once more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from kafka import TopicPartition

from eventflow.errors import FaasError
from faasfeeds.kafka import letters
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.finals import Finals
from faasfeeds.kafka.journal import Journal, Topics
from faasfeeds.kafka.letters import BadLetter, Letter
from faasfeeds.outcomes import JOB, BadOutcome
from faasfeeds.outcomes import decode as outcome_of

PATIENCE_S = 60.0

State = Literal["dead", "done", "cut"]
"""``done``: its key got a job after all; ``cut``: only the beginning of its original was kept."""


class NotRead(FaasError):
    """A topic could not be read to its end."""


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter: when it was written (unix seconds), how often its key died, and whether that still stands."""

    letter: Letter
    at: float
    times: int
    state: State


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters; what is None or empty does not matter. ``since`` is in unix seconds."""

    keys: tuple[str, ...] = ()
    function: str | None = None
    code: str | None = None
    trigger: str | None = None
    since: float | None = None

    def takes(self, dead: Dead) -> bool:
        """Whether a dead letter is meant."""
        one = dead.letter
        return (
            (not self.keys or one.key in self.keys)
            and (self.function is None or self.function in one.functions)
            and (self.code is None or one.code == self.code)
            and (self.trigger is None or one.trigger == self.trigger)
            and (self.since is None or dead.at >= self.since)
        )


def read(cluster: Cluster, topics: Topics, wanted: Filter) -> list[Dead]:
    """The dead letters that are meant, the newest of each key, trigger and rule, oldest first; raises `NotRead`."""
    newest: dict[tuple[str, str, str], tuple[Letter, float]] = {}
    times: dict[tuple[str, str, str], int] = {}

    def take(record: Any) -> None:
        try:
            one = letters.decode(record)
        except BadLetter:  # somebody else's record
            return
        place = (one.key, one.trigger, one.rule.name if one.rule else "")
        newest[place] = (one, record.timestamp / 1000)
        times[place] = times.get(place, 0) + 1

    _each(cluster, topics.dead_letters, take)
    done = _done(cluster, topics.outcomes, {one.key for one, _ in newest.values()})
    found = [
        Dead(
            letter=one,
            at=at,
            times=times[place],
            state="done" if done.has(one.key, ("job",)) else "cut" if one.cut else "dead",
        )
        for place, (one, at) in newest.items()
    ]
    return sorted((dead for dead in found if wanted.takes(dead)), key=lambda dead: dead.at)


def redrive(cluster: Cluster, topics: Topics, several: Iterable[Dead]) -> int:
    """Send dead letters on their way again, for the function that each failed for; how many. Those that got a job
    meanwhile are not sent, nor are those of which too little was kept. Raises `NotWritten`."""
    journal = Journal(cluster, topics)
    try:
        again = [_again(dead.letter) for dead in several if dead.state == "dead"]
        journal.write((), parked=again)
        return len(again)
    finally:
        journal.close()


def _again(one: Letter) -> Letter:
    message = msgspec.structs.replace(one.message, attempt=1)
    return msgspec.structs.replace(one, message=message, redriven=True, times=0)


def _done(cluster: Cluster, topic: str, keys: set[str]) -> Finals:
    done = Finals()

    def take(record: Any) -> None:
        if (record.key or b"").decode(errors="replace") in keys:
            try:
                outcome = outcome_of(record)
            except BadOutcome:
                return
            if outcome.outcome in JOB:
                done.add(outcome.key, "job", outcome.time_ms)

    if keys:
        _each(cluster, topic, take)
    return done


def _each(cluster: Cluster, topic: str, take: Callable[[Any], None]) -> None:
    """Call ``take`` with every record that is on a topic now."""
    reader = cluster.reader()
    try:
        partitions = [TopicPartition(topic, number) for number in reader.partitions_for_topic(topic) or ()]
        reader.assign(partitions)
        reader.seek_to_beginning(*partitions)
        ends = reader.end_offsets(partitions) if partitions else {}
        moved = time.monotonic()
        while any(reader.position(partition) < end for partition, end in ends.items()):
            polled = reader.poll(timeout_ms=200)
            for records in polled.values():
                for record in records:
                    take(record)
            if polled:
                moved = time.monotonic()
            elif time.monotonic() > moved + PATIENCE_S:
                raise NotRead("its end was not reached", where=f"topic {topic}")
    except NotRead:
        raise
    except Exception as error:  # kafka-python's errors have no common root that would leave out bugs
        raise NotRead(f"{type(error).__name__}: {error}", where=f"topic {topic}") from None
    finally:
        reader.close()
