"""What XRootD notes of changes (``ofs.notify``), and which of it is an event.

A note is a line ``CLIENT closew PATH`` or ``CLIENT rm PATH`` (XrdOfsEvs.cc). A cut upload is noted as closed like any
other; with ``ofs.persist auto hold 0`` its removal follows at once. So a file counts as written when it was closed and
still stands a moment later.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

import msgspec

from eventflow.errors import ItemError
from eventflow.event import normal_path

GRACE_S = 0.1
"""How long a removal may take to follow the note of a cut upload."""

_NOTE = re.compile(rb"\S+ (closew|rm) (/.*)", re.DOTALL)


class Note(msgspec.Struct, frozen=True):
    """One note: a file that was written and closed, or that was removed."""

    kind: Literal["closew", "rm"]
    path: str


class Written(msgspec.Struct, frozen=True):
    """A file as it stands on disk: ``inode`` and ``mtime_ns`` tell one content from the next; ``size`` in bytes."""

    path: str
    size: int
    inode: int
    mtime_ns: int


def parse(line: bytes) -> Note | None:
    """The note of a line without its end; None for notes of another kind, and for paths that are no event's."""
    found = _NOTE.fullmatch(line)
    if found is None:
        return None
    try:
        path = normal_path(found[2].decode())
    except (UnicodeDecodeError, ItemError):
        return None
    return Note("closew" if found[1] == b"closew" else "rm", path)


class Closed:
    """The files that were closed and may still be removed. Times are in seconds of any one clock."""

    def __init__(self, grace: float = GRACE_S) -> None:
        self._grace = grace
        self._due: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def note(self, note: Note, now: float) -> None:
        """Take a note; a removal cancels the note of the same path."""
        self._due.pop(note.path, None)
        if note.kind == "closew":
            self._due[note.path] = now + self._grace

    def take(self, now: float) -> list[str]:
        """The paths whose time has come, in the order in which they were closed."""
        due = [path for path, when in self._due.items() if when <= now]
        for path in due:
            del self._due[path]
        return due


def cloud_event(written: Written, source: str) -> dict[str, object]:
    """The CloudEvent of a written file. Its id is that of the content: noted twice, it is one event."""
    time = datetime.fromtimestamp(written.mtime_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    return {
        "specversion": "1.0",
        "id": f"{written.path}#{written.inode:x}-{written.mtime_ns:x}",
        "source": source,
        "type": "storage.written",
        "subject": written.path,
        "time": time.replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {"path": written.path, "size": written.size},
    }
