"""The process pool's queue: jobs, their input and their log on disk, so that a restart forgets nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from eventflow.exactly_once import QueuedJob, State
from eventflow.function import Limits, Resources
from eventflow.watching import Watched

KEEP = 7 * 86400.0
"""Seconds a finished job stays in the queue: the window in which its key is still known."""

EXPIRED = "its tokens can no longer outlive its runtime"
"""The reason of a job that was removed because it waited too long."""

INPUT_FILES = frozenset({"events.jsonl", "runner.py", "function.zip"})

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, function TEXT NOT NULL, state TEXT NOT NULL,
    since REAL NOT NULL, starts INTEGER NOT NULL DEFAULT 0, process INTEGER, exit INTEGER, result TEXT,
    description TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_key ON jobs (key);
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, function);
CREATE TABLE IF NOT EXISTS log (time REAL NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_number ON log (number);
"""


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `eventflow.exactly_once.Job` without its files, as it is sent and kept."""

    key: str
    function: str
    namespace: str
    version: str
    code: str
    origin: str
    expires: float
    resources: Resources
    limits: Limits
    retries: int
    image: str | None
    accounting_group: str | None
    attributes: dict[str, str | int | float | bool]


class _Moved(msgspec.Struct, frozen=True):
    """What one event's record says of bytes."""

    bytes_in: int = 0
    bytes_out: int = 0


class _Result(msgspec.Struct, frozen=True):
    """What the runner's result.json says of bytes."""

    events: list[_Moved] = []


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One job of the queue with what has become of it; ``exit`` is the runner's last exit code."""

    number: int
    state: State
    since: float
    starts: int
    process: int | None
    exit: int | None
    result: str | None
    job: Description

    @property
    def id(self) -> str:
        return f"{self.number}.0"


class Queue:
    """The jobs in ``directory``; `move` is the only way a job changes its state, and writes the log."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self._spool = directory / "spool"
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "queue.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    def lookup(self, keys: Sequence[str], idle_of: Sequence[str]) -> list[QueuedJob]:
        found: dict[int, QueuedJob] = {}
        for condition, values in (
            ("key IN", keys),
            ("state IN ('idle', 'spooling') AND function IN", idle_of),
        ):
            marks = ",".join("?" * len(values))
            query = f"SELECT number, key, function, state, since FROM jobs WHERE {condition} ({marks})"  # noqa: S608
            for number, key, function, state, since in self._db.execute(query, tuple(values)):
                found[number] = QueuedJob(
                    schedd=self.name, id=f"{number}.0", key=key, function=function, state=state, since=since
                )
        return list(found.values())

    def submit(self, jobs: Sequence[Description], now: float) -> list[str]:
        ids = []
        self._db.execute("BEGIN")
        for job in jobs:
            cursor = self._db.execute(
                "INSERT INTO jobs (key, function, state, since, description) VALUES (?, ?, 'spooling', ?, ?)",
                (job.key, job.function, now, msgspec.json.encode(job).decode()),
            )
            self._note(cursor.lastrowid or 0, "spooling", "submitted", now)
            ids.append(f"{cursor.lastrowid}.0")
        self._db.execute("COMMIT")
        return ids

    def spool(self, id: str, files: Mapping[str, bytes], now: float) -> bool:
        """Take a job's input; False when the job was withdrawn (or has its input already)."""
        entry = self.get(id)
        if entry is None or entry.state != "spooling":
            return False
        folder = self.input_of(entry)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        for name, content in files.items():
            path = folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)
        self.move(entry, "idle", "has its input", now)
        return True

    def withdraw(self, ids: Iterable[str], reason: str, now: float) -> None:
        for entry in filter(None, map(self.get, ids)):
            if entry.state == "spooling":
                self._note(entry.number, "removed", reason, now)
                self._db.execute("DELETE FROM jobs WHERE number = ?", (entry.number,))

    def get(self, id: str) -> Entry | None:
        number = id.partition(".")[0]
        rows = self._entries("number = ?", (int(number),)) if number.isdigit() and len(number) < 18 else []
        return rows[0] if rows else None

    def in_state(self, *states: State) -> list[Entry]:
        """The jobs in these states, oldest first."""
        return self._entries(f"state IN ({','.join('?' * len(states))})", states)

    def all(self) -> list[Entry]:
        return self._entries("1", ())

    def log(self, entry: Entry) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT time, state, reason FROM log WHERE number = ? ORDER BY rowid", (entry.number,))
        return [{"time": time, "state": state, "reason": reason} for time, state, reason in rows]

    def watch(self, ended_within: float | None, now: float) -> list[Watched]:
        """The jobs that have had their input; of those that ended, the ones that did so at most so long ago."""
        since = 0.0 if ended_within is None else now - ended_within
        entries = self._entries(
            "state != 'spooling' AND (state NOT IN ('completed', 'removed') OR since >= ?)", (since,)
        )
        return list(filter(None, map(self.watched, entries)))

    def watched(self, entry: Entry) -> Watched | None:
        """A job as a watcher has it; None for one that never had its input."""
        log = self.log(entry)
        if not any(row["state"] == "idle" for row in log):
            return None
        starts = [row["time"] for row in log if row["state"] == "running"]
        ends = [after["time"] for row, after in pairwise(log) if row["state"] == "running"]
        reason = log[-1]["reason"]
        moved = _moved(entry.result)
        return Watched(
            schedd=self.name,
            id=entry.id,
            key=entry.job.key,
            function=entry.job.function,
            version=entry.job.version,
            origin=entry.job.origin,
            state=entry.state,
            since=entry.since,
            entered=int(entry.since),
            reason=reason if entry.state in ("held", "removed") else None,
            exit=entry.exit,
            starts=entry.starts,
            queued=log[0]["time"],
            started=starts[-1] if starts else None,
            wall=sum(end - start for start, end in zip(starts, ends, strict=False)),
            cpus=entry.job.resources.cpus,
            group=entry.job.accounting_group,
            expired=entry.state == "removed" and reason == EXPIRED,
            bytes_in=moved.get("bytes_in"),
            bytes_out=moved.get("bytes_out"),
        )

    def input_of(self, entry: Entry) -> Path:
        return self._spool / str(entry.number)

    def move(
        self,
        entry: Entry,
        state: State,
        reason: str,
        now: float,
        *,
        exit: int | None = None,
        result: str | None = None,
    ) -> None:
        """Put a job into another state; its input goes when it can no longer start."""
        self._db.execute(
            "UPDATE jobs SET state = ?, since = ?, process = NULL, exit = coalesce(?, exit),"
            " result = coalesce(?, result), starts = starts + ? WHERE number = ?",
            (state, now, exit, result, state == "running", entry.number),
        )
        self._note(entry.number, state, reason, now)
        if state in ("completed", "removed"):
            shutil.rmtree(self.input_of(entry), ignore_errors=True)

    def started(self, entry: Entry, process: int) -> None:
        """Note the runner's process id, so that a pool that was killed can stop it when it comes back."""
        self._db.execute("UPDATE jobs SET process = ? WHERE number = ?", (process, entry.number))

    def forget_old(self, now: float) -> None:
        """Drop jobs that finished longer than `KEEP` ago, with their log."""
        old = "SELECT number FROM jobs WHERE state IN ('completed', 'removed') AND since < ?"
        self._db.execute(f"DELETE FROM log WHERE number IN ({old})", (now - KEEP,))  # noqa: S608
        self._db.execute(f"DELETE FROM jobs WHERE number IN ({old})", (now - KEEP,))  # noqa: S608

    def _note(self, number: int, state: str, reason: str, now: float) -> None:
        self._db.execute("INSERT INTO log VALUES (?, ?, ?, ?)", (now, number, state, reason))

    def _entries(self, condition: str, values: Sequence[object]) -> list[Entry]:
        query = "SELECT number, state, since, starts, process, exit, result, description FROM jobs WHERE "
        return [
            Entry(
                number=number,
                state=state,
                since=since,
                starts=starts,
                process=process,
                exit=exit,
                result=result,
                job=msgspec.json.decode(description, type=Description),
            )
            for number, state, since, starts, process, exit, result, description in self._db.execute(
                query + condition + " ORDER BY number", tuple(values)
            )
        ]


def _moved(result: str | None) -> dict[str, int]:
    """The bytes that a job's events read and wrote, by its result; nothing where that is not the runner's."""
    try:
        events = msgspec.json.decode(result or "{}", type=_Result).events
    except msgspec.DecodeError:
        return {}
    return {name: sum(getattr(one, name) for one in events) for name in ("bytes_in", "bytes_out")} if events else {}
