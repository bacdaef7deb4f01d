"""The normalised event: a CloudEvents 1.0 event about one change in a storage (or one job).

Every source is brought into this form before anything is decided; nothing behind the filter knows what a
dCache billing record looks like.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from eventflow.errors import ItemError

ID_NAMESPACE = uuid.UUID("6f1d3a52-2b6f-5d0e-9a52-8a1f6f0c7e11")
"""Fixed namespace of all event ids (UUIDv5), so that the same change has the same id for ever."""

MAX_PATH_BYTES = 4096


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the change. ``size`` is in bytes; absent facts are ``None``.

    ``principal`` (uid, gids, username, origin, macaroon_id) is for information only and is never used for
    authorization; it and ``raw`` (the original record) reach only functions that may see them.
    """

    path: str | None = None
    size: int | None = None
    pnfsid: str | None = None
    storage_class: str | None = None
    protocol: str | None = None
    instance: str | None = None
    principal: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvents 1.0 event; ``time`` is RFC 3339 in UTC with ``Z``, ``subject`` a path in normal form."""

    id: str
    source: str
    type: str
    subject: str
    time: str
    data: Data
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


def event_id(*parts: str) -> str:
    """The deterministic id of a change, from what identifies the change and not the message."""
    return str(uuid.uuid5(ID_NAMESPACE, "\x1f".join(parts)))


def normal_path(path: str, *, where: str = "path") -> str:
    """Return ``path`` if it is absolute and in normal form, without a trailing slash kept or added.

    Refused (``ItemError`` with code ``bad_path``): relative paths, empty, ``.`` and ``..`` segments, NUL and
    line breaks, more than 4096 bytes. A path is data from outside: it is never repaired, since a repaired path
    would name another file than the one the storage meant.
    """
    problem = None
    if not path.startswith("/"):
        problem = "is not absolute"
    elif any(char in path for char in "\0\n\r"):
        problem = "holds NUL or a line break"
    elif any(segment in ("", ".", "..") for segment in path.removesuffix("/").split("/")[1:]):
        problem = "holds an empty, '.' or '..' segment"
    elif len(path.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        problem = f"is longer than {MAX_PATH_BYTES} bytes"
    if problem:
        raise ItemError(f"the path {path[:200]!r} {problem}", code="bad_path", where=where)
    return path


def covers(prefix: str, path: str) -> bool:
    """Whether ``path`` is ``prefix`` or below it, by whole segments: ``/pnfs/a`` does not cover ``/pnfs/ab``."""
    stem = prefix.rstrip("/")
    return path == stem or path.startswith(stem + "/")
