"""An action that takes more memory than its limit is ended.

Resident memory is watched, where the system tells it (Linux), instead of limiting the address space: Python's threads
and native libraries reserve hundreds of megabytes that they never touch, and a container's limit does not count those.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
INTERVAL = 0.2
"""Seconds between two looks."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryExhausted(Exception):
    """The action's process grew beyond its limit."""


class HasProcess(Protocol):
    @property
    def pid(self) -> int | None: ...


async def within_memory(container: HasProcess, limit: int, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, unless the container's process exceeds ``limit`` bytes before; raises MemoryExhausted."""
    task = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=INTERVAL)
            if done:
                return task.result()
            if container.pid is not None and resident(container.pid) > limit:
                raise MemoryExhausted
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 when nobody knows."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, ValueError, IndexError):
        return 0
