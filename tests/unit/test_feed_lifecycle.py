"""The feed action: OpenWhisk's lifecycle contract, with the words of the stock Kafka feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventflow.seal import unseal
from faasfeeds.kafka import lifecycle
from faasfeeds.kafka.directory import DirectoryRegistrations
from faasfeeds.kafka.lifecycle import Site
from faasfeeds.kafka.registration import FeedError

SITE = Site(topics=("billing", "other"), brokers=("b1:9092", "b2:9092"), namespace="ns", seal_keys=(bytes(32),))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryRegistrations:
    return DirectoryRegistrations(tmp_path)


def call(
    store: DirectoryRegistrations, event: str, *, auth: str = "u:k", known: bool = True, site: Site = SITE, **more: Any
) -> Any:
    args = {"lifecycleEvent": event, "triggerName": "/_/t", "authKey": auth, "__ow_headers": {}, **more}
    return lifecycle.handle(args, store=store, site=site, may_read=lambda trigger, key: known and key == "u:k")


def test_a_trigger_is_created_read_changed_in_place_paused_and_deleted(store: DirectoryRegistrations) -> None:
    assert call(store, "CREATE", topics="billing", batch_records=7)["config"]["batch_records"] == 7
    (before,) = store.all()
    assert call(store, "UPDATE", linger_ms=5)["config"]["batch_records"] == 7
    (after,) = store.all()
    assert after.auth == before.auth  # so that its feed goes on as it is
    assert after.settings.reads_as(before.settings)
    assert call(store, "PAUSE")["status"] == {"active": False}
    assert call(store, "UPDATE", linger_ms=5)["status"] == {"active": False}
    assert call(store, "UNPAUSE")["status"] == {"active": True}
    assert call(store, "READ")["config"]["linger_ms"] == 5
    assert "u:k" not in str(store.all())
    call(store, "DELETE")
    assert store.all() == []
    with pytest.raises(FeedError, match="not fed"):
        call(store, "READ")


def test_a_trigger_of_the_stock_feed_moves_over(store: DirectoryRegistrations) -> None:
    stock: dict[str, Any] = {"brokers": "b1:9092,b2:9092", "topic": "billing", "isJSONData": "true"}
    assert call(store, "CREATE", endpoint="x", **stock)["config"]["topics"] == ("billing",)
    stock = {"brokers": ["b2:9092"], "topic": "other", "isBinaryValue": True, "isBinaryKey": False}
    assert call(store, "UPDATE", **stock)["config"]["topics"] == ("other",)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"topics": ["billing"], "brokers": ["evil:1"]}, "not the environment's"),
        ({"topics": ["secret"]}, "has no topic secret"),
        ({"topics": ["billing"], "user": "me"}, "comes from the environment"),
        ({"topics": ["billing"], "batch_record": 5}, "unknown parameter"),
        ({"topics": ["billing"], "batch_bytes": 10**7}, "batch_bytes"),
        ({"topics": " , "}, "topics"),
        ({}, "topics"),
    ],
)
def test_what_a_caller_may_not_say_is_refused(store: DirectoryRegistrations, more: dict[str, Any], why: str) -> None:
    with pytest.raises(FeedError, match=why):
        call(store, "CREATE", **more)
    assert store.all() == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"triggerName": "t"}, "is not /namespace/name"),
        ({"triggerName": "//t"}, "is not /namespace/name"),
        ({"triggerName": "/ns/package/t"}, "is not /namespace/name"),
        ({"triggerName": 5}, "is not /namespace/name"),
        ({"auth": "no-key"}, "authKey is not uuid:key"),
        ({"auth": "ü:€"}, "authKey is not uuid:key"),
        ({"lifecycleEvent": "EXPLODE"}, "unsupported lifecycleEvent 'EXPLODE'"),
    ],
)
def test_a_call_that_is_none_says_what_is_wrong(store: DirectoryRegistrations, more: dict[str, Any], why: str) -> None:
    call(store, "CREATE", topics="billing")
    with pytest.raises(FeedError, match=why):
        call(store, "READ", **more)


def test_only_who_can_read_the_trigger_may_feed_it_and_who_fed_it_may_let_it_go(store: DirectoryRegistrations) -> None:
    call(store, "CREATE", topics="billing")
    for event in ("UPDATE", "DELETE", "PAUSE", "READ", "CREATE"):
        with pytest.raises(FeedError, match="cannot read"):
            call(store, event, auth="other:key")
    call(store, "DELETE", known=False)  # the trigger is gone already: wsk deletes it first when the feed was away
    assert store.all() == []


def test_a_registration_of_before_the_keys_change_is_known_and_sealed_anew(store: DirectoryRegistrations) -> None:
    call(store, "CREATE", topics="billing")
    new = b"n" * 32
    both = msgspec.structs.replace(SITE, seal_keys=(new, *SITE.seal_keys))
    call(store, "UPDATE", site=both)
    (held,) = store.all()
    assert unseal(held.auth, name="/ns/t", keys=[new]) == "u:k"
    call(store, "CREATE", topics="billing")
    call(store, "DELETE", known=False, site=both)
    assert store.all() == []
