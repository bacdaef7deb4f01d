"""Where records become entries: each is filtered, a duplicate, dead, or stands in line with its event's claim."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from eventflow.batch import Failure, Message, Origin, job_key
from faasfeeds.kafka import letters, records
from faasfeeds.kafka.finals import Kind
from faasfeeds.kafka.flight import Entry, Leg
from faasfeeds.kafka.ledger import Lane
from faasfeeds.kafka.letters import BadLetter, Letter
from faasfeeds.kafka.memory import Memory
from faasfeeds.kafka.records import ConsumerRecord
from faasfeeds.kafka.sieve import Sieve, Wanted

log = logging.getLogger(__name__)

MOST_RECORDS = 10_000
MOST_BYTES = 32 * 2**20
"""What is under way at most, in records and bytes of JSON; beyond, no more is read until some are final."""

LARGEST_MESSAGE = 900_000
"""Bytes of JSON that fit into a firing; OpenWhisk takes a megabyte."""

LONGEST_PARKED_S = 120.0

MOST_LETTERS = 20_000
"""Items whose last parked letter is remembered, to know the second of two: who dies, or loses its partitions, between a
letter and its commit leaves one that whoever goes on writes again."""


class Entrance:
    """Lets records in, one by one, for as long as there is room.

    ``line_up`` is called with each leg that may go, ``bury`` with each entry that is dead before it could. No two
    entries with one claim go at a time: the second waits until the first is final. ``park_s`` is how long what comes
    back waits first.
    """

    def __init__(
        self,
        trigger: str,
        sieve: Sieve,
        memory: Memory,
        *,
        park_s: float,
        line_up: Callable[[Leg], None],
        bury: Callable[[Entry, Failure], None],
    ) -> None:
        self._trigger = trigger
        self._sieve = sieve
        self._memory = memory
        self.park_s = park_s
        self._line_up = line_up
        self._bury = bury
        self._claims: dict[str, deque[Entry]] = {}
        self._letters: dict[int, _Seen] = {}
        self._under_way = 0
        self._bytes = 0

    @property
    def under_way(self) -> int:
        """Records that were let in and are not final."""
        return self._under_way

    @property
    def has_room(self) -> bool:
        """Whether another record may come in."""
        return self._under_way < MOST_RECORDS and self._bytes < MOST_BYTES

    def admit(self, lane: Lane, record: ConsumerRecord) -> None:
        """A record of a source topic; the sieve must know the registry as of its time."""
        found = self._sieve.sift(record)
        if isinstance(found, str):
            lane.skip(record.offset, f"filtered:{found}")
            return
        message = records.message(record)
        if isinstance(found, Failure):
            self._dead(Entry(message.origin, message, lane, claim=str(message.origin)), found)
            return
        if self._is_final(found) and found.id not in self._claims:
            lane.skip(record.offset, "duplicate")
            return
        entry = Entry(message.origin, message, lane, claim=found.id, wanted=found.functions)
        if entry.size > LARGEST_MESSAGE:
            why = f"{entry.size} bytes do not fit into a firing"
            place = message.origin
            failure = Failure(origin=place, stage="filter", code="too_large", message=why, retryable=False)
            self._dead(entry, failure)
            return
        self._claim(entry)

    def readmit(self, lane: Lane, record: ConsumerRecord) -> bool:
        """A record of the topic of parked items; False when its time has not come yet."""
        place = Origin(topic=record.topic, partition=record.partition, offset=record.offset)
        try:
            letter = letters.decode(record)
        except BadLetter as error:
            log.warning("%s: %s", self._trigger, error, extra={"trigger": self._trigger})
            lane.skip(record.offset, "other")
            return True
        if letter.trigger != self._trigger or letter.cut or self._is_second(letter, lane, record.offset):
            lane.skip(record.offset, "other")
            return True
        patience = min(LONGEST_PARKED_S, self.park_s * 2.0 ** min(10, max(0, letter.times - 1)))
        if not letter.redriven and time.time() < record.timestamp / 1000 + patience:
            return False
        self._remember(letter, lane, record.offset)
        entry = Entry(
            place,
            letter.message,
            lane,
            claim=letter.id or self._sieve.event_id(letter.message),
            wanted=letter.functions,
            returned=True,
            redriven=letter.redriven,
            times=letter.times,
            rule=letter.rule,
        )
        if letter.functions:
            entry.items["items:redriven" if letter.redriven else "items:unparked"] = len(letter.functions)
        self._claim(entry)
        return True

    def ended(self, entry: Entry) -> None:
        """An entry is final: its offset is settled, and the next with its claim may go."""
        entry.lane.settle(entry.place.offset, entry.books())
        self.forget(entry)

    def forget(self, entry: Entry) -> None:
        """An entry is not this consumer's any more, or final."""
        entry.pending = 0
        self._under_way -= 1
        self._bytes -= entry.size
        twins = self._claims[entry.claim]
        while twins:
            twin = twins.popleft()
            if self._set_out(twin):
                return
            twin.lane.settle(twin.place.offset, twin.books())
            twin.pending = 0
            self._under_way -= 1
            self._bytes -= twin.size
        del self._claims[entry.claim]

    def _is_second(self, letter: Letter, lane: Lane, offset: int) -> bool:
        """Whether this very letter was let in already, from another place. Of a lane that somebody else had meanwhile
        nothing is known, nor of what a person sends again."""
        seen = self._letters.get(_item(letter))
        if seen is None or letter.redriven:
            return False
        return seen.lane is lane and seen.times == letter.times and seen.offset != offset

    def _remember(self, letter: Letter, lane: Lane, offset: int) -> None:
        self._letters[_item(letter)] = _Seen(lane, offset, letter.times)
        if len(self._letters) > MOST_LETTERS:
            del self._letters[next(iter(self._letters))]

    def _is_final(self, found: Wanted) -> bool:
        return bool(found.functions) and all(self._memory.has(f"{found.id}/{name}") for name in found.functions)

    def _dead(self, entry: Entry, failure: Failure) -> None:
        if entry.claim in self._claims:  # a twin is on its way; this one is dead all the same
            entry.claim = str(entry.place)
        self._take(entry)
        self._claims[entry.claim] = deque()
        self._bury(entry, failure)

    def _claim(self, entry: Entry) -> None:
        self._take(entry)
        if entry.claim in self._claims:
            self._claims[entry.claim].append(entry)
            return
        self._claims[entry.claim] = deque()
        if not self._set_out(entry):
            self.ended(entry)

    def _take(self, entry: Entry) -> None:
        entry.lane.take(entry.place.offset)
        self._under_way += 1
        self._bytes += entry.size

    def _set_out(self, entry: Entry) -> bool:
        """Line an entry up for the functions that it is not final for; False when there are none."""
        kinds: tuple[Kind, ...] = ("job",) if entry.redriven else ("job", "dead")
        run = entry.message.run
        rest = tuple(name for name in entry.wanted if not self._memory.has(job_key(entry.claim, name, run), kinds))
        final = len(entry.wanted) - len(rest)
        if final and entry.returned:
            entry.items["items:duplicate"] += final
        if final and not rest:
            entry.words.add("duplicate")
            return False
        only = rest if final or (entry.returned and entry.wanted) else None
        message: Message = msgspec.structs.replace(entry.message, only=only)
        self._line_up(Leg(entry=entry, message=message, rule=entry.rule, counted=entry.returned and bool(entry.wanted)))
        return True


class _Seen(NamedTuple):
    """Where an item's last letter was, and how often it had been parked."""

    lane: Lane
    offset: int
    times: int


def _item(letter: Letter) -> int:
    return hash((letter.key, letter.message.origin, letter.rule))
