"""The provider service: a feed for every registered trigger, for as long as it is registered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from faasfeeds.kafka.feed import TriggerFeed
from faasfeeds.kafka.registration import Registration, Registrations

log = logging.getLogger(__name__)

LOOK_S = 0.2
"""Seconds between two looks at the registrations."""

RESTART_S = 5.0
"""Seconds before a feed that ended by an error is started again."""


class Provider:
    """Starts, replaces and stops feeds as registrations come, change and go."""

    def __init__(self, registrations: Registrations, feed: Callable[[Registration], TriggerFeed]) -> None:
        self._registrations = registrations
        self._feed = feed
        self._running: dict[str, tuple[Registration, TriggerFeed, threading.Thread]] = {}

    def run(self, stop: threading.Event) -> None:
        """Serve until ``stop`` is set, then let every feed settle what it has under way."""
        while not stop.is_set():
            self._reconcile()
            stop.wait(LOOK_S)
        for _, feed, _ in self._running.values():
            feed.stop()
        for _, _, thread in self._running.values():
            thread.join()

    def _reconcile(self) -> None:
        wanted = {registration.trigger: registration for registration in self._registrations.all()}
        for trigger, (registration, feed, thread) in list(self._running.items()):
            if wanted.get(trigger) != registration:
                log.info("%s: stopping its feed", trigger)
                feed.stop()
                thread.join()
                del self._running[trigger]
        for trigger, registration in wanted.items():
            if trigger not in self._running:
                self._start(registration)

    def _start(self, registration: Registration) -> None:
        log.info("%s: feeding from %s", registration.trigger, ", ".join(registration.settings.topics))
        feed = self._feed(registration)

        def run() -> None:
            pause = threading.Event()
            while True:
                try:
                    feed.run()
                except Exception:  # a feed must never end silently; what it had in flight was not committed
                    log.exception("%s: its feed failed and starts again", registration.trigger)
                if feed.stopped:
                    return
                pause.wait(RESTART_S)

        thread = threading.Thread(target=run, name=registration.trigger, daemon=True)
        thread.start()
        self._running[registration.trigger] = (registration, feed, thread)
