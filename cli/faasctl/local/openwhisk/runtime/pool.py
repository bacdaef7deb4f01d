"""Warm containers, and who gets one when there are no more (core/containerpool/ContainerPool.scala)."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

from faasctl.local.openwhisk.runtime.container import Container
from faasctl.local.openwhisk.runtime.guard import MemoryWatch
from faasctl.local.openwhisk.runtime.logs import LogLine, LogStream
from faasctl.local.openwhisk.settings import MB, Settings


class Owner(NamedTuple):
    """Containers are shared by nobody: neither by namespaces, nor by actions, nor by an action's revisions."""

    namespace: str
    action: str
    revision: int


class Room:
    """A container with its output, on loan to one activation at a time."""

    def __init__(self, owner: Owner, folder: Path, *, kind: str, api_host: str, log_limit: int) -> None:
        self.owner = owner
        self.initialised = False
        self.idle_since = 0.0
        self._streams = (LogStream("stdout", log_limit), LogStream("stderr", log_limit))
        stdout, stderr = self._streams
        self.container = Container(
            folder,
            kind=kind,
            environment={"__OW_API_HOST": api_host},
            stdout=stdout,
            stderr=stderr,
        )

    def take_logs(self) -> tuple[list[LogLine], bool]:
        """What was written since the last activation, in order of arrival, and whether some was dropped."""
        truncated = any(stream.truncated for stream in self._streams)
        lines = [line for stream in self._streams for line in stream.take()]
        lines.sort(key=lambda line: line.when)
        return lines, truncated


class ContainerPool:
    """At most ``settings.containers`` at one time; an idle one of another action makes room for a new one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = Path(tempfile.mkdtemp(prefix="openwhisk-"))
        self.watch = MemoryWatch()
        self._idle: dict[Owner, list[Room]] = {}
        self._count = 0
        self._made = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.Task[None] | None = None
        self._all: set[Room] = set()

    async def acquire(self, owner: Owner, *, kind: str, api_host: str, log_limit: int) -> Room:
        """A warm container of ``owner``, or a new one, as soon as there is room."""
        if self._reaper is None:
            self._reaper = asyncio.create_task(self._reap())
        while True:
            room = self._warm(owner)
            if room is not None:
                return room
            if self._count < self._settings.containers:
                self._count += 1
                self._made += 1
                folder = self._root / str(self._made)
                # The limit is one byte generous per stream, so that exactly full logs are no truncation.
                room = Room(owner, folder, kind=kind, api_host=api_host, log_limit=log_limit * MB + 1)
                self._all.add(room)
                return room
            self._evict()
            await self._turn()

    def release(self, room: Room, *, reusable: bool) -> None:
        """Give a container back; one that is not reusable is destroyed."""
        if reusable and room.container.alive:
            room.idle_since = time.monotonic()
            self._idle.setdefault(room.owner, []).append(room)
            self._next()
        else:
            self._drop(room)

    def forget(self, action: str) -> None:
        """An action was changed or removed: its idle containers will never be asked for again."""
        for owner in [owner for owner in self._idle if owner.action == action]:
            for room in self._idle.pop(owner):
                self._drop(room)

    async def close(self) -> None:
        """Kill everything and remove all folders."""
        if self._reaper is not None:
            self._reaper.cancel()
        await asyncio.gather(*self._tasks)
        await asyncio.gather(*(room.container.destroy() for room in self._all))
        shutil.rmtree(self._root, ignore_errors=True)

    def _warm(self, owner: Owner) -> Room | None:
        """An idle container that still lives; actions may end their own processes at any time."""
        idle = self._idle.get(owner, [])
        while idle:
            room = idle.pop()
            if room.container.alive:
                return room
            self._drop(room)
        return None

    async def _turn(self) -> None:
        """Wait until a place is free, or a container idle; whoever waits longest is next."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was this one's turn already
                self._next()
            raise

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                return

    def _evict(self) -> None:
        """End the container that has been idle longest, if any is: its place is free as soon as it is gone."""
        idle = [room for rooms in self._idle.values() for room in rooms]
        if idle:
            oldest = min(idle, key=lambda room: room.idle_since)
            self._idle[oldest.owner].remove(oldest)
            self._drop(oldest)

    def _drop(self, room: Room) -> None:
        task = asyncio.create_task(self._end(room))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, room: Room) -> None:
        await room.container.destroy()
        self._all.discard(room)
        self._count -= 1
        self._next()

    async def _reap(self) -> None:
        pause = min(30.0, max(self._settings.idle_seconds / 4, 0.05))
        while True:
            await asyncio.sleep(pause)
            longest = time.monotonic() - self._settings.idle_seconds
            for owner, rooms in list(self._idle.items()):
                kept = [room for room in rooms if room.idle_since > longest and room.container.alive]
                for room in rooms:
                    if room not in kept:
                        self._drop(room)
                if kept:
                    self._idle[owner] = kept
                else:
                    del self._idle[owner]
