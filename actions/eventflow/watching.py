"""What became of jobs: the part of a pool that is looked at again and again, and the words for how a job ends. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from eventflow.exactly_once import State

Word = Literal["completed", "failed", "held", "removed", "expired"]
"""What is told of a job: it ended well, or with an exit code; it is held; it was removed, or never could start."""

EXITS = {
    10: "the storage refused an input",
    11: "an input could not be had, for as long as it was tried",
    12: "an input is on tape only",
    13: "an input is gone, or was overwritten meanwhile",
    20: "the function failed",
    21: "the interpreter or the image is not the right one",
    30: "the storage refused the output",
    31: "the output could not be written, for as long as it was tried",
    40: "a token ended",
    143: "the job was told to end",
}
"""The runner's exit codes (`eventflow/job/runner.py`), as a person would say them."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has its input, as its pool knows it now.

    ``since`` (unix s, by the caller's clock) is when it came into its state, and ``entered`` the same by the pool's own
    clock, so that it is the same number whoever asks and when. ``queued`` and ``started`` (unix s, the pool's clock)
    are when it came and when it last started. ``wall`` are the seconds it ran, all starts together. ``expired`` says
    that it was removed because its tokens could no longer outlive its runtime. ``bytes_in`` and ``bytes_out`` are what
    its last start read from the storage and wrote there, None where the pool was not told.
    """

    schedd: str
    id: str
    key: str
    function: str
    version: str
    origin: str
    state: State
    since: float
    entered: int
    reason: str | None = None
    exit: int | None = None
    starts: int = 0
    queued: float = 0.0
    started: float | None = None
    wall: float = 0.0
    cpus: int = 1
    group: str | None = None
    expired: bool = False
    bytes_in: int | None = None
    bytes_out: int | None = None

    @property
    def word(self) -> Word | None:
        """What there is to be told of it; None while it waits or runs."""
        if self.state == "completed":
            return "completed" if self.exit == 0 else "failed"
        if self.state == "removed":
            return "expired" if self.expired else "removed"
        return "held" if self.state == "held" else None

    @property
    def why(self) -> str | None:
        """The reason, as a person would say it."""
        if self.word == "failed":
            return f"exit {self.exit}: {EXITS.get(self.exit or 0, 'unknown to the runner')}"
        return None if self.word == "completed" else self.reason


class Watch(Protocol):
    """A pool that tells of its jobs. Both methods raise `PoolUnavailable`."""

    def watch(self, ended_within: float | None) -> list[Watched]:
        """Every job that waits, runs or is held, and those that ended at most so many seconds ago (None: all that
        the queue still has), in one query. Jobs that never had their input are left out."""
        ...

    def recall(self, ids: Sequence[str]) -> list[Watched]:
        """These jobs, from the queue or else the history; one that neither knows is left out."""
        ...
