"""The whole platform on the local stack, deployed, for end-to-end tests."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from kafka import TopicPartition

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.clients.process_pool import ProcessPool
from eventflow.registry import IN_FORCE_MS
from faasctl import environment
from faasctl.environment.model import ProcessPool as ProcessPoolSite
from faasctl.kafka import cluster
from faasctl.local.parts import Choice
from faasctl.local.process import Service
from faasctl.local.stack import TOPIC, Stack
from faasctl.main import cli

T = TypeVar("T")

FUNCTIONS = Path(__file__).parents[2] / "manifests" / "functions"
TRIGGER = "/guest/storage-events"


class Platform:
    """A running stack with the platform deployed, and what a test wants to know of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.env = environment.load(stack.environment_file)
        account = self.env.openwhisk.platform
        self.openwhisk = OpenWhisk(self.env.openwhisk.apihost, account.auth.reveal(), namespace=account.namespace)
        self.storage = requests.Session()
        self.storage.trust_env = False
        self.storage.verify = stack.status["storage"]["ca"]
        self.storage.headers["Authorization"] = f"Bearer {stack.status['storage']['token']}"
        self.endpoint: str = stack.status["storage"]["endpoint"]

    @cached_property
    def pool(self) -> ProcessPool:
        """The process pool, of a stack that has one."""
        assert isinstance(self.env.pool, ProcessPoolSite)
        return ProcessPool(self.env.pool.url, self.env.pool.token.reveal())

    def faasctl(self, *words: str) -> str:
        """Run a command against this platform; returns what it printed."""
        said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with contextlib.redirect_stdout(said):
            cli.main([*words, "--env-file", str(self.stack.environment_file)], standalone_mode=False)
        said.seek(0)
        return said.read()

    def push(self, folder: Path) -> str:
        """Push a function and let the time pass after which it is in force: nothing but the clock tells."""
        said = self.faasctl("fn", "push", str(folder))
        time.sleep(IN_FORCE_MS / 1000)
        return said

    def url(self, path: str) -> str:
        """The storage's URL of a path."""
        return self.endpoint + quote(path)

    def put(self, path: str, content: bytes) -> None:
        """Write a file, as a user."""
        answer = self.storage.put(self.url(path), data=content)
        assert answer.status_code in (200, 201), (answer.status_code, answer.reason)

    def send(self, *records: dict[str, Any] | str) -> None:
        """Put raw records on the topic."""
        file = self.stack.folder / "send.jsonl"
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        file.write_text("\n".join(lines) + "\n")
        self.faasctl("event", "send", str(file))

    def jobs(self, function: str | None = None) -> list[dict[str, Any]]:
        """The pool's jobs, of one function or all."""
        return [row for row in self.pool.jobs() if function in (None, row["function"])]

    def job_of(self, subject: str) -> dict[str, Any]:
        """Wait for the one job of a file, and for its end."""

        def look() -> dict[str, Any] | None:
            shown = [self.pool.show(row["id"]) for row in self.jobs() if row["state"] == "completed"]
            found = [one for one in shown if one["result"] and one["result"]["events"][0]["subject"] == subject]
            assert len(found) < 2
            return found[0] if found else None

        return wait(look, f"the job of {subject}")

    def parked(self, function: str) -> list[dict[str, Any]]:
        """The records that were ever parked for a function."""
        return [one for one in self.read_topic(self.env.kafka.parked) if function in json.dumps(one, default=str)]

    def drained(self) -> None:
        """Wait until every record on the topic is final, and nothing is parked: the feed commits nothing before."""
        wait(lambda: self._lag() == 0 or None, "the feed to settle every record", 180)

    def _lag(self) -> int:
        consumer = cluster(self.env).consumer(TRIGGER)
        try:
            partitions = [
                TopicPartition(topic, number)
                for topic in (TOPIC, self.env.kafka.parked)
                for number in consumer.partitions_for_topic(topic) or ()
            ]
            held = {partition: consumer.committed(partition) or 0 for partition in partitions}
            ends = consumer.end_offsets(partitions)  # afterwards: what is committed as parked is in its topic by then
            return sum(ends[partition] - held[partition] for partition in partitions)
        finally:
            consumer.close()

    def read_topic(self, topic: str) -> list[dict[str, Any]]:
        """Everything on one of the platform's own topics, as {key, value, headers}."""
        consumer = cluster(self.env).consumer("test-reader")
        try:
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            if not partitions:  # nobody wrote to it yet
                return []
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            ends = consumer.end_offsets(partitions)
            found: list[dict[str, Any]] = []
            while any(consumer.position(partition) < end for partition, end in ends.items()):
                for records in consumer.poll(timeout_ms=200).values():
                    found += [
                        {
                            "key": (r.key or b"").decode(),
                            "value": r.value,
                            "headers": {k: v.decode() for k, v in r.headers},
                        }
                        for r in records
                    ]
            return found
        finally:
            consumer.close()

    def service(self, name: str) -> Service:
        """A service of the stack."""
        return next(service for service in self.stack.services if service.name == name)


@contextlib.contextmanager
def running(
    folder: Path, functions: Sequence[Path] = (FUNCTIONS / "calibrate",), choice: Choice | None = None
) -> Iterator[Platform]:
    """Start a stack in ``folder``, deploy the platform, push functions; everything is gone at the end."""
    with Stack(folder, choice) as stack:
        platform = Platform(stack)
        platform.faasctl("deploy", "--yes")
        for function in functions:
            platform.faasctl("fn", "push", str(function))
        yield platform


def wait(look: Callable[[], T | None], what: str, timeout: float = 60.0) -> T:
    """Wait until ``look`` returns something."""
    end = time.monotonic() + timeout
    while (found := look()) is None:
        assert time.monotonic() < end, f"{what} did not come within {timeout} s"
        time.sleep(0.05)
    return found
