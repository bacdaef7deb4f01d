"""Functions and events for tests, from as little as a test wants to say."""

from __future__ import annotations

from typing import Any

from eventflow import function
from eventflow.event import Data, Event
from eventflow.function import Function


def source(path: str | list[str] = "/raw/{run}/{name}.root", **changes: Any) -> dict[str, Any]:
    """What a `function.yaml` says, as plain data."""
    when = {"path": path, **changes.pop("when", {})}
    plain = {
        "name": "calibrate",
        "namespace": "belle",
        "contact": "calib@belle.example",
        "when": when,
        "run": {"main": "calibrate.py"},
        "write": "/out",
    }
    return {**plain, **changes}


def make(path: str | list[str] = "/raw/{run}/{name}.root", **changes: Any) -> Function:
    """A decoded function."""
    return function.decode(source(path, **changes))


def written(path: str, kind: str = "storage.written", **data: Any) -> Event:
    """The event that a file was written."""
    return Event(
        id=f"id of {path}",
        source="//dcache/desy",
        type=kind,
        subject=path,
        time="2026-01-01T00:00:00Z",
        data=Data(path=path, **data),
    )
