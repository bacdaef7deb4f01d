"""Child processes of the local stack: started, waited for, and never left behind."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eventflow.errors import FaasError
from faasctl.local import lifeline

START_S = 30.0
STOP_S = 40.0  # longer than a service gives a server of another making


class StartFailed(FaasError):
    """A service of the local stack did not come up."""


class Service:
    """One service: a Python module of faasctl's in a process of its own, with its log in a file.

    It ends with the process that started it, however that ends (see `lifeline`).
    """

    def __init__(self, name: str, module: Sequence[str], log: Path) -> None:
        self.name = name
        self._module = tuple(module)
        self._log = log
        self._start()

    def _start(self, *options: str) -> None:
        reading, self._lifeline = os.pipe()
        inherited = {name: value for name, value in os.environ.items() if name != "FAASCTL_METRICS"}  # one's alone
        os.set_inheritable(reading, True)
        try:
            with self._log.open("ab") as stderr:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", *self._module, *options],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env={**inherited, lifeline.VARIABLE: str(reading)},
                    pass_fds=(reading,),
                    start_new_session=True,
                )
        finally:
            os.close(reading)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def ready(self, timeout: float = START_S) -> dict[str, Any]:
        """Wait for the service's line on stdout; raises `StartFailed` with the end of its log."""
        assert self._process.stdout is not None
        end = time.monotonic() + timeout
        line = b""
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                self.stop()
                raise StartFailed(f"{self.name} did not start within {timeout:.0f} s", hint=f"see {self._log}")
            part = os.read(self._process.stdout.fileno(), 65536)
            if not part:
                self.stop()
                tail = self._log.read_text(errors="replace").strip().splitlines()[-3:]
                raise StartFailed(f"{self.name} ended while it started: {' / '.join(tail)}", hint=f"see {self._log}")
            line += part
        facts = json.loads(line)
        assert isinstance(facts, dict)
        return facts

    def restart(self, *options: str) -> dict[str, Any]:
        """Stop the service and start it again, with more options (a port to come back on)."""
        self.stop()
        self._start(*options)
        return self.ready()

    def stop(self) -> None:
        """End the service: SIGTERM, and SIGKILL when it does not listen."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
