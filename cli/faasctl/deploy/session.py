"""Calls to one OpenWhisk namespace from several threads, repeated while they may still succeed."""

from __future__ import annotations

import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from eventflow.clients.openwhisk import Conflict, OpenWhisk, Throttled, Unavailable

WORKERS = 16
PATIENCE = 60.0
"""Seconds for which a call is repeated; OpenWhisk's throttles count by the minute."""

FIRST_CONTACT = 2.0
"""The same before the host has answered at all: then its address is more likely wrong than the host is away."""

T = TypeVar("T")
R = TypeVar("R")


class Session:
    """A namespace, and as many connections to it as there are calls at the same time; they are kept between calls.

    ``ca`` is a file; ``patience`` in seconds bounds the repetition of one call.
    """

    def __init__(
        self,
        apihost: str,
        auth: str,
        *,
        namespace: str,
        ca: str | None = None,
        workers: int = WORKERS,
        patience: float = PATIENCE,
    ) -> None:
        self.apihost = apihost
        self.auth = auth
        self.namespace = namespace
        self.workers = workers
        self._ca = ca
        self._patience = patience
        self._answered = False
        self._idle: dict[str, deque[OpenWhisk]] = defaultdict(deque)

    def call(self, request: Callable[[OpenWhisk], T], *, namespace: str | None = None) -> T:
        """Do a request, again after an outage, a throttle or a concurrent change, with growing pauses.

        ``namespace`` is another one than the session's own, for what is shared there.
        """
        until = time.monotonic() + (self._patience if self._answered else min(FIRST_CONTACT, self._patience))
        pause = 0.1
        while True:
            try:
                with self._client(namespace or self.namespace) as client:
                    answer = request(client)
                self._answered = True
                return answer
            except (Unavailable, Throttled, Conflict) as error:
                if isinstance(error, Conflict) and "oncurrent modification" not in error.why:
                    raise
                wait = pause * random.uniform(0.5, 1.5)  # noqa: S311 - spreads the retries, guards nothing
                if time.monotonic() + wait > until:
                    raise
            time.sleep(wait)
            pause = min(pause * 2, 5.0)

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Apply ``work`` to all items at the same time; the results in their order."""
        with ThreadPoolExecutor(self.workers) as threads:
            return list(threads.map(work, items))

    @contextmanager
    def _client(self, namespace: str) -> Iterator[OpenWhisk]:
        """A client that nobody else uses meanwhile; deques are safe to share between threads."""
        idle = self._idle[namespace]
        try:
            client = idle.pop()
        except IndexError:
            client = OpenWhisk(self.apihost, self.auth, namespace=namespace, ca=self._ca)
        try:
            yield client
        finally:
            idle.append(client)
