"""How much one namespace may do (core/entitlement/{RateThrottler,ActivationThrottler}.scala)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from faasctl.local.openwhisk.errors import ApiError
from faasctl.local.openwhisk.settings import Settings


class Rate:
    """Counts per namespace in windows of one calendar minute; what it refuses counts as well."""

    def __init__(self, allowed: int, clock: Callable[[], float] = time.time) -> None:
        self._allowed = allowed
        self._clock = clock
        self._minute = -1
        self._counts: Counter[str] = Counter()

    def check(self, namespace: str) -> None:
        """Count one; raises ApiError 429 when that is too many."""
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        self._counts[namespace] += 1
        count = self._counts[namespace]
        if count > self._allowed:
            raise ApiError(429, f"Too many requests in the last minute (count: {count}, allowed: {self._allowed}).")


class Throttle:
    """The walls in front of invocations and of trigger fires."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._throttled = settings.throttled
        self._most = settings.most_in_flight
        self._concurrent = settings.concurrent_invocations
        self._invocations = Rate(settings.invocations_per_minute, clock)
        self._fires = Rate(settings.fires_per_minute, clock)
        self.in_flight: Counter[str] = Counter()
        """Activations that run or wait, by namespace."""

    def check_invocation(self, namespace: str) -> None:
        """Raises ApiError 429."""
        if self.in_flight.total() >= self._most:
            raise ApiError(429, "System is overloaded, try again later.")
        if not self._throttled:
            return
        self._invocations.check(namespace)
        count = self.in_flight[namespace]
        if count > self._concurrent:
            raise ApiError(
                429, f"Too many concurrent requests in flight (count: {count}, allowed: {self._concurrent})."
            )

    def check_fire(self, namespace: str) -> None:
        """Raises ApiError 429."""
        if self._throttled:
            self._fires.check(namespace)
