"""What the embedded storage announces, the platform understands: one change, one event."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from eventflow import dcache
from eventflow.event import Event
from tests.contract.dcache_recording import hang_up
from tests.parts.storage import Storage, running_storage


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with running_storage(tmp_path_factory.mktemp("storage")) as running:
        yield running


def events(storage: Storage, path: str, records: int) -> list[Event | dcache.Filtered]:
    """What the platform makes of the records about a path, once there are that many."""
    until = time.monotonic() + 10
    while True:
        about = [record for record in storage.announced() if record.get("transferPath") == path]
        if len(about) >= records:
            return [dcache.decode(json.dumps(record), "test") for record in about]
        assert time.monotonic() < until, about
        time.sleep(0.02)


def test_an_upload_is_one_event_however_it_came(storage: Storage) -> None:
    # given two uploads, one through the door and one by way of the pool
    storage.session("alice").put(storage.url("/data/raw/direct"), data=b"12345")
    away = storage.session("alice").put(
        storage.url("/data/raw/redirected"), data=b"", headers={"Expect": "100-continue"}, allow_redirects=False
    )
    storage.session().put(away.headers["Location"], data=b"12345")

    # when pool and door have announced them
    for path in ("/data/raw/direct", "/data/raw/redirected"):
        found = events(storage, path, 2)

        # then both announcements are the same event
        assert [type(event) for event in found] == [Event, Event]
        assert len({event.id for event in found if isinstance(event, Event)}) == 1
        event = found[0]
        assert isinstance(event, Event)
        assert (event.type, event.subject, event.data.size) == ("storage.written", path, 5)
        assert event.data.storage_class == "test:default"


def test_an_overwrite_is_another_event(storage: Storage) -> None:
    for content in (b"1", b"22"):
        storage.session("alice").put(storage.url("/data/raw/twice"), data=content)
    found = events(storage, "/data/raw/twice", 4)
    assert len({event.id for event in found if isinstance(event, Event)}) == 2


def test_reading_and_removing_are_events_of_their_own(storage: Storage) -> None:
    session = storage.session("alice")
    session.put(storage.url("/data/raw/life"), data=b"x")
    session.get(storage.url("/data/raw/life"))
    session.delete(storage.url("/data/raw/life"))
    types = [event.type for event in events(storage, "/data/raw/life", 5) if isinstance(event, Event)]
    assert types == ["storage.written"] * 2 + ["storage.read"] * 2 + ["storage.removed"]


def test_an_upload_that_was_cut_is_no_event(storage: Storage) -> None:
    # when a client goes away in the middle
    trust = ssl.create_default_context(cafile=str(storage.ca))
    with (
        socket.create_connection(("127.0.0.1", int(storage.endpoint.rsplit(":", 1)[1]))) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        head = "PUT /data/raw/cut HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWxpY2U6cHctYWxpY2U=\r\n"
        connection.sendall(f"{head}Content-Length: 9\r\n\r\n12345".encode())
        hang_up(connection)

    # then that is announced, and starts nothing
    assert all(isinstance(event, dcache.Filtered) for event in events(storage, "/data/raw/cut", 2))
    assert storage.session("alice").get(storage.url("/data/raw/cut")).status_code == 404


def test_a_refused_read_is_no_event(storage: Storage) -> None:
    storage.session("alice").put(storage.url("/data/raw/closed"), data=b"x")
    token = storage.macaroon("/data/raw/closed", "activity:READ_METADATA")
    assert storage.session(token=token).get(storage.url("/data/raw/closed")).status_code == 403
    found = events(storage, "/data/raw/closed", 3)
    assert isinstance(found[2], dcache.Filtered)


def test_the_event_knows_whose_token_it_was(storage: Storage) -> None:
    # given a token, narrowed by its bearer or not
    token = storage.macaroon("/data/raw", "activity:UPLOAD")
    storage.session(token=token).put(storage.url("/data/raw/whose"), data=b"x")

    # then its issue id is in the record, by which the platform recognises what its own jobs wrote
    record = next(r for r in storage.announced() if r.get("transferPath") == "/data/raw/whose")
    assert any(principal.startswith("MacaroonPrincipal[") for principal in record["subject"])
