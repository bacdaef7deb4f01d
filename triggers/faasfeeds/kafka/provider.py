"""The provider service: a feed for every registered trigger, for as long as it is registered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from eventflow.errors import FaasError
from faasfeeds.kafka.feed import TriggerFeed
from faasfeeds.kafka.registration import Registration, Registrations
from faasfeeds.kafka.state import FeedState, ProviderState

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
        self._running: dict[str, _Running] = {}
        self._away = False
        self._looked: float | None = None

    @property
    def state(self) -> ProviderState:
        """How things stand; safe to read from any thread."""
        return ProviderState(looked=self._looked, feeds=tuple(one.state for one in list(self._running.values())))

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Serve until ``stop`` is set, then let every feed settle what it has under way; ``beat`` is called often."""
        while not stop.is_set():
            self._reconcile()
            beat()
            stop.wait(LOOK_S)
        for running in self._running.values():
            running.stop()
        for running in self._running.values():
            running.join()

    def _reconcile(self) -> None:
        try:
            found = self._registrations.all()
        except FaasError as error:  # the feeds go on as they are
            if not self._away:
                log.warning("the registrations cannot be read: %s", error)
            self._away = True
            return
        self._away = False
        self._looked = time.time()
        wanted = {registration.trigger: registration for registration in found if not registration.paused}
        ending = []
        for trigger, running in list(self._running.items()):
            if wanted.get(trigger) != running.registration:
                log.info("%s: stopping its feed", trigger, extra={"trigger": trigger})
                running.stop()
                ending.append(self._running.pop(trigger))
        for running in ending:
            running.join()
        for trigger, registration in wanted.items():
            if trigger not in self._running:
                topics = ", ".join(registration.settings.topics)
                log.info("%s: feeding from %s", trigger, topics, extra={"trigger": trigger})
                self._running[trigger] = _Running(registration, self._feed)


class _Running:
    """A feed in a thread of its own, started again when it ends by an error."""

    def __init__(self, registration: Registration, feed: Callable[[Registration], TriggerFeed]) -> None:
        self.registration = registration
        self._make = feed
        self._feed: TriggerFeed | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=registration.trigger, daemon=True)
        self._thread.start()

    @property
    def state(self) -> FeedState:
        """Of the feed that runs, or of the last one."""
        return self._feed.state if self._feed is not None else FeedState(trigger=self.registration.trigger)

    def stop(self) -> None:
        """Ask it to end."""
        self._stop.set()
        if self._feed is not None:
            self._feed.stop()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def _run(self) -> None:
        trigger = self.registration.trigger
        while not self._stop.is_set():
            try:
                self._feed = self._make(self.registration)
                if self._stop.is_set():
                    return
                self._feed.run()
            except FaasError as error:
                hint = f" ({error.hint})" if error.hint else ""
                log.error("%s: %s%s", trigger, error, hint, extra={"trigger": trigger})
                self._stop.wait(RESTART_S)
            except Exception:  # a bug: the feed must never end silently; nothing unsettled was committed
                log.exception("%s: its feed failed and starts again", trigger, extra={"trigger": trigger})
                self._stop.wait(RESTART_S)
