"""Which offsets may be committed, and the books of everything below them. Pure.

The books of a partition are committed with its offset, as the commit's metadata: they say exactly what became of the
records below that offset, whoever was killed when. What is above it is in flight and will be counted by whoever
settles it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

import msgspec

RECORD_WORDS = ("duplicate", "matched", "dead-lettered", "lost", "absent", "other")
"""What a record may end as, besides ``filtered:<reason>``. ``lost`` are offsets that retention took, ``absent`` those
that Kafka has no record for (compaction, markers of transactions), ``other`` parked records of another trigger or that
were written twice."""

METADATA_LIMIT = 4096
"""Bytes that a broker takes (`offset.metadata.max.bytes`)."""


class _Page(msgspec.Struct, frozen=True):
    """The metadata of a commit: the offset at which counting began, and the counts since."""

    since: int
    counts: dict[str, int]


class _Stretch:
    """A record in flight and what was settled behind it, up to the next record in flight."""

    __slots__ = ("after", "counts", "end")

    def __init__(self, end: int) -> None:
        self.end = end
        self.counts: Mapping[str, int] | None = None
        self.after: Counter[str] = Counter()


class Lane:
    """One partition, from the offset at which this consumer took it over.

    ``expected`` is the offset that should be read next, ``settled`` the offset below which everything is final, and
    ``counts`` the books below it. ``is_ours`` ends when another consumer takes the partition over.
    """

    def __init__(self, position: int, metadata: str = "") -> None:
        page = _read(metadata) or _Page(since=position, counts={})
        self.since = page.since
        self.counts: Counter[str] = Counter(page.counts)
        self.is_ours = True
        self.expected = position
        self.settled = position
        self._stretches: deque[_Stretch] = deque()
        self._open: dict[int, _Stretch] = {}

    def __len__(self) -> int:
        """Records that cannot be committed yet: in flight, or settled behind one that is."""
        return len(self._stretches)

    def skip(self, offset: int, word: str) -> None:
        """A record is final at once."""
        self._close(offset + 1, word, 1)

    def gap(self, until: int, first: int) -> int:
        """The next record is the one at ``until``, the oldest that the broker holds the one at ``first``: what is
        missing before it is booked as lost or absent. Returns how many are lost."""
        lost = max(0, min(until, first) - self.expected)
        if lost:
            self._close(self.expected + lost, "lost", lost)
        if until > self.expected:
            self._close(until, "absent", until - self.expected)
        return lost

    def take(self, offset: int) -> None:
        """A record is in flight from now on."""
        stretch = _Stretch(offset + 1)
        self._stretches.append(stretch)
        self._open[offset] = stretch
        self.expected = offset + 1

    def settle(self, offset: int, counts: Mapping[str, int]) -> None:
        """A record in flight is final; ``counts`` is what it adds to the books."""
        self._open.pop(offset).counts = counts
        while self._stretches and (first := self._stretches[0]).counts is not None:
            self.counts.update(first.counts)
            self.counts.update(first.after)
            self.settled = first.end
            self._stretches.popleft()

    def metadata(self) -> str:
        """The books as the commit carries them."""
        text = msgspec.json.encode(_Page(since=self.since, counts=dict(self.counts))).decode()
        return text if len(text) <= METADATA_LIMIT else ""

    def _close(self, end: int, word: str, count: int) -> None:
        if self._stretches:
            self._stretches[-1].after[word] += count
            self._stretches[-1].end = end
        else:
            self.counts[word] += count
            self.settled = end
        self.expected = end


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What became of everything that is committed. ``received`` records; ``items`` is the fan-out of the matched."""

    received: int
    records: dict[str, int]
    items: dict[str, int]

    def imbalance(self) -> tuple[int, int]:
        """Records and items that are not accounted for; (0, 0) when the books balance."""
        fan_out = self.items.get("fan-out", 0) + self.items.get("redriven", 0)
        ended = sum(self.items.get(word, 0) for word in ("submitted", "invoked", "duplicate", "dead-lettered"))
        return self.received - sum(self.records.values()), fan_out - ended - self.parked

    @property
    def parked(self) -> int:
        """Items that wait in the topic of parked ones."""
        return self.items.get("parked", 0) - self.items.get("unparked", 0)


def books(committed: Mapping[tuple[str, int], tuple[int, str]], parked_topic: str) -> Books:
    """The books of one trigger from its group's commits: (topic, partition) -> (offset, metadata).

    A commit without books (of the stock feed, say) counts for nothing. Records of the topic of parked ones are no
    new ones, so only their items count.
    """
    received = 0
    records: Counter[str] = Counter()
    items: Counter[str] = Counter()
    for (topic, _), (offset, metadata) in committed.items():
        page = _read(metadata)
        if page is None:
            continue
        for word, count in page.counts.items():
            if word.startswith("items:"):
                items[word.removeprefix("items:")] += count
            elif topic != parked_topic:
                records[word] += count
        if topic != parked_topic:
            received += offset - page.since
    return Books(received=received, records=dict(records), items=dict(items))


def _read(metadata: str) -> _Page | None:
    try:
        return msgspec.json.decode(metadata, type=_Page) if metadata else None
    except (msgspec.DecodeError, msgspec.ValidationError):  # somebody else's
        return None
