"""Before anything is submitted: tokens are opened with a key in force, for their own event, and allow what is done."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from eventflow import submitting, submittoken
from eventflow.batch import Batch, Failure, Item, Origin, Registered, Report
from eventflow.minting import Tokens
from eventflow.policy import Policy, decode
from eventflow.seal import seal
from tests.unit.functions import make, source, written

NEW, OLD, FOREIGN = b"n" * 32, b"o" * 32, b"f" * 32
SUBMIT, OLD_SUBMIT = b"s" * 32, b"t" * 32
LATER = time.time() + 3600
PATH = "/raw/1/a.root"
POLICY: Policy = decode({"namespace": "belle", "read": ["/raw"], "write": ["/out"]})


ENVELOPE: dict[str, Any] = {"key": "k", "read": {}, "inputs": {}, "write": None}


def item(path: str = PATH, *, key: bytes = NEW, of: str = PATH, **submit: Any) -> Item:
    """A work item of a light function whose tokens were sealed for the event ``of``."""
    here, other = (
        Item(origin=Origin("t", 0, 0), event=written(one), function="belle.calibrate", envelope=ENVELOPE)
        for one in (path, of)
    )
    given = {"job": other.key, "spec": make(), "now": time.time(), "secret": SUBMIT, **submit}
    made = submittoken.mint(given["job"], given["spec"], now=given["now"], secret=given["secret"])
    tokens = Tokens(read="r", write="w", inputs={}, submit=made, expires=time.time() + 9999)
    return msgspec.structs.replace(here, tokens=seal(tokens, name=other.key, key=key))


def failed(one: Item, *, policies: Mapping[str, Policy] = {}, deadline: float = LATER) -> Failure:
    """Why the item was not submitted; nothing is there to submit to, so what passes shows, too."""
    registered = Registered(spec=source(), version="0.0.1", code="sha256:00")
    batch = Batch(
        schema=1,
        deadline=int(deadline * 1000),
        functions={"belle.calibrate": registered},
        work=(one,),
        report=Report(items=1),
    )
    done = submitting.run(
        batch,
        pools={},
        code=lambda spec, entry: b"",
        actions=None,  # type: ignore[arg-type]
        policies=policies,
        seal_keys=(NEW, OLD),
        submit_keys=(SUBMIT, OLD_SUBMIT),
        now=time.time,
    )
    (only,) = done.report.failed
    return only


@pytest.mark.parametrize("key", [NEW, OLD])
@pytest.mark.parametrize("secret", [SUBMIT, OLD_SUBMIT])
def test_both_keys_are_in_force(key: bytes, secret: bytes) -> None:
    assert failed(item(key=key, secret=secret)).code == "policy"  # the next thing that is looked at


@pytest.mark.parametrize("one", [item(key=FOREIGN), item(of="/raw/1/other.root")], ids=["foreign key", "swapped"])
def test_what_cannot_be_opened_is_delivered_again(one: Item) -> None:
    found = failed(one)
    assert (found.code, found.retryable) == ("seal", True)
    assert str(one.tokens) not in found.message


@pytest.mark.parametrize(
    ("submit", "why"),
    [
        ({"secret": FOREIGN}, "its signature is not this platform's"),
        ({"job": "other/belle.calibrate"}, "key does not hold"),
        ({"spec": make(resources={"cpus": 9})}, "cpus does not hold"),
        ({"late": -700}, "before does not hold"),
        ({"late": 700}, "it lives longer"),
    ],
)
def test_a_submit_token_that_does_not_allow_it_is_refused_for_good(submit: dict[str, Any], why: str) -> None:
    found = failed(item(**{**submit, "now": time.time() + submit.get("late", 0)}))
    assert (found.code, found.retryable) == ("submit_token", False)
    assert why in found.message


@pytest.mark.parametrize("skew", [-120, 120])
def test_clocks_of_minting_and_submitting_may_be_two_minutes_apart(skew: int) -> None:
    assert failed(item(now=time.time() + skew)).code == "policy"


@pytest.mark.parametrize("minted", [0, -7200])
def test_a_clock_that_is_ahead_of_the_feeds_is_said_before_tokens_are_taken_for_ended(minted: int) -> None:
    found = failed(item(now=time.time() + minted), policies={"belle": POLICY}, deadline=time.time() - 60)
    assert (found.code, found.retryable) == ("deadline", True)
    assert re.search("over by 6[01] s: a slow step, or clocks that differ", found.message)
