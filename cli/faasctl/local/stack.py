"""The local stack: broker, OpenWhisk host, storage, pool and feed, each a process of its own on loopback.

A stack lives in a folder. `secrets.json` (made once), `environment.yaml` and `stack.json` in it say everything about
it; whoever holds the lock on `lock` is the process that runs it.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import yaml

from eventflow.clients.storage import StorageClient
from eventflow.errors import FaasError
from eventflow.storages import Basic, Credential, Storage
from faasctl import bundle
from faasctl.local.broker import API_VERSION
from faasctl.local.process import Service

TREE = "/demo"
"""What of the storage is for trying things out."""

TOPIC = "billing"
INSTANCE = "local"
PLATFORM, FUNCTIONS = "guest", "functions"
TOKEN_LIFE_S = 7 * 86400 - 60
TOKEN_ACTIVITIES = ("DELETE", "DOWNLOAD", "LIST", "MANAGE", "UPLOAD")


class StackError(FaasError):
    """The local stack cannot be started, found or stopped."""


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one stack, made once and kept with its files."""

    platform: str
    functions: str
    storage: str
    user: str
    pool: str
    seal: str
    submit: str
    feed: str
    admin: str

    @classmethod
    def new(cls) -> Self:
        """Fresh random keys."""
        return cls(
            platform=_openwhisk_key(),
            functions=_openwhisk_key(),
            storage=secrets.token_urlsafe(24),
            user=secrets.token_urlsafe(24),
            pool=secrets.token_urlsafe(24),
            seal=_key(),
            submit=_key(),
            feed=_key(),
            admin=secrets.token_urlsafe(32),
        )


class Stack:
    """A stack in ``folder``; as a context it runs, and is taken down at the end whatever happens.

    ``tell`` is called with a line for people at each step.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None] = lambda line: None) -> None:
        self.folder = folder
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
        self._lock = _lock(self.folder / "lock")
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
        (self.folder / "stack.json").unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _start(self) -> None:
        keys = self._secrets()
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)

        def start(name: str, *module: str) -> Service:
            service = Service(name, module, logs / f"{name}.log")
            self.services.append(service)
            return service

        for part in ("openwhisk", "pool", "storage"):
            (self.folder / part).mkdir(mode=0o700, exist_ok=True)
        pool_token = _private(self.folder / "pool" / "token", keys.pool)
        auths = {PLATFORM: keys.platform, FUNCTIONS: keys.functions}
        openwhisk_keys = _private(self.folder / "openwhisk" / "auth.json", msgspec.json.encode(auths).decode())
        storage_config = _private(self.folder / "storage" / "config.json", _storage_config(keys))

        self._tell("starting broker, OpenWhisk host, pool")
        broker = start("broker", "faasctl.local.broker")
        openwhisk = start(
            "openwhisk",
            *("faasctl.local.openwhisk", "--port", "0", "--auth-file", str(openwhisk_keys), "--no-throttle"),
            *("--kinds", interpreter_kind()),
            *("--dir", str(self.folder / "openwhisk")),
        )
        pool = start("pool", "faasctl.local.pool", "--dir", str(self.folder / "pool"), "--token-file", str(pool_token))
        bootstrap = broker.ready()["bootstrap_servers"]
        self._tell("starting storage")
        storage = start(
            "storage",
            *("faasctl.local.storage", "--dir", str(self.folder / "storage"), "--config", str(storage_config)),
            *("--bootstrap-servers", ",".join(bootstrap), "--topic", TOPIC),
        )
        apihost = f"http://127.0.0.1:{openwhisk.ready()['port']}"
        door = storage.ready()
        self._write_environment(keys, apihost, bootstrap, door["endpoint"], door["ca"], pool.ready()["url"])
        self._tell("starting feed")
        start("feed", "faasctl", "feed", "kafka", "--env-file", str(self.environment_file)).ready()
        self.status = {
            "environment": str(self.environment_file),
            "openwhisk": {"apihost": apihost, "auth": keys.platform},
            "kafka": {"bootstrap_servers": bootstrap, "topic": TOPIC},
            "storage": {
                "endpoint": door["endpoint"],
                "ca": door["ca"],
                "token": _user_token(door["endpoint"], door["ca"], keys.user),
            },
            "pool": {"kind": "process"},
        }
        stack = {"pid": os.getpid(), "services": {s.name: s.pid for s in self.services}, "status": self.status}
        _private(self.folder / "stack.json", msgspec.json.encode(stack).decode())

    def _secrets(self) -> Secrets:
        file = self.folder / "secrets.json"
        if not file.exists():
            _private(file, msgspec.json.encode(Secrets.new()).decode())
        return msgspec.json.decode(file.read_bytes(), type=Secrets)

    def _write_environment(
        self, keys: Secrets, apihost: str, bootstrap: list[str], endpoint: str, ca: str, pool_url: str
    ) -> None:
        policies = self.folder / "policies"
        if not policies.exists():
            shutil.copytree(bundle.manifests() / "policies", policies)
        environment = {
            "name": "local",
            "openwhisk": {
                "apihost": apihost,
                "kind": interpreter_kind(),
                "runs_here": True,
                "platform": {"namespace": PLATFORM, "auth": keys.platform},
                "functions": {"namespace": FUNCTIONS, "auth": keys.functions},
            },
            "kafka": {
                "bootstrap_servers": bootstrap,
                "api_version": list(API_VERSION),
                "topics": {TOPIC: {"instance": INSTANCE, "format": "dcache"}},
                "registrations": {"directory": str(self.folder / "registrations")},
            },
            "storages": [
                {
                    "name": "main",
                    "flavour": "dcache",
                    "prefixes": [TREE],
                    "read": endpoint,
                    "write": endpoint,
                    "ca": ca,
                    "credentials": {"default": {"basic": {"username": "faas", "password": keys.storage}}},
                }
            ],
            "pool": {"kind": "process", "url": pool_url, "token": keys.pool},
            "policies": str(policies),
            "registry": {"admin_key": keys.admin},
            "keys": {"seal": keys.seal, "submit": keys.submit, "feed": keys.feed},
        }
        text = "# Written by `faasctl local up` for the stack that runs in this folder.\n"
        _private(self.environment_file, text + yaml.safe_dump(environment, sort_keys=False))


def running(folder: Path) -> dict[str, Any]:
    """The contents of `stack.json` of the stack that runs in ``folder``; raises `StackError` when none does."""
    try:
        _release(_lock(folder / "lock"))
    except StackError:
        file = folder / "stack.json"
        if file.exists():
            found = msgspec.json.decode(file.read_bytes())
            assert isinstance(found, dict)
            return found
        raise StackError("the local stack is still starting", where=str(folder)) from None
    except FileNotFoundError:
        pass
    raise StackError("no local stack runs here", where=str(folder), hint="start one with: faasctl local up --detach")


def wait_down(folder: Path, timeout: float = 30.0) -> None:
    """Wait until the stack's process has let go of its folder."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            _release(_lock(folder / "lock"))
        except StackError:
            time.sleep(0.05)
            continue
        except FileNotFoundError:
            pass
        return
    raise StackError("the local stack does not end", where=str(folder), hint=f"see {folder / 'logs'}")


def interpreter_kind() -> str:
    """The runtime kind that this interpreter is: local actions run on it, so they are built for it."""
    return f"python:3.{sys.version_info.minor}"


def _lock(file: Path) -> int:
    """Take the folder's lock; raises `StackError` when another process holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StackError(
            "a local stack runs here already", where=str(file.parent), hint="end it with: faasctl local down"
        ) from None
    return descriptor


def _release(descriptor: int) -> None:
    os.close(descriptor)


def _private(file: Path, content: str) -> Path:
    """Write a file that only its owner can read, atomically."""
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(content)
    return part.replace(file)


def _openwhisk_key() -> str:
    return f"{uuid.uuid4()}:{secrets.token_urlsafe(48)}"


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _storage_config(keys: Secrets) -> str:
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


def _user_token(endpoint: str, ca: str, password: str) -> str:
    """A bearer that may do anything under the demo tree, for `curl`."""
    storage = Storage(
        name="main", flavour="dcache", prefixes=(TREE,), read=endpoint, write=endpoint, ca=Path(ca).read_text()
    )
    client = StorageClient(storage, Credential(basic=Basic("demo", password)))
    now = time.time()
    return client.mint(TREE, TOKEN_ACTIVITIES, door=endpoint, expires=now + TOKEN_LIFE_S, now=now).token
