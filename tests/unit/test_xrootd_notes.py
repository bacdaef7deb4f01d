"""What XRootD's notes mean."""

from __future__ import annotations

import msgspec
import pytest

from eventflow import cloudevents
from faasfeeds.xrootd.notes import Closed, Note, Written, cloud_event, parse


@pytest.mark.parametrize(
    ("line", "note"),
    [
        (b"unknown.1:27@[::127.0.0.1] closew /a/b/f1", Note("closew", "/a/b/f1")),
        (b"alice.7:3@node.example rm /a/b/f1", Note("rm", "/a/b/f1")),
        ("u.1:2@h closew /a/with space ü.csv".encode(), Note("closew", "/a/with space ü.csv")),
        (b"u.1:2@h create 644 /a/b/f1", None),
        (b"u.1:2@h closew /a/../etc/passwd", None),
        (b"u.1:2@h closew /a/\xff", None),
        (b"u.1:2@h closew", None),
        (b"", None),
    ],
)
def test_a_line_is_a_note_or_nothing(line: bytes, note: Note | None) -> None:
    assert parse(line) == note


def test_a_file_counts_once_it_has_stood_for_a_moment() -> None:
    closed = Closed(grace=1)
    closed.note(Note("closew", "/a"), now=0.0)
    assert closed.take(0.9) == []
    assert closed.take(1.0) == ["/a"]
    assert closed.take(9.0) == []


def test_a_removal_cancels_and_a_second_close_starts_anew() -> None:
    closed = Closed(grace=1)
    for path in ("/cut", "/again", "/whole"):
        closed.note(Note("closew", path), now=0.0)
    closed.note(Note("rm", "/cut"), now=0.1)
    closed.note(Note("closew", "/again"), now=0.5)
    assert closed.take(1.0) == ["/whole"]
    assert closed.take(1.5) == ["/again"]
    assert len(closed) == 0


def test_the_event_of_a_content_is_one_event() -> None:
    """Read back by the platform's own decoder: noted twice it is one event, written anew it is another."""

    def decoded(mtime_ns: int) -> object:
        written = Written("/a/b.csv", 17, 42, mtime_ns)
        return cloudevents.decode(msgspec.json.encode(cloud_event(written, "xrootd:local")), "local")

    event = cloudevents.decode(
        msgspec.json.encode(cloud_event(Written("/a/b.csv", 17, 42, 1_764_000_000_123_000_000), "xrootd:local")),
        "local",
    )
    assert (event.type, event.subject, event.data.size) == ("storage.written", "/a/b.csv", 17)
    assert event.time == "2025-11-24T16:00:00.123Z"
    assert decoded(1_764_000_000_123_000_000) == event
    assert decoded(1_764_000_000_123_000_001) != event
