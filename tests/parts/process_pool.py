"""The local process pool as a real process, started and stopped as `faasctl local` does it."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventflow.clients.process_pool import ProcessPool


@contextmanager
def process_pool(directory: Path, *options: str) -> Iterator[ProcessPool]:
    """A pool that keeps its queue in ``directory``; started again on the same one, it goes on where it was."""
    token_file = directory / "token"
    directory.mkdir(exist_ok=True)
    if not token_file.exists():
        token_file.write_text(secrets.token_urlsafe(32))
    command = [sys.executable, "-m", "faasctl.local.pool", "--dir", str(directory), "--token-file", str(token_file)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield ProcessPool(ready["url"], token_file.read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()
