"""The memory of final keys: what is done is not done again, also when the schedd has long forgotten it. Pure.

Keys are kept as 64-bit hashes in flat tables, one a day, 16 to 32 bytes a key; the oldest day goes when its time is
over, or when there are too many. What is forgotten is at worst looked up in the schedd's queue again.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from typing import Literal

DAY_MS = 86_400_000
WINDOW_DAYS = 7
"""The days for which a key is known: the window in which duplicates are recognised beyond the queue."""

MOST_KEYS = 4_000_000
"""Keys at most, over all days: 128 MB when full."""

Kind = Literal["job", "dead"]


class Finals:
    """Keys with a final outcome: a ``job`` (or an invocation) that is there, or a ``dead`` letter."""

    def __init__(self, *, window_days: int = WINDOW_DAYS, most: int = MOST_KEYS) -> None:
        self._window = window_days
        self._most = most
        self._days: dict[int, _Table] = {}

    def __len__(self) -> int:
        return sum(map(len, self._days.values()))

    def add(self, key: str, kind: Kind, at_ms: int) -> None:
        """Remember a key that became final at a time (unix ms)."""
        day = at_ms // DAY_MS
        newest = max(self._days, default=day)
        if day <= newest - self._window:
            return
        if day not in self._days:
            self._days[day] = _Table()
            for old in [one for one in self._days if one <= day - self._window]:
                del self._days[old]
        self._days[day].add(_hash(key, kind))
        while len(self) > self._most and len(self._days) > 1:
            del self._days[min(self._days)]
        if len(self) > self._most:  # one day alone is too much: the schedd's queue must do
            self._days[day] = _Table()

    def has(self, key: str, kinds: Iterable[Kind] = ("job", "dead")) -> bool:
        """Whether the key is known to be final in one of these ways."""
        hashes = [_hash(key, kind) for kind in kinds]
        return any(one in table for table in list(self._days.values()) for one in hashes)


class _Table:
    """A set of 64-bit numbers other than 0: open addressing in one flat array."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        return self._slots[self._slot(self._slots, number)] == number

    def add(self, number: int) -> None:
        slot = self._slot(self._slots, number)
        if self._slots[slot] == number:
            return
        self._slots[slot] = number
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._grow()

    def _grow(self) -> None:
        larger = array("Q", bytes(8 * 2 * len(self._slots)))
        for number in self._slots:
            if number:
                larger[self._slot(larger, number)] = number
        self._slots = larger

    @staticmethod
    def _slot(slots: array[int], number: int) -> int:
        mask = len(slots) - 1
        at = number & mask
        while slots[at] and slots[at] != number:
            at = (at + 1) & mask
        return at


def _hash(key: str, kind: Kind) -> int:
    digest = hashlib.blake2b(f"{kind}\0{key}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) or 1
