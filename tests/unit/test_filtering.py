"""The first step: what an event fires, what waits, and what was written by the platform itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from eventflow import function
from eventflow.batch import Batch, Delivery, Message
from eventflow.filtering import Topic, run
from eventflow.registry import FRESH_MS, Registry
from tests.unit.functions import make

OWN = frozenset({"faas"})
TOPICS = {"events": Topic(instance="test", format="cloudevents")}


class Actions:
    """The rows of a functions namespace, as OpenWhisk lists them."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows

    def get(self, collection: str, name: str = "", /, **query: str | int) -> Any:
        return {collection: len(self.rows)} if "count" in query else list(self.rows[:1])

    def pages(self, collection: str) -> Iterator[dict[str, Any]]:
        yield from self.rows


def row(name: str, path: str = "/raw/**", paused: str | None = None, **changes: Any) -> dict[str, Any]:
    spec = make(path, name=name, **changes)
    annotations = [
        {"key": "faas", "value": function.encode(spec)},
        {"key": "faas-push", "value": {"code": "sha256:" + "0" * 64}},
        {"key": "faas-state", "value": {"paused": paused}},
    ]
    return {
        "namespace": "functions/belle",
        "name": name,
        "version": "0.0.1",
        "updated": 1,
        "annotations": annotations,
    }


def message(number: int, path: str = "/raw/a", user: str = "anna", **more: Any) -> Message:
    event = {
        "specversion": "1.0",
        "id": str(number),
        "source": "test",
        "type": "storage.written",
        "subject": path,
        "time": "2026-01-01T00:00:00Z",
        "data": {"principal": {"username": user}},
    }
    return Message(topic="events", partition=0, offset=number, timestamp=1, value=json.dumps(event), **more)


def filtered(rows: list[dict[str, Any]], *messages: Message) -> Batch:
    registry = Registry(Actions(*rows), lambda: 10_000)
    batch = run(Delivery(schema=1, deadline=0, messages=messages), TOPICS, registry, OWN)
    assert batch.report.imbalance() == (0, len(batch.work)), "what is not settled is work"
    return batch


def fired(batch: Batch) -> list[str]:
    return [item.function for item in batch.work]


def test_events_of_a_paused_function_wait_and_those_of_others_do_not() -> None:
    # when
    batch = filtered([row("one", paused="park"), row("two")], message(1))

    # then
    assert fired(batch) == ["belle.two"]
    (waiting,) = batch.report.failed
    assert (waiting.function, waiting.code, waiting.retryable) == ("belle.one", "paused", True)
    assert "belle.one" not in batch.functions


def test_events_of_a_function_that_drops_count_as_filtered() -> None:
    batch = filtered([row("one", paused="drop")], message(1), message(2, "/elsewhere"))
    assert batch.report.filtered == {"paused": 1, "no_match": 1}
    assert batch.report.failed == ()


def test_a_state_that_cannot_be_understood_loses_nothing() -> None:
    given = row("one")
    given["annotations"][-1]["value"] = "nonsense"
    (waiting,) = filtered([given], message(1)).report.failed
    assert waiting.code == "paused"


def test_what_the_platform_wrote_fires_only_chained_functions() -> None:
    rows = [row("plain"), row("chained", chained=True)]
    assert fired(filtered(rows, message(1, user="anna"))) == ["belle.plain", "belle.chained"]
    assert fired(filtered(rows, message(1, user="faas"))) == ["belle.chained"]


def test_a_redelivery_is_for_the_functions_it_names() -> None:
    rows = [row("one"), row("two")]
    assert fired(filtered(rows, message(1, only=("belle.two",), attempt=2))) == ["belle.two"]


def test_a_row_that_speaks_for_another_function_is_left_out() -> None:
    thief = {**row("one"), "name": "other"}
    assert filtered([thief], message(1)).report.filtered == {"no_match": 1}


def test_what_is_delivered_again_sees_what_has_changed_meanwhile() -> None:
    # given: an old event, whose function is paused when it first comes
    actions, clock = Actions(row("one", paused="park")), [10_000]
    registry = Registry(actions, lambda: clock[0])
    assert registry.snapshot(1).functions["belle.one"].paused == "park"

    # when: it is resumed, and the event comes back later
    actions.rows = ({**row("one"), "updated": 2},)
    clock[0] += FRESH_MS
    held = registry.snapshot(1)
    clock[0] += 1

    # then
    assert held.functions["belle.one"].paused == "park"
    assert registry.snapshot(1).functions["belle.one"].paused is None
