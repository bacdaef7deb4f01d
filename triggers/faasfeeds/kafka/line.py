"""The legs that wait for their turn, and how they are put together as batches. Pure."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Sequence

from faasfeeds.kafka.flight import Leg, Rule


class Line:
    """Fresh legs in the order they came, and groups that are due for another try; a batch is for one rule, or for
    all. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._fresh: dict[Rule | None, deque[Leg]] = {None: deque()}
        self._since: dict[Rule | None, float] = {}
        self._later: list[tuple[float, int, Sequence[Leg]]] = []
        self._ticket = itertools.count()

    def add(self, leg: Leg, now: float) -> None:
        """A leg joins the end of the line."""
        waiting = self._fresh.setdefault(leg.rule, deque())
        if not waiting:
            self._since[leg.rule] = now
        waiting.append(leg)

    def put_back(self, legs: Sequence[Leg]) -> None:
        """Legs that were never delivered stand at the front again."""
        self._fresh.setdefault(legs[0].rule, deque()).extendleft(reversed(legs))
        self._since[legs[0].rule] = 0.0

    def again(self, legs: Sequence[Leg], due: float) -> None:
        """A group that is delivered again as it is, from then on."""
        heapq.heappush(self._later, (due, next(self._ticket), legs))

    def is_due(self, now: float) -> bool:
        """Whether something waits that could be delivered."""
        return any(self._fresh.values()) or bool(self._later and self._later[0][0] <= now)

    def next(self, now: float, *, records: int, size: int, linger: float) -> Sequence[Leg]:
        """The next batch: a group whose time has come, else at most ``records`` legs with together ``size`` bytes that
        came first; for up to ``linger`` seconds a batch is waited for to fill. Empty when there is none."""
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        for rule, waiting in self._fresh.items():
            if waiting and (len(waiting) >= records or now >= self._since[rule] + linger):
                batch = [waiting.popleft()]
                used = batch[0].entry.size
                while waiting and len(batch) < records and used + waiting[0].entry.size <= size:
                    used += waiting[0].entry.size
                    batch.append(waiting.popleft())
                self._since[rule] = now
                return batch
        return ()
