"""Light functions are invoked on the functions' own account, and its limits are theirs alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from eventflow.batch import DEFERRED, Done, Item, Origin
from eventflow.clients.openwhisk import OpenWhisk
from eventflow.errors import ItemError
from eventflow.invoking import Light, invoke
from tests.parts.openwhisk import running
from tests.unit.functions import written

LATER = 4e12

ECHO = """
def main(args):
    if args["events"][0]["mode"] == "odd":
        return {"something": "else"}
    if args["events"][0]["mode"] == "dies":
        raise ValueError("no")
    records = [{"key": event["key"], "exit": event["exit"], "reason": event["why"]} for event in args["events"]]
    return {"records": [record for record in records if record["exit"] is not None]}
"""


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, OpenWhisk]]:
    """One for each namespace of a host that throttles as OpenWhisk does by default: 60 invocations a minute."""
    with running(throttled=True) as host:
        found = {name: OpenWhisk(host.apihost, auth, namespace=name) for name, auth in host.auths.items()}
        for name, client in found.items():
            client.put("packages", "belle", {})
            client.put("actions", "belle/echo", {"exec": {"kind": "python:3.11", "code": ECHO}})
            assert client.namespace == name
        yield found


def light(number: int, exit: int | None = 0, why: str | None = None, mode: str = "", padding: int = 0) -> Light:
    event = written(f"/raw/r/{number}.root")
    item = Item(origin=Origin("billing", 0, number), event=event, function="belle.echo")
    sent: dict[str, Any] = {"key": item.key, "exit": exit, "why": why, "mode": mode, "padding": "x" * padding}
    return Light(item, "0.0.1", sent)


def codes(outcomes: list[Done | ItemError]) -> list[str]:
    return [outcome.outcome if isinstance(outcome, Done) else outcome.code for outcome in outcomes]


def test_each_event_has_its_own_end(clients: dict[str, OpenWhisk]) -> None:
    # when: one goes well, one fails, one may pass, one had no time
    given = [light(1), light(2, 20, "ValueError: x"), light(3, 11, "the door is away"), light(4, None)]
    found = invoke(clients["functions"], given, until_ms=LATER)

    # then
    assert codes(found) == ["invoked", "exit_20", "exit_11", DEFERRED]
    assert [one.retryable for one in found if isinstance(one, ItemError)] == [False, True, True]
    assert "ValueError: x" in str(found[1])


def test_events_of_more_than_a_payload_are_several_activations(clients: dict[str, OpenWhisk]) -> None:
    found = invoke(clients["functions"], [light(i, padding=300_000) for i in range(7)], until_ms=LATER)
    assert codes(found) == ["invoked"] * 7


@pytest.mark.parametrize("mode", ["odd", "dies"])
def test_an_activation_that_comes_to_nothing_is_tried_again(clients: dict[str, OpenWhisk], mode: str) -> None:
    found = invoke(clients["functions"], [light(1, mode=mode), light(2)], until_ms=LATER)
    assert codes(found) == ["invoke_failed"] * 2
    assert all(one.retryable for one in found if isinstance(one, ItemError))


def test_a_function_that_is_gone_is_said(clients: dict[str, OpenWhisk]) -> None:
    item = Item(origin=Origin("billing", 0, 1), event=written("/raw/r/1.root"), function="belle.gone")
    (found,) = invoke(clients["functions"], [Light(item, "0.0.1", {"key": item.key})], until_ms=LATER)
    assert codes([found]) == ["gone"]


def test_the_functions_use_up_their_own_limit_and_not_the_platforms(clients: dict[str, OpenWhisk]) -> None:
    # when: more than a minute's invocations
    found = [outcome for i in range(70) for outcome in invoke(clients["functions"], [light(i)], until_ms=LATER)]

    # then: those beyond wait for their turn, and the platform's account is untouched
    late = [one for one in found if isinstance(one, ItemError)]
    assert {(one.code, one.retryable, one.destination) for one in late} == {("throttled", True, "functions")}
    assert codes(invoke(clients["guest"], [light(1)], until_ms=LATER)) == ["invoked"]


def test_an_openwhisk_that_is_away_is_an_outage() -> None:
    away = OpenWhisk("http://127.0.0.1:9", "a:b", namespace="functions")
    (found,) = invoke(away, [light(1)], until_ms=LATER)
    assert isinstance(found, ItemError)
    assert (found.code, found.retryable) == ("unavailable", True)
