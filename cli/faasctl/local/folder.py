"""The folder that a local stack lives in: its keys, its lock, and what it says of itself.

`secrets.json` (made once), `environment.yaml` and `stack.json` say everything about a stack; whoever holds the lock on
`lock` is the process that runs it.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import time
import uuid
from pathlib import Path
from typing import Any, Self

import msgspec

from eventflow.errors import FaasError
from faasctl.environment import local_stack_file


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

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The keys of the stack in ``folder``, made at its first start."""
        file = folder / "secrets.json"
        if not file.exists():
            write_private(file, msgspec.json.encode(cls.new()).decode())
        return msgspec.json.decode(file.read_bytes(), type=cls)


def lock(folder: Path) -> int:
    """Take the folder's lock and return its descriptor; raises `StackError` when another process holds it."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StackError(
            "a local stack runs here already", where=str(folder), hint="end it with: faasctl local down"
        ) from None
    return descriptor


def named_or_running(folder: Path | None) -> Path:
    """The folder that was named, else that of the stack that runs here; raises `StackError` when none does."""
    if folder is not None:
        return folder.resolve()
    link = local_stack_file()
    if not link.exists():
        raise StackError("no local stack runs here", hint="start one with: faasctl local up --detach")
    return link.resolve().parent


def running(folder: Path) -> dict[str, Any]:
    """The contents of `stack.json` of the stack that runs in ``folder``; raises `StackError` when none does."""
    try:
        os.close(lock(folder))
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


def wait_down(folder: Path, timeout: float = 90.0) -> None:
    """Wait until the stack's process has let go of its folder."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            os.close(lock(folder))
        except StackError:
            time.sleep(0.05)
            continue
        except FileNotFoundError:
            pass
        return
    raise StackError("the local stack does not end", where=str(folder), hint=f"see {folder / 'logs'}")


def write_private(file: Path, content: str) -> Path:
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
