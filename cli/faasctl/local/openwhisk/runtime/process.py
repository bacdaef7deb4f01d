"""One action's process: lines in on stdin, lines out on descriptor 3, stdout and stderr collected.

The counterpart of openwhisk-runtime-go, openwhisk/executor.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

CHUNK = 64 * 1024
"""Bytes read at once: what a pipe holds. A shorter read has emptied it."""
ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer line; OpenWhisk's proxy has no bound, its controller cuts at 1 MB."""


class ActionExited(Exception):
    """The process ended before it answered."""


class ActionProcess:
    """A running action. All methods belong to the event loop's thread; use one request at a time."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        stdout: Callable[[bytes], None],
        stderr: Callable[[bytes], None],
    ) -> None:
        """Start ``argv`` plus one argument, the number under which the result pipe is inherited.

        ``stdout`` and ``stderr`` are called with what the process writes, as it arrives.
        """
        self._loop = asyncio.get_running_loop()
        input_end, self._stdin = os.pipe()
        self._stdout, output_end = os.pipe()
        self._stderr, error_end = os.pipe()
        self._results, result_end = os.pipe()
        theirs = (input_end, output_end, error_end, result_end)
        try:
            self._child = subprocess.Popen(
                [*argv, str(result_end)],
                stdin=input_end,
                stdout=output_end,
                stderr=error_end,
                pass_fds=(result_end,),
                cwd=directory,
                env=dict(environment),
                process_group=0,
                umask=0o022,
            )
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._sinks = {self._stdout: stdout, self._stderr: stderr}
        self._answers = bytearray()
        self._pending = memoryview(b"")
        self._waiter: asyncio.Future[None] | None = None
        self.exited = asyncio.Event()
        for descriptor in (self._stdin, self._stdout, self._stderr, self._results):
            os.set_blocking(descriptor, False)
        self._loop.add_reader(self._results, self._read_answers)
        self._output = select.poll()
        for descriptor in self._sinks:
            self._output.register(descriptor, select.POLLIN)
            self._loop.add_reader(descriptor, self._read_output, descriptor)
        threading.Thread(target=self._wait, name=f"wait-{self._child.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._child.pid

    async def ask(self, line: bytes) -> bytes:
        """Send one line (without its newline) and return the next one that the action answers, newline included.

        Raises ActionExited. What the action wrote before its answer has been handed on by then.
        """
        self._pending = memoryview(line + b"\n")
        self._write()
        return await self.line()

    async def line(self) -> bytes:
        """The next line on descriptor 3; raises ActionExited."""
        while True:
            end = self._answers.find(b"\n")
            if end >= 0:
                answer = bytes(self._answers[: end + 1])
                del self._answers[: end + 1]
                self.drain()
                return answer
            if self.exited.is_set() or len(self._answers) > ANSWER_LIMIT:
                self.drain()
                raise ActionExited
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def rest(self) -> bytes:
        """What is left on descriptor 3 after the process has ended."""
        return bytes(self._answers)

    def drain(self) -> None:
        """Hand on everything written so far; without this, an answer could overtake the output before it."""
        for descriptor, _ in self._output.poll(0):
            while self._read_output(descriptor):
                pass

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the process and all that it started, unless they left its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    async def close(self) -> None:
        """Kill what is left, wait for it, and release the pipes."""
        self.kill()
        await self.exited.wait()
        self.kill()
        for descriptor in (self._stdin, self._stdout, self._stderr, self._results):
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)
            os.close(descriptor)
        self._sinks.clear()

    def _wait(self) -> None:
        self._child.wait()
        with contextlib.suppress(RuntimeError):  # the loop is gone: the host itself is ending
            self._loop.call_soon_threadsafe(self._ended)

    def _ended(self) -> None:
        self._read_answers()
        self.drain()
        self.exited.set()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _read_answers(self) -> None:
        try:
            while chunk := os.read(self._results, CHUNK):
                self._answers += chunk
                if len(chunk) < CHUNK or len(self._answers) > ANSWER_LIMIT:
                    break
            else:
                # The action closed its end; like the proxy, which holds one itself, wait until it ends.
                self._loop.remove_reader(self._results)
        except BlockingIOError:
            pass
        self._wake()

    def _read_output(self, descriptor: int) -> bool:
        try:
            chunk = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._loop.remove_reader(descriptor)
            self._output.unregister(descriptor)
            return False
        self._sinks[descriptor](chunk)
        return len(chunk) == CHUNK

    def _write(self) -> None:
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._stdin, self._pending) :]
        except BlockingIOError:
            self._loop.add_writer(self._stdin, self._write)
            return
        except BrokenPipeError:
            self._pending = memoryview(b"")
        self._loop.remove_writer(self._stdin)
