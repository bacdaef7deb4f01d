"""The provider service: a feed for every registered trigger, for as long as it is registered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from eventflow.errors import FaasError
from faasfeeds.kafka.connecting import Unreachable
from faasfeeds.kafka.feed import TriggerFeed
from faasfeeds.kafka.registration import Registration, Registrations
from faasfeeds.kafka.state import FeedState, ProviderState

log = logging.getLogger(__name__)

LOOK_S = 0.2
"""Seconds between two looks at the registrations."""

RESTART_S = 5.0
"""Seconds before a feed that ended by an error is started again."""

SAY_AGAIN_S = 600.0
"""Seconds after which a lasting reason why a trigger is not fed is said again."""

LASTING_S = 60.0
"""Seconds after which a wrong password, CA or protocol that came to be while feeds run ends the service: whoever starts
it again gives it the settings as they are then."""


class Provider:
    """Starts, replaces and stops feeds as registrations come, change and go."""

    def __init__(self, registrations: Registrations, feed: Callable[[Registration], TriggerFeed]) -> None:
        self._registrations = registrations
        self._feed = feed
        self._running: dict[str, _Running] = {}
        self._away = ""
        self._useless_since: float | None = None
        self._looked: float | None = None

    @property
    def state(self) -> ProviderState:
        """How things stand; safe to read from any thread."""
        return ProviderState(looked=self._looked, feeds=tuple(one.state for one in list(self._running.values())))

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Serve until ``stop`` is set, then let every feed settle what it has under way; ``beat`` is called often.

        Raises `Unreachable` when Kafka is, and waiting would not help.
        """
        try:
            while not stop.is_set():
                self._reconcile()
                beat()
                stop.wait(LOOK_S)
        finally:
            for running in self._running.values():
                running.stop()
            for running in self._running.values():
                running.join()

    def _reconcile(self) -> None:
        try:
            found = self._registrations.all()
        except FaasError as error:  # the feeds go on as they are
            if str(error) != self._away:
                log.warning("the registrations cannot be read: %s%s", error, f" ({error.hint})" if error.hint else "")
            self._away = str(error)
            self._give_up_on(error)
            return
        if self._away:
            log.info("the registrations can be read again")
        self._away = ""
        self._useless_since = None
        self._looked = time.time()
        wanted = {registration.trigger: registration for registration in found if not registration.paused}
        ending = []
        for trigger, running in list(self._running.items()):
            if wanted.get(trigger) != running.registration and not running.change(wanted.get(trigger)):
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

    def _give_up_on(self, error: FaasError) -> None:
        """End when nothing but another setting helps, and that not only for a moment."""
        if not isinstance(error, Unreachable) or not error.cause.lasting:
            self._useless_since = None
        elif self._useless_since is None:
            self._useless_since = time.monotonic()
        elif time.monotonic() > self._useless_since + LASTING_S:
            raise error


class _Running:
    """A feed in a thread of its own, started again when it ends by an error."""

    def __init__(self, registration: Registration, feed: Callable[[Registration], TriggerFeed]) -> None:
        self.registration = registration
        self._make = feed
        self._feed: TriggerFeed | None = None
        self._stop = threading.Event()
        self._making = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=registration.trigger, daemon=True)
        self._thread.start()

    @property
    def state(self) -> FeedState:
        """Of the feed that runs, or of the last one."""
        return self._feed.state if self._feed is not None else FeedState(trigger=self.registration.trigger)

    def change(self, registration: Registration | None) -> bool:
        """Take over a changed registration without a pause; False when that takes another feed, or none at all."""
        known = self.registration
        if (
            registration is None
            or registration.auth != known.auth
            or not registration.settings.reads_as(known.settings)
        ):
            return False
        log.info("%s: changing its settings", known.trigger, extra={"trigger": known.trigger})
        with self._making:
            self.registration = registration
            if self._feed is not None:
                self._feed.change(registration.settings)
        return True

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
        said, said_at = "", 0.0
        while not self._stop.is_set():
            try:
                with self._making:
                    self._feed = self._make(self.registration)
                if self._stop.is_set():
                    return
                self._feed.run()
            except FaasError as error:
                hint = f" ({error.hint})" if error.hint else ""
                if str(error) != said or time.monotonic() > said_at + SAY_AGAIN_S:
                    log.error("%s: is not fed: %s%s", trigger, error, hint, extra={"trigger": trigger})
                    said, said_at = str(error), time.monotonic()
                self._stop.wait(RESTART_S)
            except Exception:  # a bug: the feed must never end silently; nothing unsettled was committed
                log.exception("%s: its feed failed and starts again", trigger, extra={"trigger": trigger})
                self._stop.wait(RESTART_S)
