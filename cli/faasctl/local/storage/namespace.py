"""Names, owners and sizes, in a database; the bytes lie beside it, named after their pnfsid as in a dCache pool.

A name exists from the start of an upload, without a size; the bytes are in ``<pnfsid>.part`` until they are
complete and are then put in place at once. An overwrite is a new file with a new pnfsid. All of it survives a
restart.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from faasctl.local.storage.config import DEFAULT_STORAGE_CLASS, Directory
from faasctl.local.storage.paths import ROOT, FsPath, parent, segments

READ, WRITE, ENTER = 4, 2, 1
"""The bits of a mode."""


class Missing(Exception):
    """There is no such name."""


class Forbidden(Exception):
    """Owner, group and mode do not allow it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file or directory. Times are ms since the epoch; ``size`` is None until an upload has ended; ``broken`` is
    one that ended too early or with the wrong checksum.
    """

    path: FsPath
    pnfsid: str
    directory: bool
    size: int | None
    adler32: str | None
    broken: bool
    uid: int
    gid: int
    mode: int
    created: int
    modified: int
    storage_class: str

    @property
    def etag(self) -> str:
        """``"<pnfsid>_<n>"``, n being the modification time in ms as a Java int."""
        return f'"{self.pnfsid}_{(self.modified + 2**31) % 2**32 - 2**31}"'


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: POSIX identity; ``gids`` begins with the primary group."""

    uid: int
    gids: tuple[int, ...]

    def may(self, entry: Entry, bits: int) -> bool:
        """Do owner, group or others, whichever this is, have all of ``bits``? Root has."""
        if self.uid == 0:
            return True
        shift = 6 if self.uid == entry.uid else 3 if entry.gid in self.gids else 0
        return entry.mode >> shift & bits == bits


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """Data that no name leads to any more."""

    pnfsid: str
    size: int
    storage_class: str


_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    path TEXT PRIMARY KEY, parent TEXT NOT NULL, pnfsid TEXT NOT NULL UNIQUE, directory INTEGER NOT NULL, size INTEGER,
    adler32 TEXT, broken INTEGER NOT NULL DEFAULT 0, uid INTEGER NOT NULL, gid INTEGER NOT NULL, mode INTEGER NOT NULL,
    created INTEGER NOT NULL, modified INTEGER NOT NULL, storage_class TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS entry_by_parent ON entry (parent);
CREATE TABLE IF NOT EXISTS removed (pnfsid TEXT PRIMARY KEY, size INTEGER NOT NULL, storage_class TEXT NOT NULL) STRICT;
"""


class Namespace:
    """The tree under ``directory``; what changes several names at once is one transaction."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "pool"
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self._data.glob("*.part"):
            leftover.unlink()
        self._database = sqlite3.connect(directory / "namespace.sqlite", isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA)
        if self._row(ROOT) is None:
            self._insert(ROOT, directory=True, uid=0, gid=0, mode=0o755, storage_class=DEFAULT_STORAGE_CLASS)

    def close(self) -> None:
        """Leave the database in order."""
        self._database.close()

    def prepare(self, directories: Iterable[Directory]) -> None:
        """Make the ``directories`` that are not there yet, with their parents."""
        for wanted in directories:
            path = ROOT
            for part in segments(wanted.path):
                path = FsPath(f"{path.rstrip('/')}/{part}")
                if self._row(path) is None:
                    own = path == wanted.path
                    self._insert(
                        path,
                        directory=True,
                        uid=wanted.uid if own else 0,
                        gid=wanted.gid if own else 0,
                        mode=int(wanted.mode, 8) if own else 0o755,
                        storage_class=wanted.storage_class,
                    )

    def data(self, pnfsid: str) -> Path:
        """Where the complete bytes of ``pnfsid`` are."""
        return self._data / pnfsid

    def partial(self, pnfsid: str) -> Path:
        """Where the bytes of ``pnfsid`` are while they come in."""
        return self._data / f"{pnfsid}.part"

    def lookup(self, path: FsPath, owner: Owner) -> Entry:
        """What ``path`` names. Raises Missing, or Forbidden when a directory on the way may not be entered."""
        self._walk(path, owner)
        row = self._row(path)
        if row is None:
            raise Missing(path)
        return _entry(row)

    def children(self, directory: FsPath) -> Iterator[Entry]:
        """What is directly in ``directory``, by name."""
        rows = self._database.execute(
            "SELECT * FROM entry WHERE parent = ? AND path != '/' ORDER BY path", (directory,)
        )
        yield from map(_entry, rows.fetchall())

    def files_below(self, path: FsPath) -> list[Entry]:
        """All files under ``path``."""
        return [_entry(row) for row in self._rows_below(path) if not row["directory"]]

    def may_change(self, path: FsPath, owner: Owner) -> bool:
        """May ``owner`` put something else in the place of ``path``?"""
        try:
            self._writable_parent(path, owner)
        except (Missing, Forbidden):
            return False
        return True

    def make_directory(self, path: FsPath, owner: Owner) -> Entry:
        """A new directory; its parent must be there. Raises Missing (no parent), Forbidden."""
        above = self._writable_parent(path, owner)
        return self._inheriting(path, above, owner, directory=True)

    def make_parents(self, path: FsPath, owner: Owner) -> None:
        """The directories on the way to ``path``. Raises Forbidden; Missing when a file is in the way."""
        above = parent(path)
        if self._row(above) is None:
            self.make_parents(above, owner)
            self.make_directory(above, owner)

    def create(self, path: FsPath, owner: Owner) -> Entry:
        """A new file without a size, in place of one that is there. Raises Missing (no parent), Forbidden."""
        above = self._writable_parent(path, owner)
        with self._transaction():
            old = self._row(path)
            if old is not None:
                self._forget(_entry(old))
            return self._inheriting(path, above, owner, directory=False)

    def complete(self, pnfsid: str, *, size: int, adler32: str, broken: bool) -> Entry:
        """The upload to ``pnfsid`` has ended. Raises Missing when it was deleted meanwhile."""
        changed = self._database.execute(
            "UPDATE entry SET size = ?, adler32 = ?, broken = ?, modified = ? WHERE pnfsid = ?",
            (size, adler32, broken, _now(), pnfsid),
        )
        if changed.rowcount == 0:
            raise Missing(pnfsid)
        return _entry(self._database.execute("SELECT * FROM entry WHERE pnfsid = ?", (pnfsid,)).fetchone())

    def withdraw(self, pnfsid: str) -> None:
        """Forget the name of an upload that brought nothing."""
        self._database.execute("DELETE FROM entry WHERE pnfsid = ?", (pnfsid,))

    def remove(self, entry: Entry, owner: Owner) -> None:
        """Forget ``entry`` and all below it. Raises Forbidden when one of the directories may not be changed."""
        self._writable_parent(entry.path, owner)
        below = [_entry(row) for row in self._rows_below(entry.path)]
        if any(found.directory and not owner.may(found, WRITE | ENTER) for found in below):
            raise Forbidden(entry.path)
        with self._transaction():
            for found in (*below, entry):
                self._forget(found)

    def move(self, entry: Entry, destination: FsPath, owner: Owner) -> None:
        """Give ``entry``, and all below it, another name. Raises Missing (no parent), Forbidden."""
        self._writable_parent(entry.path, owner)
        self._writable_parent(destination, owner)
        with self._transaction():
            for old in [entry.path, *(FsPath(row["path"]) for row in self._rows_below(entry.path))]:
                new = FsPath(destination + old[len(entry.path) :])
                self._database.execute("UPDATE entry SET path = ?, parent = ? WHERE path = ?", (new, parent(new), old))

    def removed(self) -> list[Removed]:
        """Data waiting for the cleaner."""
        return [Removed(**row) for row in map(dict, self._database.execute("SELECT * FROM removed").fetchall())]

    def clean(self, gone: Removed) -> None:
        """Delete the bytes of what was removed."""
        self.data(gone.pnfsid).unlink(missing_ok=True)
        self._database.execute("DELETE FROM removed WHERE pnfsid = ?", (gone.pnfsid,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _walk(self, path: FsPath, owner: Owner) -> None:
        above = ROOT
        for part in segments(path)[:-1]:
            above = FsPath(f"{above.rstrip('/')}/{part}")
            row = self._row(above)
            if row is None or not row["directory"]:
                raise Missing(path)
            if not owner.may(_entry(row), ENTER):
                raise Forbidden(path)

    def _writable_parent(self, path: FsPath, owner: Owner) -> Entry:
        above = self.lookup(parent(path), owner)
        if not above.directory:
            raise Missing(path)
        if not owner.may(above, WRITE | ENTER):
            raise Forbidden(path)
        return above

    def _inheriting(self, path: FsPath, above: Entry, owner: Owner, *, directory: bool) -> Entry:
        return self._insert(
            path,
            directory=directory,
            uid=owner.uid,
            gid=owner.gids[0],
            mode=above.mode if directory else above.mode & 0o666,
            storage_class=above.storage_class,
        )

    def _insert(self, path: FsPath, *, directory: bool, uid: int, gid: int, mode: int, storage_class: str) -> Entry:
        now = _now()
        pnfsid = f"0000{uuid.uuid4().hex.upper()}"
        self._database.execute(
            "INSERT INTO entry (path, parent, pnfsid, directory, uid, gid, mode, created, modified, storage_class)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (path, parent(path), pnfsid, directory, uid, gid, mode, now, now, storage_class),
        )
        self._database.execute("UPDATE entry SET modified = ? WHERE path = ?", (now, parent(path)))
        row = self._row(path)
        assert row is not None  # it was just written
        return _entry(row)

    def _forget(self, entry: Entry) -> None:
        self._database.execute("DELETE FROM entry WHERE path = ?", (entry.path,))
        if not entry.directory and entry.size is not None:
            self._database.execute(
                "INSERT INTO removed VALUES (?, ?, ?)", (entry.pnfsid, entry.size, entry.storage_class)
            )

    def _rows_below(self, path: FsPath) -> list[sqlite3.Row]:
        # "0" is the character after "/": a range of the primary key, whatever the names hold
        above = path.rstrip("/")
        return self._database.execute(
            "SELECT * FROM entry WHERE path > ? AND path < ? ORDER BY path", (f"{above}/", f"{above}0")
        ).fetchall()

    def _row(self, path: FsPath) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._database.execute("SELECT * FROM entry WHERE path = ?", (path,)).fetchone()
        return found


def _entry(row: sqlite3.Row) -> Entry:
    fields = dict(row)
    del fields["parent"]
    return Entry(**{**fields, "directory": bool(row["directory"]), "broken": bool(row["broken"])})


def _now() -> int:
    return time.time_ns() // 1_000_000
