"""What is under way: records that were read and are not final yet, on their way to the actions of the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from eventflow.batch import Message, Origin
from faasfeeds.kafka.ledger import Lane

_RANK = ("matched", "dead-lettered", "duplicate")
"""What a record is in the books when it was several things to several rules."""


class Rule(msgspec.Struct, frozen=True):
    """A rule of the trigger: its name, and the action it starts (``namespace/package/name``)."""

    name: str
    action: str


class Entry:
    """A consumed record. ``place`` is where it was read and what is committed in the end, on the books of ``lane``.

    ``claim`` is the event's id: no two entries with one claim are under way at a time. ``wanted`` are the functions
    that it would fire. ``returned`` says that it comes from the topic of parked items, ``redriven`` that a person sent
    it there, ``times`` how often it was parked. ``pending`` counts the legs that are not final. ``failed_at`` is when
    it first failed as a whole (monotonic seconds).
    """

    __slots__ = (
        *("claim", "failed_at", "items", "lane", "message", "pending", "place", "rule"),
        *("redriven", "returned", "size", "times", "wanted", "words"),
    )

    def __init__(
        self,
        place: Origin,
        message: Message,
        lane: Lane,
        *,
        claim: str,
        wanted: tuple[str, ...] = (),
        returned: bool = False,
        redriven: bool = False,
        times: int = 0,
        rule: Rule | None = None,
    ) -> None:
        self.place = place
        self.message = message
        self.lane = lane
        self.claim = claim
        self.wanted = wanted
        self.returned = returned
        self.redriven = redriven
        self.times = times
        self.rule = rule
        self.pending = 1
        self.failed_at: float | None = None
        self.items: Counter[str] = Counter()
        self.words: set[str] = set()
        self.size = len(msgspec.json.encode(message))

    def add(self, counts: Mapping[str, int]) -> None:
        """Add what a leg adds to the books: items are counted, what the record is said once."""
        for word, count in counts.items():
            if word.startswith("items:"):
                self.items[word] += count
            else:
                self.words.add(word)

    def books(self) -> Mapping[str, int]:
        """What the entry adds to the books in the end: one record, and its items."""
        ranked = [word for word in _RANK if word in self.words] or sorted(self.words) or ["matched"]
        return {ranked[0]: 1, **self.items}


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """An entry on its way to one rule's action, or with ``rule`` None, to all through the trigger.

    ``message`` is what this rule gets; ``tries`` counts what did not come to an end and was no attempt; ``counted``
    says that its fan-out is in the books.
    """

    entry: Entry
    message: Message
    rule: Rule | None = None
    tries: int = 0
    counted: bool = False
