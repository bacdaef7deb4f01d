"""The local stack: broker, OpenWhisk host, storage, pool and feed, each a process of its own on loopback."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import yaml

from faasctl import bundle, htcondor_policy
from faasctl.functions.policies import policies_in
from faasctl.local import folder as files
from faasctl.local import parts, program
from faasctl.local.folder import Secrets, write_private
from faasctl.local.parts import TREE, Choice
from faasctl.local.process import Service

TOPIC = "billing"
INSTANCE = "local"
PLATFORM, FUNCTIONS = "guest", "functions"


class Stack:
    """A stack in ``folder``; as a context it runs, and is taken down at the end whatever happens.

    ``choice`` says which making each part has; ``tell`` is called with a line for people at each step.
    """

    def __init__(
        self, folder: Path, choice: Choice | None = None, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self.folder = folder
        self.choice = choice or Choice()
        self._tell = tell
        self.services: list[Service] = []
        self._lock = -1
        self.status: dict[str, Any] = {}

    @property
    def environment_file(self) -> Path:
        """The environment file that `faasctl --env-file` takes."""
        return self.folder / "environment.yaml"

    def __enter__(self) -> Self:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = files.lock(self.folder)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ended(self) -> str | None:
        """The name of a service that is gone, if one is."""
        return next((service.name for service in self.services if service.ended), None)

    def stop(self) -> None:
        """End every service, the last started first, and let go of the folder."""
        for service in reversed(self.services):
            service.stop()
        self.services.clear()
        for part in ("htcondor", "xrootd"):
            program.forget_home(self.folder / part)
        (self.folder / "stack.json").unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def launch(self, name: str, *module: str) -> Service:
        """Start a service of the stack; its log is in `logs`."""
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        service = Service(name, module, logs / f"{name}.log")
        self.services.append(service)
        return service

    def _start(self) -> None:
        parts.check(self.choice)
        keys = Secrets.of(self.folder)
        if not (self.folder / "policies").exists():
            shutil.copytree(bundle.manifests() / "policies", self.folder / "policies")

        self._tell("starting broker, OpenWhisk host, pool")
        broker = self._broker()
        openwhisk = self._openwhisk(keys)
        pool = self._pool(keys)
        servers = broker.servers
        self._tell("starting storage")
        storage = self._storage(keys, servers)
        apihost = f"http://127.0.0.1:{openwhisk.ready()['port']}"
        environment = {
            "name": "local",
            "openwhisk": {
                "apihost": apihost,
                "kind": interpreter_kind(),
                "runs_here": True,
                "platform": {"namespace": PLATFORM, "auth": keys.platform},
                "functions": {"namespace": FUNCTIONS, "auth": keys.functions},
            },
            "kafka": {**broker.environment(), "topics": {TOPIC: {"instance": INSTANCE, "format": storage.format}}},
            "storages": [{"name": "main", "prefixes": [TREE], **storage.environment()}],
            "pool": pool.environment(),
            "policies": str(self.folder / "policies"),
            "registry": {"admin_key": keys.admin},
            "keys": {"seal": keys.seal, "submit": keys.submit, "feed": keys.feed},
        }
        header = "# Written by `faasctl local up` for the stack that runs in this folder.\n"
        write_private(self.environment_file, header + yaml.safe_dump(environment, sort_keys=False))
        self._tell("starting feed")
        storage.announce(self.launch, self.environment_file, TOPIC)
        self.launch("feed", "faasctl", "feed", "kafka", "--env-file", str(self.environment_file)).ready()
        self.launch(
            "watcher", "faasctl", "feed", "condor", "--tick", "1", "--env-file", str(self.environment_file)
        ).ready()
        self.status = {
            "environment": str(self.environment_file),
            "openwhisk": {"apihost": apihost, "auth": keys.platform},
            "kafka": {"kind": self.choice.kafka, "bootstrap_servers": servers, "topic": TOPIC},
            "storage": {"kind": self.choice.storage, **msgspec.to_builtins(storage.door())},
            "pool": pool.status(),
        }
        stack = {"pid": os.getpid(), "services": {s.name: s.pid for s in self.services}, "status": self.status}
        write_private(self.folder / "stack.json", msgspec.json.encode(stack).decode())

    def _broker(self) -> parts.Broker:
        if self.choice.kafka == "apache":
            return parts.ApacheKafka(self.launch, self.folder, TOPIC)
        return parts.MockBroker(self.launch, self.folder)

    def _openwhisk(self, keys: Secrets) -> Service:
        home = self.folder / "openwhisk"
        home.mkdir(mode=0o700, exist_ok=True)
        auths = {PLATFORM: keys.platform, FUNCTIONS: keys.functions}
        auth_file = write_private(home / "auth.json", msgspec.json.encode(auths).decode())
        return self.launch(
            "openwhisk",
            *("faasctl.local.openwhisk", "--port", "0", "--auth-file", str(auth_file), "--no-throttle"),
            *("--kinds", interpreter_kind(), "--dir", str(home)),
        )

    def _storage(self, keys: Secrets, servers: list[str]) -> parts.StoragePart:
        if self.choice.storage == "xrootd":
            return parts.XRootD(self.launch, self.folder)
        return parts.DCacheStandIn(self.launch, self.folder, keys, servers, TOPIC)

    def _pool(self, keys: Secrets) -> parts.PoolPart:
        if self.choice.pool == "htcondor":
            site = bundle.manifests() / "htcondor"
            names = ("60-faas-schedd.conf", "60-faas-negotiator.conf")
            rules = htcondor_policy.configuration("local", policies_in(self.folder / "policies").values())
            return parts.HTCondor(
                self.launch, self.folder, "".join((site / name).read_text() for name in names) + rules
            )
        return parts.Processes(self.launch, self.folder, keys.pool)


def interpreter_kind() -> str:
    """The runtime kind that this interpreter is: local actions run on it, so they are built for it."""
    return f"python:3.{sys.version_info.minor}"
