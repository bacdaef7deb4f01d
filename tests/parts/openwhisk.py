"""An OpenWhisk host for a test: its own process, on a free port of loopback, gone when the test is.

@pytest.fixture(scope="module")
def openwhisk() -> Iterator[OpenWhisk]:
    with running() as host:
        yield host
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faasctl.local.openwhisk.auth import Identity, new_identity


@dataclass(frozen=True)
class OpenWhisk:
    """A running host. ``auths`` holds ``uuid:key`` for each namespace."""

    apihost: str
    auths: dict[str, str]
    pid: int


@contextmanager
def running(
    *options: str,
    namespaces: Sequence[str] = ("guest", "functions"),
    identities: Sequence[Identity] | None = None,
    directory: Path | None = None,
    throttled: bool = False,
) -> Iterator[OpenWhisk]:
    """Start ``python -m faasctl.local.openwhisk`` with random keys (or ``identities``), stop it at the end."""
    known = list(identities or map(new_identity, namespaces))
    command = [sys.executable, "-m", "faasctl.local.openwhisk", "--port", "0", *options]
    for identity in known:
        command += ["--auth", f"{identity.namespace}={identity.auth}"]
    if directory is not None:
        command += ["--dir", str(directory)]
    if not throttled:
        command += ["--no-throttle"]
    lifeline, ours = os.pipe()
    environment = {**os.environ, "FAASCTL_LIFELINE_FD": str(lifeline)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=(lifeline,), env=environment, text=True) as process:
        os.close(lifeline)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the OpenWhisk host ended with {process.wait()} before it was ready")
            port = json.loads(line)["port"]
            auths = {identity.namespace: identity.auth for identity in known}
            yield OpenWhisk(apihost=f"http://127.0.0.1:{port}", auths=auths, pid=process.pid)
        finally:
            os.close(ours)
            process.terminate()
            process.wait(timeout=20)
