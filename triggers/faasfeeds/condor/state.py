"""What the watcher shows of itself: frozen snapshots, made by the threads that look and read by others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from eventflow.exactly_once import State
from eventflow.watching import Watched

SHOWN: tuple[State, ...] = ("idle", "running", "held")
"""The states of jobs that have not ended, as they are counted."""


class ScheddState(msgspec.Struct, frozen=True, kw_only=True):
    """One schedd: ``looked`` is when a look at it last succeeded, and all of it was told (unix seconds, None before);
    ``jobs`` counts those of the platform that have not ended, by state."""

    name: str
    looked: float | None = None
    jobs: Mapping[str, int] = {}


class WatcherState(msgspec.Struct, frozen=True, kw_only=True):
    """The watcher: ``is_whole`` says that what was told before its start is known."""

    is_whole: bool
    schedds: tuple[ScheddState, ...]


def looked(name: str, rows: Iterable[Watched], now: float) -> ScheddState:
    """The state of a schedd by what was seen there."""
    counts = Counter(row.state for row in rows)
    return ScheddState(name=name, looked=now, jobs={state: counts[state] for state in SHOWN})


def lacking(state: WatcherState) -> Iterator[str]:
    """What the watcher is not ready for, a phrase each; pure."""
    if not state.is_whole:
        yield "the outcomes are not read yet"
    for schedd in state.schedds:
        if schedd.looked is None:
            yield f"schedd {schedd.name} has not been looked at yet"
