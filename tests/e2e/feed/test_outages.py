"""What is away for ten times as often as a failure may be tried: nothing dies of it, and nothing else is held up."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from faasfeeds.kafka.settlement import TRIES_BEFORE_PARKING
from tests.parts import feed
from tests.parts.feed import FAR, MORE_TOPICS, Site, matching, produce
from tests.parts.platform import FUNCTIONS, wait

pytestmark = pytest.mark.timeout(300)

TOPIC = MORE_TOPICS[9]
TRIGGER = "/guest/outages"
TRIES = 10
"""Ten times the limit: one attempt is all that a failure has here."""


def function(folder: Path, name: str, path: str, **more: Any) -> Path:
    """`calibrate` by another name, for other files."""
    folder = folder / name
    folder.mkdir()
    shutil.copy(FUNCTIONS / "calibrate" / "calibrate.py", folder)
    spec = {
        "name": name,
        "namespace": "demo",
        "contact": "me",
        "when": {"path": path},
        "limits": {"max_idle": 1000, "max_running": 1},
        "params": {"pedestal": 12.5, "gain": 0.8},
        **more,
    }
    (folder / "function.yaml").write_text(json.dumps(spec))
    return folder


@pytest.fixture(scope="module", autouse=True)
def functions(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One function on the other storage, and a light one, which needs no pool; a trigger that allows one attempt."""
    folder, main = tmp_path_factory.mktemp("functions"), {"main": "calibrate.py"}
    far = function(folder, "far", f"{FAR}/in/{{run}}/{{name}}.csv", run=main, write=f"{FAR}/out/{{run}}/")
    quick: dict[str, Any] = {"run": {**main, "backend": "openwhisk"}, "resources": {"runtime": "5s"}}
    light = function(folder, "light", "/demo/in/light/{name}.txt", write="/demo/out/light/", **quick)
    site.platform.faasctl("fn", "push", str(far))
    site.platform.push(light)
    site.feed_to("outages", "/guest/faas/process", topics=TOPIC, max_attempts=1, park_s=0.1, deadline_s=20)
    site.settled_group(2, TRIGGER)
    yield
    feed.lifecycle(site.platform, "DELETE", TRIGGER)
    for name in ("far", "light"):
        site.platform.faasctl("fn", "remove", f"demo.{name}", "--yes")


def told(site: Site, *words: str) -> list[dict[str, Any]]:
    return [one for one in site.outcomes() if one["trigger"] == TRIGGER and one["outcome"] in words]


def test_a_pool_and_a_storage_that_are_away_hold_up_nothing_else(site: Site) -> None:
    platform = site.platform
    pool, far = platform.service("pool"), platform.service("far")
    port = next(one.read for one in platform.env.storages if one.name == "far").rpartition(":")[2]
    jobs, dead = site.job_keys(), site.dead_letters().keys()
    near = [json.dumps(matching(n, "outage")) for n in range(8)]
    there = [json.dumps(matching(n, "outage", FAR)) for n in range(8)]
    counts = b"channel,counts\n1,2\n"
    fields = {"pnfsid": "", "fileSize": len(counts)}
    light = [json.dumps({**matching(n, "light"), **fields}).replace(".csv", ".txt") for n in range(3)]
    for n in range(3):
        platform.put(f"/demo/in/light/{n}.txt", counts)

    pool.stop()
    far.stop()
    try:
        produce(site, [one.encode() for one in (*near, *there, *light)], TOPIC)
        wait(lambda: len({one["key"] for one in told(site, "invoked")}) == 3 or None, "the light function's events")
        assert told(site, "submitted") == []

        def tried() -> bool:
            parked = Counter(one["key"] for one in told(site, "parked"))
            return len(parked) == 16 and min(parked.values()) + TRIES_BEFORE_PARKING - 1 >= TRIES

        wait(lambda: tried() or None, f"everything to be tried {TRIES} times")
        assert {one["destination"] for one in told(site, "parked")} == {"local", "storage:far"}
    finally:
        pool.restart(*site.pool_options)
        far.restart("--port", port)
    account = site.drained(trigger=TRIGGER, topic=TOPIC)

    new = site.job_keys() - jobs
    assert (len(new), set(new.values())) == (16, {1})
    assert site.dead_letters().keys() == dead
    assert (account.books.items["submitted"], account.books.items["invoked"]) == (16, 3)
    assert account.books.imbalance() == (0, 0)


@contextmanager
def refusing(port: int) -> Iterator[list[str]]:
    """A door in front of an OpenWhisk that is away: it answers every request with 503. What was asked of it."""
    asked: list[str] = []

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_error(503)

        do_POST = do_GET  # noqa: N815  the names are http.server's

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Door)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_openwhisk_itself_away_is_waited_for_and_nothing_is_even_parked(site: Site) -> None:
    before = site.drained(trigger=TRIGGER, topic=TOPIC).books
    jobs, dead = site.job_keys(), site.dead_letters().keys()
    start_again = site.kill_host()
    wait(lambda: site.platform.service("openwhisk").ended or None, "the end of the host")
    produce(site, [json.dumps(matching(n, "no-openwhisk")).encode() for n in range(20)], TOPIC)
    with refusing(int(site.platform.env.openwhisk.apihost.rpartition(":")[2])) as asked:
        wait(lambda: len(asked) >= TRIES or None, f"{TRIES} refused requests")
    start_again()
    account = site.drained(trigger=TRIGGER, topic=TOPIC)

    new = site.job_keys() - jobs
    assert (len(new), set(new.values())) == (20, {1})
    assert site.dead_letters().keys() == dead
    assert account.books.items["submitted"] - before.items.get("submitted", 0) == 20
    assert account.books.items.get("parked", 0) == before.items.get("parked", 0)
    assert account.books.imbalance() == (0, 0)
