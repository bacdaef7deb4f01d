"""Narrowing can only narrow, in each flavour's own words; what is sealed stays sealed."""

from __future__ import annotations

import base64
import os

import pytest
from pymacaroons import Macaroon

from eventflow import macaroon, seal, submittoken
from eventflow.errors import ItemError
from eventflow.function import Function, decode
from eventflow.macaroon import MacaroonError, caveats, grant, instant, narrow
from eventflow.seal import SealError

END = 4_000_000_000.0


def parent(*texts: str) -> str:
    token = Macaroon(location="Optional.empty", identifier="OzPgULZD", key=b"secret")
    for text in texts:
        token.add_first_party_caveat(text)
    return str(token.serialize())


def test_a_dcache_child_has_the_path_relative_to_its_parent() -> None:
    token = parent("iid:x", "path:/pnfs/belle", "activity:DOWNLOAD")
    child = narrow(
        token, "dcache", prefix="/pnfs/belle", path="/pnfs/belle/raw/a.root", activities={"DOWNLOAD"}, expires=END
    )
    assert caveats(child)[3:] == ["path:/raw/a.root", "activity:DOWNLOAD", f"before:{instant(END)}"]


def test_a_dcache_child_is_bound_to_the_workers_networks() -> None:
    token = parent("path:/d")
    child = narrow(
        token,
        "dcache",
        prefix="/d",
        path="/d",
        activities=["LIST"],
        expires=END,
        subnets=["10.0.0.0/8", "2001:db8::/32"],
    )
    assert "ip:10.0.0.0/8,2001:db8::/32" in caveats(child)


def test_an_xrootd_child_has_an_absolute_path_and_a_name_that_nobody_has() -> None:
    child = narrow(parent("name:wf"), "xrootd", prefix="/wf", path="/wf/out/x.d/", activities=["UPLOAD"], expires=END)
    assert caveats(child)[1:] == [
        "path:/wf/out/x.d/",
        "activity:UPLOAD",
        f"name:{macaroon.ANONYMOUS}",
        f"before:{instant(END)}",
    ]


def test_a_location_with_an_umlaut_does_not_break_the_child() -> None:
    data = b"".join(
        b"%04x" % (4 + len(key) + 1 + len(value) + 1) + key + b" " + value + b"\n"
        for key, value in [(b"location", "Optional[/dä]".encode()), (b"identifier", b"x"), (b"signature", b"s" * 32)]
    )
    token = base64.urlsafe_b64encode(data).decode().rstrip("=")
    child = narrow(token, "dcache", prefix="/dä", path="/dä/ü", activities=["LIST"], expires=END)
    assert caveats(child)[0] == "path:/ü"


def test_a_path_outside_the_parent_is_refused() -> None:
    with pytest.raises(MacaroonError, match="not under"):
        narrow(parent(), "dcache", prefix="/pnfs/belle", path="/pnfs/belle2/x", activities=["DOWNLOAD"], expires=END)


def test_the_earliest_end_and_the_smallest_set_of_activities_count() -> None:
    ends = ("before:2030-01-01T00:00:00Z", "before:2029-01-01T00:00:00+01:00")
    found = grant(parent(*ends, "activity:LIST, DOWNLOAD", "activity:LIST"))
    assert found.activities == frozenset({"LIST"})
    assert instant(found.expires or 0) == "2028-12-31T23:00:00Z"


def test_an_answer_that_is_no_macaroon_is_not_repeated_in_the_error() -> None:
    with pytest.raises(MacaroonError) as refused:
        grant("PGh0bWw-secret-looking")
    assert "secret-looking" not in str(refused.value)


def test_sealed_tokens_open_only_for_their_own_event_and_key() -> None:
    key, other = os.urandom(32), os.urandom(32)
    text = seal.seal({"read": "MDAx"}, name="event/f", key=key)
    assert seal.unseal(text, name="event/f", keys=[other, key]) == {"read": "MDAx"}
    for name, wrong in (("event/g", key), ("event/f", other)):
        with pytest.raises(SealError):
            seal.unseal(text, name=name, keys=[wrong])
    with pytest.raises(SealError):
        seal.unseal(text[:-8] + "AAAAAAA=", name="event/f", keys=[key])


def test_a_key_of_the_wrong_size_is_refused_without_being_shown() -> None:
    text = base64.b64encode(b"short").decode()
    with pytest.raises(SealError) as refused:
        seal.key_from_text(text)
    assert text not in str(refused.value)


SPEC = {
    "name": "f",
    "namespace": "n",
    "contact": "c@example.org",
    "when": {"path": "/d/in/*"},
    "run": {"main": "f.py"},
    "write": "/d/out/",
}


def spec(**resources: int) -> Function:
    return decode({**SPEC, "resources": resources})


SECRET = b"k" * 32
NOW = 1_800_000_000.0


def test_a_submit_token_is_good_for_its_job() -> None:
    token = submittoken.mint("e/n.f", spec(cpus=2), now=NOW, secret=SECRET)
    submittoken.verify(token, "e/n.f", spec(cpus=2), now=NOW + 1, secrets=[SECRET])


@pytest.mark.parametrize(
    ("why", "key", "resources", "now", "secret"),
    [
        ("key does not hold", "other/n.f", {"cpus": 2}, NOW, SECRET),
        ("cpus does not hold", "e/n.f", {"cpus": 4}, NOW, SECRET),
        ("before does not hold", "e/n.f", {"cpus": 2}, NOW + submittoken.LIFE + 1, SECRET),
        ("its signature is not this platform's", "e/n.f", {"cpus": 2}, NOW, b"x" * 32),
    ],
)
def test_a_submit_token_is_good_for_nothing_else(
    why: str, key: str, resources: dict[str, int], now: float, secret: bytes
) -> None:
    token = submittoken.mint("e/n.f", spec(cpus=2), now=NOW, secret=SECRET)
    with pytest.raises(ItemError, match=why) as refused:
        submittoken.verify(token, key, spec(**resources), now=now, secrets=[secret])
    assert refused.value.code == "submit_token"
    assert token not in str(refused.value)


def test_a_submit_token_with_a_caveat_of_unknown_meaning_is_refused() -> None:
    token = Macaroon.deserialize(submittoken.mint("e/n.f", spec(), now=NOW, secret=SECRET))
    token.add_first_party_caveat("weekday:sunday")
    with pytest.raises(ItemError, match="weekday does not hold"):
        submittoken.verify(token.serialize(), "e/n.f", spec(), now=NOW, secrets=[SECRET])


def test_a_submit_token_without_its_claims_is_refused_even_when_signed() -> None:
    bare = Macaroon(location="faasctl", identifier="e/n.f", key=SECRET).serialize()
    with pytest.raises(ItemError, match="names no before, cpus"):
        submittoken.verify(bare, "e/n.f", spec(), now=NOW, secrets=[SECRET])
