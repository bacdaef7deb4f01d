"""Events that stand in files: normalised ones, CloudEvents of other sources, and dCache's billing records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from eventflow import cloudevents, dcache
from eventflow.dcache import Filtered
from eventflow.errors import FaasError
from eventflow.event import Event

INSTANCE = "test"
"""The storage instance that records in files are taken to be of."""


def read(path: Path) -> Event:
    """The one event in a file; raises `FaasError` for what is none, or is never seen by a function."""
    try:
        found = decode(path.read_bytes())
    except FaasError as error:
        raise FaasError(error.why, where=str(path), hint=error.hint) from None
    if isinstance(found, Filtered):
        raise FaasError(f"the record is filtered: {found.reason}", where=str(path), hint="no function ever sees it")
    return found


def decode(content: bytes) -> Event | Filtered:
    """A dCache record is told by its ``msgType``, a normalised event by the path in its data; raises `FaasError`."""
    try:
        plain = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FaasError(f"is no event: {error}") from None
    if isinstance(plain, dict) and "msgType" in plain:
        return dcache.decode(content, INSTANCE)
    if isinstance(plain, dict) and not (isinstance(plain.get("data"), dict) and "path" in plain["data"]):
        return cloudevents.decode(content, INSTANCE)
    return _normalised(plain)


def _normalised(plain: Any) -> Event:
    try:
        return msgspec.convert(plain, Event)
    except msgspec.ValidationError as error:
        raise FaasError(f"is no event: {error}") from None
