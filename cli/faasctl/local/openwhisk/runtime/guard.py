"""An action that takes more time or memory than its limits is killed, and it is known which.

Resident memory is watched, where the system tells it (Linux), instead of limiting the address space: Python's threads
and native libraries reserve hundreds of megabytes that they never touch, and a container's limit does not count those.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol

INTERVAL = 0.2
"""Seconds between two looks at the memory of what runs."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Killable(Protocol):
    @property
    def pid(self) -> int | None: ...

    def kill(self) -> None: ...


class MemoryWatch:
    """Looks at all running actions in turn; costs nothing while there is none."""

    def __init__(self) -> None:
        self.guards: set[Guard] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, guard: Guard) -> None:
        self.guards.add(guard)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def _look(self) -> None:
        self._timer = None
        for guard in self.guards:
            guard.check_memory()
        if self.guards:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)


class Guard:
    """Stands over a container for the length of a ``with``; ``verdict`` says why it was killed, if it was."""

    def __init__(self, container: Killable, watch: MemoryWatch, *, seconds: float, memory: int) -> None:
        """``memory`` in bytes."""
        self._container = container
        self._watch = watch
        self._seconds = seconds
        self._memory = memory
        self.verdict: Literal["time", "memory"] | None = None

    def __enter__(self) -> Guard:
        self._timer = asyncio.get_running_loop().call_later(max(self._seconds, 0), self._expire)
        self._watch.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._watch.guards.discard(self)

    def check_memory(self) -> None:
        pid = self._container.pid
        if pid is not None and resident(pid) > self._memory and self.verdict is None:
            self.verdict = "memory"
            self._container.kill()

    def _expire(self) -> None:
        if self.verdict is None:
            self.verdict = "time"
            self._container.kill()


def resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 when nobody knows."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, ValueError, IndexError):
        return 0
