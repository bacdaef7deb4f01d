"""How large the next batch is, how many may be under way, and when the next may be fired. Pure."""

from __future__ import annotations

FIRST_RECORDS = 200
"""Records of a batch while all is well: what a sequence does in a second or two."""

MOST_FLIGHTS = 6
"""Batches of one trigger that are under way at once."""

FIRST_FLIGHTS = 2
"""And at the beginning, so that a cold OpenWhisk does not start them all in one moment."""

RELIEF_S = 2.0
"""Seconds in which several batches that come to nothing are one sign of too much load."""

LONGEST_GAP_S = 5.0
LONGEST_HOLD_S = 30.0


class Pace:
    """Batches grow and become fewer when OpenWhisk throttles; they shrink and become fewer when they fail.

    ``records`` is the size of the next batch; ``flights`` how many may be under way. ``most`` is the trigger's own
    bound. Times are monotonic seconds.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._gap = 0.0
        self._not_before = 0.0
        self._outages = 0
        self._relieved = -RELIEF_S
        self.records = min(FIRST_RECORDS, most)
        self.flights = FIRST_FLIGHTS

    def bound(self, most: int) -> None:
        """Let no batch be larger than that from now on."""
        self._most = most
        self.records = min(self.records, most)

    def may_fire(self, now: float) -> bool:
        """Whether a batch may be fired now."""
        return now >= self._not_before

    def fired(self, now: float) -> None:
        """A batch was fired."""
        self._not_before = now + self._gap

    def passed(self) -> None:
        """A batch came through."""
        self._outages = 0
        self._gap = self._gap * 0.9 if self._gap > 0.1 else 0.0
        self.flights = min(MOST_FLIGHTS, self.flights + 1)
        usual = min(FIRST_RECORDS, self._most)
        if self.records < usual:
            self.records = min(usual, self.records + self.records // 4 + 1)

    def throttled(self) -> None:
        """A fire or a rule was throttled: fewer and larger batches."""
        self._gap = min(LONGEST_GAP_S, max(0.25, 1.5 * self._gap))
        self.flights = 1
        self.records = min(self._most, 2 * self.records)

    def failed(self, now: float) -> None:
        """A batch failed as a whole, or did not come back in time: fewer and smaller ones, or a busy OpenWhisk would
        be kept busy with batches that all end in a time-out."""
        if now >= self._relieved + RELIEF_S:
            self._relieved = now
            self.flights = max(1, self.flights // 2)
            self.records = max(1, self.records // 2)

    def away(self, now: float) -> float:
        """OpenWhisk is away: the seconds until it is asked again, by one batch alone."""
        if now >= self._not_before:  # of several batches that found out at once, one counts
            self._not_before = now + min(LONGEST_HOLD_S, 0.25 * 2.0 ** min(self._outages, 10))
            self._outages += 1
        self.flights = 1
        return self._not_before - now
