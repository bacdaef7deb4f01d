"""The embedded storage as a process of its own, for tests.

from tests.parts.storage import Storage, running_storage

with running_storage(tmp_path) as storage:
    storage.session("alice").put(storage.url("/data/raw/f"), data=b"...")
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import requests

USERS = [
    {"name": "alice", "password": "pw-alice", "uid": 1000, "gids": [1000, 1100]},
    {"name": "bob", "password": "pw-bob", "uid": 2000, "gids": [2000]},
    {"name": "ro", "password": "pw-ro", "uid": 4000, "gids": [1100], "read_only": True},
    {"name": "faas", "password": "pw-faas", "uid": 5000, "gids": [1100]},
]
"""alice, bob and ro are those of the recorded dCache; faas is the platform's own account, in alice's group."""

DIRECTORIES = [
    {"path": path, "uid": 1000, "gid": 1100, "storage_class": "test:default"}
    for path in ("/data", "/data/raw", "/data/in", "/data/out", "/users", "/pnfs")
] + [{"path": "/data/bobonly", "uid": 2000, "gid": 2000, "mode": "700"}]

STARTS_WITHIN = 20.0


@dataclass(frozen=True)
class Storage:
    """A running storage. ``records`` is the file of its billing records, or None when they go to Kafka."""

    endpoint: str
    pool_endpoint: str
    ca: Path
    directory: Path
    records: Path | None
    process: subprocess.Popen[str]

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"{self.endpoint}{path}"

    def credentials(self, user: str) -> tuple[str, str]:
        """Name and password."""
        return user, f"pw-{user}"

    def session(self, user: str | None = None, *, token: str | None = None) -> requests.Session:
        """An HTTP session that trusts the storage's CA, with a user's password, a macaroon, or nothing."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.ca)
        if user is not None:
            session.auth = self.credentials(user)
        if token is not None:
            session.headers["Authorization"] = f"Bearer {token}"
        return session

    def macaroon(self, path: str, *caveats: str, user: str = "alice", validity: str = "PT1H") -> str:
        """A macaroon of ``user`` for ``path``."""
        answer = self.session(user).post(
            self.url(path),
            data=json.dumps({"caveats": caveats, "validity": validity}),
            headers={"Content-Type": "application/macaroon-request"},
        )
        answer.raise_for_status()
        return str(answer.json()["macaroon"])

    def announced(self) -> list[dict[str, Any]]:
        """The billing records so far."""
        assert self.records is not None, "the records of this storage are on Kafka"
        return [json.loads(line) for line in self.records.read_text().splitlines()]

    def await_records(self, count: int, *, within: float = 10.0) -> list[dict[str, Any]]:
        """The billing records, once there are at least ``count``."""
        until = time.monotonic() + within
        while len(found := self.announced()) < count:
            assert time.monotonic() < until, f"{len(found)} of {count} records after {within} s"
            time.sleep(0.01)
        return found


@contextlib.contextmanager
def running_storage(
    directory: Path, *, bootstrap_servers: str = "none", topic: str = "billing", **settings: Any
) -> Iterator[Storage]:
    """A storage that keeps everything in ``directory``; ``settings`` are those of its configuration file.

    Several may share a directory: then they are doors of one storage.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor, config = tempfile.mkstemp(dir=directory, prefix="config-", suffix=".json")
    os.close(descriptor)
    Path(config).write_text(
        json.dumps({"users": USERS, "directories": DIRECTORIES, "cleaner_interval": 0.5, **settings})
    )
    command = [sys.executable, "-m", "faasctl.local.storage", "--dir", str(directory), "--config", config]
    command += ["--bootstrap-servers", bootstrap_servers, "--topic", topic]
    log = directory / "storage.log"
    reading, writing = os.pipe()
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            pass_fds=[reading],
            env={**os.environ, "FAASCTL_LIFELINE_FD": str(reading)},
        )
    os.close(reading)
    try:
        assert process.stdout is not None
        ready = _greeting(process.stdout, log)
        yield Storage(
            endpoint=ready["endpoint"],
            pool_endpoint=f"https://localhost:{ready['pool_port']}",
            ca=Path(ready["ca"]),
            directory=directory,
            records=directory / "records.jsonl" if bootstrap_servers == "none" else None,
            process=process,
        )
    finally:
        process.terminate()
        process.wait(STARTS_WITHIN)
        os.close(writing)


def _greeting(stdout: IO[str], log: Path) -> dict[str, Any]:
    line = stdout.readline()
    assert line, f"the storage did not start:\n{log.read_text()}"
    ready: dict[str, Any] = json.loads(line)
    return ready


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """One storage for the tests of a module, which import this name."""
    with running_storage(tmp_path_factory.mktemp("storage")) as running:
        yield running
