"""The process pool's slots: what starts next, how it runs, and when it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from faasctl.local.pool.queue import EXPIRED, Entry, Queue

TRANSIENT_EXITS = (11, 31)
RESULT_BYTES = 1 << 20
TICK = 0.5
STOP_GRACE = 10.0


def startable(idle: Sequence[Entry], running: Sequence[Entry], slots: int) -> list[Entry]:
    """The idle jobs that may start now: oldest first, within the slots and their function's ``max_running``."""
    free = slots - sum(entry.job.resources.cpus for entry in running)
    per_function = Counter(entry.job.function for entry in running)
    chosen = []
    for entry in idle:
        limit = entry.job.limits.max_running
        if entry.job.resources.cpus > free or (limit is not None and per_function[entry.job.function] >= limit):
            continue
        free -= entry.job.resources.cpus
        per_function[entry.job.function] += 1
        chosen.append(entry)
    return chosen


class Slots:
    """Runs the queue's jobs, each in a session and a fresh 0700 folder of its own, with nothing but its files."""

    def __init__(self, queue: Queue, directory: Path, slots: int, staging_time: float) -> None:
        self.queue = queue
        self.slots = slots
        self.staging_time = staging_time
        self.changed = asyncio.Event()
        self._run = directory / "run"
        self._jobs: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Start, stop and expire jobs until cancelled; jobs that ran when the pool died start again."""
        self._recover()
        try:
            while True:
                self._expire()
                for entry in startable(self.queue.in_state("idle"), self.queue.in_state("running"), self.slots):
                    self.queue.move(entry, "running", f"start {entry.starts + 1}", time.time())
                    task = self._jobs[entry.number] = asyncio.create_task(self._run_job(entry))
                    task.add_done_callback(partial(self._forget, entry.number))
                self.queue.forget_old(time.time())
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK):  # Python 3.11's wait_for can lose a cancellation
                        await self.changed.wait()
        finally:
            for task in self._jobs.values():
                task.cancel()
            await asyncio.gather(*self._jobs.values(), return_exceptions=True)

    def remove(self, entry: Entry, reason: str) -> None:
        """Take a job out of the queue, whatever it does; a running one is stopped."""
        if entry.state not in ("completed", "removed"):
            self.queue.move(entry, "removed", reason, time.time())
            if entry.number in self._jobs:
                self._jobs[entry.number].cancel()
        self.changed.set()

    def _forget(self, number: int, task: asyncio.Task[None]) -> None:
        """A start is over; the next one may have begun already."""
        if self._jobs.get(number) is task:
            del self._jobs[number]

    def _recover(self) -> None:
        for entry in self.queue.in_state("running"):
            sandbox = self._sandbox(entry)
            with contextlib.suppress(OSError):
                if entry.process and Path(f"/proc/{entry.process}/cwd").readlink() == sandbox:
                    os.kill(entry.process, signal.SIGTERM)
            self.queue.move(entry, "idle", "the pool was restarted", time.time())

    def _expire(self) -> None:
        now = time.time()
        for entry in self.queue.in_state("idle", "spooling"):
            if entry.job.expires <= now:
                self.queue.move(entry, "removed", EXPIRED, now)

    def _sandbox(self, entry: Entry) -> Path:
        return self._run / str(entry.number)

    async def _run_job(self, entry: Entry) -> None:
        limit = entry.job.resources.runtime + self.staging_time
        process = None
        try:
            process = await self._launch(entry)
            async with asyncio.timeout(limit):
                code = await process.wait()
            self._ended(entry, code)
        except TimeoutError:
            self.queue.move(entry, "removed", f"ran longer than {limit:g} s", time.time())
        except OSError as error:
            self.queue.move(entry, "held", f"cannot be started: {error.strerror}", time.time())
        except asyncio.CancelledError:
            found = self.queue.get(entry.id)
            if found is None or found.state == "running":  # and was not removed
                self.queue.move(entry, "idle", "the pool was stopped", time.time())
                raise
        finally:
            if process is not None and process.returncode is None:
                await _stop(process)
            shutil.rmtree(self._sandbox(entry), ignore_errors=True)
            self.changed.set()

    async def _launch(self, entry: Entry) -> asyncio.subprocess.Process:
        sandbox = self._sandbox(entry)
        shutil.rmtree(sandbox, ignore_errors=True)
        shutil.copytree(self.queue.input_of(entry), sandbox)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(sandbox),
            "TMPDIR": str(sandbox),
            "LANG": "C.UTF-8",
        }
        with (sandbox / "_runner.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "runner.py",
                cwd=sandbox,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.queue.started(entry, process.pid)
        return process

    def _ended(self, entry: Entry, code: int) -> None:
        result = None
        with contextlib.suppress(OSError, UnicodeDecodeError):
            path = self._sandbox(entry) / "result.json"
            result = path.read_text() if path.stat().st_size <= RESULT_BYTES else None
        starts = entry.starts + 1
        if code in TRANSIENT_EXITS and starts <= entry.job.retries:
            state, reason = "idle", f"exit {code}, start {starts} of {entry.job.retries + 1}"
        else:
            state, reason = "completed", f"exit {code}"
        self.queue.move(entry, state, reason, time.time(), exit=code, result=result)  # type: ignore[arg-type]


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Ask the runner to end (it then ends its function), and insist after `STOP_GRACE` seconds."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_GRACE):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
