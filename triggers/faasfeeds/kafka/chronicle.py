"""What a feed says of itself: in its log when something changes, and in its state at any time. For one thread."""

from __future__ import annotations

import logging
import time
from collections import Counter

from faasfeeds.kafka.delivery import Landed
from faasfeeds.kafka.entrance import Entrance
from faasfeeds.kafka.intake import Intake
from faasfeeds.kafka.state import FeedState

log = logging.getLogger(__name__)

SHOWN_S = 0.5
"""Seconds after which the state is shown anew."""


class Chronicle:
    """Of one trigger's feed. ``state`` is a snapshot, for any thread to read."""

    def __init__(self, trigger: str) -> None:
        self._trigger = trigger
        self._about = {"trigger": trigger}
        self._trouble = ""
        self._batches: Counter[str] = Counter()
        self._again = 0
        self._minted = 0
        self._shown_at = 0.0
        self.state = FeedState(trigger=trigger)

    def landed(self, landing: Landed) -> None:
        """A batch is back."""
        if landing.mood or landing.why:
            self._batches[landing.mood or "waited"] += 1
        self._minted += landing.minted
        if landing.mood == "passed":
            self.waits_for("")
        elif landing.mood in ("throttled", "away"):
            self.waits_for(landing.why)
        elif landing.why:
            what = "failed" if landing.mood == "failed" else "waits"
            log.warning("%s: a batch %s: %s", self._trigger, what, landing.why, extra=self._about)

    def again(self, records: int) -> None:
        """So many records are delivered once more."""
        self._again += records

    def waits_for(self, trouble: str) -> None:
        """Something is away, or nothing is: said once each time."""
        if trouble and not self._trouble:
            log.warning("%s: waiting: %s", self._trigger, trouble, extra=self._about)
        elif not trouble and self._trouble:
            log.info("%s: goes on", self._trigger, extra=self._about)
        self._trouble = trouble

    def turned(self, intake: Intake, entrance: Entrance) -> None:
        """The feed's loop has turned."""
        now = time.monotonic()
        if now < self._shown_at + SHOWN_S:
            return
        self._shown_at = now
        held_up = entrance.under_way or any(intake.inboxes.values())
        self.state = FeedState(
            trigger=self._trigger,
            turned=time.time(),
            joined=intake.joined,
            waiting=self._trouble if held_up else "",
            in_flight=entrance.under_way,
            batches=dict(self._batches),
            again=self._again,
            minted=self._minted,
            committed={place: held for place, held in intake.committed.items() if place in intake.lanes},
        )
