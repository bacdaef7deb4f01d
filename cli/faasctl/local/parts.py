"""The parts of a local stack that come in two makings: broker, storage and pool, a stand-in of ours or the real thing.

Each starts its service when it is made and is asked for what it knows later, so that all of them start side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from eventflow.clients.storage import StorageClient
from eventflow.storages import X509, Basic, Credential, Storage
from faasctl.local import htcondor, kafka, xrootd
from faasctl.local.broker import API_VERSION
from faasctl.local.folder import Secrets, write_private
from faasctl.local.process import Service
from faasfeeds.kafka.cluster import Cluster

TREE = "/demo"
"""What of the storage is for trying things out."""

Launch = Callable[..., Service]
"""Starts a service: its name, then its module with its options."""


class Choice(msgspec.Struct, frozen=True):
    """Which making of each part a stack has."""

    kafka: Literal["mock", "apache"] = "mock"
    storage: Literal["dcache", "xrootd"] = "dcache"
    pool: Literal["process", "htcondor"] = "process"


def check(choice: Choice) -> None:
    """Raise what is missing on this machine for a stack of this choice, before anything of it starts."""
    if choice.kafka == "apache":
        kafka.find_jars()
    if choice.storage == "xrootd":
        xrootd.find()
    if choice.pool == "htcondor":
        htcondor.find()


class Broker(Protocol):
    """A Kafka-protocol broker."""

    @property
    def servers(self) -> list[str]: ...

    def environment(self) -> dict[str, Any]:
        """What the environment says of it, but for the topics with events."""


class MockBroker:
    """librdkafka's mock cluster: it keeps nothing on disk, so registrations are files."""

    def __init__(self, launch: Launch, folder: Path) -> None:
        self._folder = folder
        self._service = launch("broker", "faasctl.local.broker")

    @cached_property
    def servers(self) -> list[str]:
        return list(self._service.ready()["bootstrap_servers"])

    def environment(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": self.servers,
            "api_version": list(API_VERSION),
            "registrations": {"directory": str(self._folder / "registrations")},
        }


class ApacheKafka:
    """A broker of one node, with the topic that the storage's events come on."""

    def __init__(self, launch: Launch, folder: Path, topic: str) -> None:
        self._topic = topic
        self._service = launch("broker", "faasctl.local.kafka", "--dir", str(folder / "kafka"))

    @cached_property
    def servers(self) -> list[str]:
        servers: list[str] = self._service.ready(kafka.START_S + 30)["bootstrap_servers"]
        Cluster(bootstrap_servers=tuple(servers)).ensure_topics({self._topic: {}})
        return servers

    def environment(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.servers, "registrations": {"topic": "faas.registrations"}}


class Door(msgspec.Struct, frozen=True):
    """What a user of the storage needs: its address, the file with its CA, and a token for the demo tree."""

    endpoint: str
    ca: str
    token: str


class StoragePart(Protocol):
    """A storage that announces what is written to it."""

    @property
    def format(self) -> str:
        """The format of its records."""

    def environment(self) -> dict[str, Any]:
        """What the environment says of it."""

    def door(self) -> Door: ...

    def announce(self, launch: Launch, environment: Path, topic: str) -> None:
        """Start what announces its files, where that is not the storage itself."""


class DCacheStandIn:
    """The storage of ours that behaves like dCache; it announces its files itself."""

    format = "dcache"

    def __init__(self, launch: Launch, folder: Path, keys: Secrets, servers: list[str], topic: str) -> None:
        home = folder / "storage"
        home.mkdir(mode=0o700, exist_ok=True)
        self._keys = keys
        config = write_private(home / "config.json", _accounts(keys))
        self._service = launch(
            "storage",
            *("faasctl.local.storage", "--dir", str(home), "--config", str(config)),
            *("--bootstrap-servers", ",".join(servers), "--topic", topic),
        )

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return self._service.ready()

    def environment(self) -> dict[str, Any]:
        endpoint = self._facts["endpoint"]
        return {
            "flavour": "dcache",
            "read": endpoint,
            "write": endpoint,
            "ca": self._facts["ca"],
            "credentials": {"default": {"basic": {"username": "faas", "password": self._keys.storage}}},
        }

    def door(self) -> Door:
        user = Credential(basic=Basic("demo", self._keys.user))
        return _door("dcache", self._facts["endpoint"], self._facts["ca"], user, life=7 * 86400 - 60)

    def announce(self, launch: Launch, environment: Path, topic: str) -> None:
        pass


class XRootD:
    """An XRootD server; a forwarder announces its files as CloudEvents."""

    format = "cloudevents"

    def __init__(self, launch: Launch, folder: Path) -> None:
        self._service = launch("storage", "faasctl.local.xrootd", "--dir", str(folder / "xrootd"), "--tree", TREE)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return self._service.ready()

    def environment(self) -> dict[str, Any]:
        endpoint, (cert, key) = self._facts["endpoint"], self._facts["platform"]
        return {
            "flavour": "xrootd",
            "read": endpoint,
            "write": endpoint,
            "ca": self._facts["ca"],
            "credentials": {"default": {"x509": {"cert": cert, "key": key}}},
        }

    def door(self) -> Door:
        cert, key = (Path(file).read_text() for file in self._facts["user"])
        user = Credential(x509=X509(cert, key))
        return _door("xrootd", self._facts["endpoint"], self._facts["ca"], user, life=86400 - 60)

    def announce(self, launch: Launch, environment: Path, topic: str) -> None:
        options = ("--topic", topic, "--changes", self._facts["changes"], "--root", self._facts["data"])
        launch("forwarder", "faasctl", "feed", "xrootd", "--env-file", str(environment), *options).ready()


class PoolPart(Protocol):
    """A pool that runs jobs."""

    def environment(self) -> dict[str, Any]:
        """What the environment says of it."""

    def status(self) -> dict[str, Any]:
        """What people may want to know of it."""


class Processes:
    """Processes of this account on this machine."""

    def __init__(self, launch: Launch, folder: Path, token: str) -> None:
        home = folder / "pool"
        home.mkdir(mode=0o700, exist_ok=True)
        self._token = token
        file = write_private(home / "token", token)
        self._service = launch("pool", "faasctl.local.pool", "--dir", str(home), "--token-file", str(file))

    def environment(self) -> dict[str, Any]:
        return {"kind": "process", "url": self._service.ready()["url"], "token": self._token}

    def status(self) -> dict[str, Any]:
        return {"kind": "process"}


class HTCondor:
    """A pool of one machine, with the configuration that a site would add."""

    def __init__(self, launch: Launch, folder: Path, configuration: str) -> None:
        home = folder / "htcondor"
        home.mkdir(mode=0o700, exist_ok=True)
        more = write_private(home / "faas.conf", configuration)
        self._service = launch("pool", "faasctl.local.htcondor", "--dir", str(home), "--config", str(more))

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return self._service.ready(htcondor.START_S + 30)

    def environment(self) -> dict[str, Any]:
        return {
            "kind": "htcondor",
            "collector": self._facts["collector"],
            "schedds": [self._facts["schedd"]],
            "token": Path(self._facts["token"]).read_text(),
            "trust_domain": htcondor.DOMAIN,
        }

    def status(self) -> dict[str, Any]:
        return {"kind": "htcondor", **{name: self._facts[name] for name in ("collector", "schedd", "event_log")}}


def _accounts(keys: Secrets) -> str:
    """Two accounts: the platform's own, and the one of whoever tries things out; both may write the tree."""
    config = {
        "users": [
            {"name": "faas", "password": keys.storage, "uid": 1000, "gids": [1000]},
            {"name": "demo", "password": keys.user, "uid": 2000, "gids": [1000]},
        ],
        "directories": [
            {"path": path, "uid": 2000, "gid": 1000, "mode": "775"} for path in (TREE, f"{TREE}/in", f"{TREE}/out")
        ],
    }
    return msgspec.json.encode(config).decode()


def _door(flavour: Literal["dcache", "xrootd"], endpoint: str, ca: str, user: Credential, *, life: float) -> Door:
    """The door with a bearer that may do anything under the demo tree for ``life`` seconds, for `curl`."""
    storage = Storage(
        name="main", flavour=flavour, prefixes=(TREE,), read=endpoint, write=endpoint, ca=Path(ca).read_text()
    )
    now = time.time()
    activities = ("DELETE", "DOWNLOAD", "LIST", "MANAGE", "UPLOAD")
    minted = StorageClient(storage, user).mint(TREE, activities, door=endpoint, expires=now + life, now=now)
    return Door(endpoint, ca, minted.token)
