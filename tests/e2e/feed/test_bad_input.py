"""What nobody should send, and calls that nobody should make: each ends counted, or with a clear error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

from eventflow.clients.openwhisk import OpenWhiskError
from eventflow.seal import seal
from faasctl.kafka import registrations
from faasctl.local.stack import TOPIC
from faasfeeds.kafka.registration import Registration, Settings
from tests.parts import feed
from tests.parts.feed import MORE_TOPICS, UNBORN, Site, matching, produce
from tests.parts.platform import wait

SLOW = """
import time


def main(args):
    offsets = [one["offset"] for one in args["messages"]]
    time.sleep(1 if offsets else 0)
    return {"offsets": offsets, "report": {"received": len(offsets), "filtered": {"seen": len(offsets)}}}
"""
"""An action that takes its time, and remembers what it was given."""

COLD = """
import os
import time

number = len(os.listdir({folder!r}))
open(os.path.join({folder!r}, str(number)), "w").close()
if number in (1, 2):
    time.sleep(60)


def main(args):
    time.sleep(0.2)
    return {{"report": {{"received": len(args["messages"]), "filtered": {{"seen": len(args["messages"])}}}}}}
"""
"""An action of which the second and the third container are too slow to start."""


@pytest.mark.timeout(300)
def test_bad_records_end_counted_each_with_its_reason(site: Site) -> None:
    """Given a trigger whose topic is not there yet, when it comes to be, with all kinds of bad records on it, then each
    is a dead letter that says why, or filtered, and what is good between them goes through."""
    site.feed_to("odd", "/guest/faas/process", topics=UNBORN, max_attempts=1)
    site.said(f"/guest/odd: the brokers show no topic {UNBORN}")
    good = [json.dumps(matching(n, "odd")).encode() for n in range(2)]
    wanted = matching(9, "odd")
    dead: dict[str, tuple[bytes | None, str, str]] = {
        "a tombstone": (None, "unparsable", "the record has no value"),
        "no UTF-8": (b"\xff\xfe", "unparsable", "not JSON: "),
        "no UTF-8 within": (good[0].replace(b"odd", b"o\xffd"), "unparsable", "not JSON: 'utf-8' codec can't decode"),
        "too deep": (good[0][:-1] + b',"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "unparsable", "nested too deeply"),
        "no time": (json.dumps({**wanted, "date": "9999-12-31T23:59:59-14:00"}).encode(), "unparsable", "the date"),
        "too large": (json.dumps({**wanted, "more": "x" * 920_000}).encode(), "too_large", "do not fit into a firing"),
    }
    large = json.dumps({**wanted, "isWrite": "read", "more": "x" * 920_000}).encode()

    site.kafka.create(UNBORN)
    records: list[bytes | None] = []
    for (bad, *_), between in zip(dead.values(), good * 3, strict=True):
        records += [bad, between]
    produce(site, [*records, large], UNBORN)
    wait(lambda: site.account("/guest/odd", UNBORN).books.received == 13 or None, "all to be final")

    books = site.account("/guest/odd", UNBORN).books
    assert books.imbalance() == (0, 0)
    assert books.records == {"dead-lettered": 6, "matched": 2, "duplicate": 4, "filtered:no_match": 1}
    said = [one for one in site.topic("faas.dead-letters") if one["headers"]["faastrigger"] == b"/guest/odd"]
    told = {one["headers"]["faasorigin"]: one for one in said}
    for number, (what, (value, code, why)) in enumerate(dead.items()):
        letter = told[f"{UNBORN}/0/{2 * number}".encode()]
        assert letter["headers"]["faaserrorcode"].decode() == code, what
        assert why in letter["headers"]["faaserrordata"].decode(), what
        assert letter["value"] == value, what
    feed.lifecycle(site.platform, "DELETE", "/guest/odd")


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ({"topics": "no-such-topic"}, "the environment has no topic no-such-topic .it has: billing"),
        ({"topics": "faas.outcomes"}, "the environment has no topic faas.outcomes"),
        ({"topics": "billing", "brokers": ["elsewhere:9092"]}, "brokers that are not the environment's"),
        ({"topics": "billing", "batch_size": 5}, "unknown parameter 'batch_size'"),
        ({"trigger": "/guest/nobodys"}, "the key cannot read the trigger /guest/nobodys"),
        ({"trigger": "nobodys"}, "'nobodys' is not /namespace/name"),
        ({"authKey": "somebody:else"}, "the key cannot read the trigger /guest/storage-events"),
        ({"event": "UPDATE", "authKey": "somebody:else"}, "the key cannot read"),
        ({"event": "DELETE", "authKey": "somebody:else"}, "the key cannot read"),
        ({"FAAS_FEED": "{}", "topics": "billing"}, "parameters that are not allowed"),
    ],
)
def test_calls_that_cannot_be_done_say_why(site: Site, call: dict[str, Any], why: str) -> None:
    settings = {"event": "CREATE", "trigger": "/guest/storage-events", **call}
    with pytest.raises(OpenWhiskError, match=why):
        feed.lifecycle(site.platform, settings.pop("event"), settings.pop("trigger"), **settings)


@pytest.fixture
def foreign(site: Site) -> Iterator[str]:
    """A registration whose key was sealed with another site's key."""
    store = registrations(site.platform.env)
    trigger, settings = "/guest/foreign", Settings(topics=(TOPIC,))
    store.put(Registration(trigger=trigger, auth=seal("u:k", name=trigger, key=bytes(32)), settings=settings))
    yield trigger
    store.delete(trigger)
    store.close()


def test_a_trigger_changed_deleted_and_made_again_in_flight_sees_every_record_once(site: Site, foreign: str) -> None:
    """Given a trigger with batches under way, and one that cannot be opened beside it, when it is changed, deleted and
    made again, then nothing of it is fired twice until it is deleted, nor at all from then on; its books stay, the
    others go on, and in the end no record was left out."""
    topic, group = MORE_TOPICS[10], "/guest/doomed"

    def fired() -> list[list[int]]:
        rows = site.platform.openwhisk.get("activations", limit=200, docs="true")
        return [row["response"]["result"]["offsets"] for row in rows if row["name"] == "doomed-action"]

    records = iter([json.dumps(matching(n, "doomed")).encode() for n in range(220)])
    site.fed_trigger("doomed", SLOW, topics=topic, batch_records=4, prefilter=False)
    site.settled_group(2, group)
    produce(site, list(islice(records, 20)), topic)
    wait(lambda: any(fired()) or None, "a batch to be fired")
    feed.lifecycle(site.platform, "UPDATE", group, batch_records=6)
    produce(site, list(records), topic)
    site.said(f"{group}: changing its settings")
    wait(lambda: any(len(batch) == 6 for batch in fired()) or None, "a batch as large as it may be now")

    feed.lifecycle(site.platform, "DELETE", group)
    site.settled_group(0, group)
    ended = sorted(chain(*fired()))
    books = site.account(group, topic).books
    assert 0 < len(ended) < 220
    assert (books.received, books.records, books.imbalance()) == (len(ended), {"filtered:seen": len(ended)}, (0, 0))
    site.said(f"{foreign}: is not fed: trigger {foreign}: its key was sealed with another keys.feed")
    before = site.job_keys()
    produce(site, [json.dumps(matching(1, "beside")).encode()])
    wait(lambda: len(site.job_keys() - before) == 1 or None, "the job of another trigger")
    assert sorted(chain(*fired())) == ended

    feed.lifecycle(site.platform, "CREATE", group, topics=topic, batch_records=100, prefilter=False)
    site.worked_off(group, topic, 60)
    assert set(chain(*fired())) == set(range(220))
    assert site.account(group, topic).books.records == {"filtered:seen": 220}
    feed.lifecycle(site.platform, "DELETE", group)


def test_containers_that_start_too_slowly_cost_no_attempt(site: Site, tmp_path: Path) -> None:
    openwhisk, topic, group = site.platform.openwhisk, MORE_TOPICS[11], "/guest/cold"
    produce(site, [json.dumps(matching(n, "cold")).encode() for n in range(40)], topic)
    code = {"kind": site.platform.env.openwhisk.kind, "code": COLD.format(folder=str(tmp_path))}
    openwhisk.put("actions", "cold-action", {"exec": code, "limits": {"timeout": 1500}})
    site.feed_to("cold", "/_/cold-action", topics=topic, batch_records=5, prefilter=False, max_attempts=1)
    site.worked_off(group, topic, 60)

    rows = openwhisk.get("activations", limit=200, docs="true")
    errors = [row["response"]["result"].get("error") for row in rows if row["name"] == "cold-action"]
    assert "The action exceeded its time limits of 1500 milliseconds during initialization." in errors
    assert site.account(group, topic).books.records == {"filtered:seen": 40}
    feed.lifecycle(site.platform, "DELETE", group)
