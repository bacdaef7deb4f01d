"""Whatever is done to a macaroon of the embedded storage, it never opens more than before."""

from __future__ import annotations

import base64
import string

import pymacaroons
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faasctl.local.storage import caveats, instant, restriction
from faasctl.local.storage.authn import Accounts, LoginFailed
from faasctl.local.storage.caveats import Activity, Breakage, Context, Rejection
from faasctl.local.storage.config import User
from faasctl.local.storage.macaroons import MintRequest, Refused, Secret, chain, context_for, open_macaroon, seal
from faasctl.local.storage.paths import ROOT, FsPath, chroot, covers, normal, resolve

SECRET = Secret(b"0" * 32)
ALICE = User(name="alice", password="pw", uid=1000, gids=(1000, 1100))
ACCOUNTS = Accounts([ALICE], SECRET)
NOW = instant.parse("2026-11-21T12:00:00Z")
IDENTITY = ["iid:abcdefgh", "id:1000;1000,1100;alice"]

names = st.sampled_from(["a", "b", "ab", "..", ".", "", "ä", "a b"])
paths = st.lists(names, max_size=4).map("/".join)
activities = st.lists(st.sampled_from(list(Activity)), min_size=1, max_size=8, unique=True).map(",".join)
wishes = st.one_of(
    paths.map("path:{}".format),
    paths.map("path:/{}".format),
    paths.map("root:/{}".format),
    paths.map("home:/{}".format),
    activities.map("activity:{}".format),
    st.integers(1, 10**6).map("max-upload:{}".format),
    st.sampled_from(["ip:192.0.2.0/24", "ip:0.0.0.0/0", "before:2099-01-01T00:00:00Z"]),
)


def expanded(texts: list[str]) -> Context | None:
    try:
        return caveats.expand(texts, client="192.0.2.7", now=NOW)
    except (Rejection, Breakage):
        return None


@given(st.lists(wishes, max_size=5), wishes, st.sampled_from(list(Activity)), paths.map(normal))
@settings(max_examples=1500, deadline=None)
def test_a_caveat_never_opens_anything(first: list[str], added: str, activity: Activity, path: FsPath) -> None:
    # given a chain of caveats and one more
    before, after = expanded(first), expanded([*first, added])

    # then what the longer chain allows, the shorter allowed
    if after is not None:
        assert before is not None
        narrow, wide = restriction.of(after), restriction.of(before)
        if narrow.permits(activity, path) and narrow.in_root(path):
            assert wide.permits(activity, path)
            assert wide.in_root(path)
        assert (after.max_upload or 0) <= (before.max_upload or after.max_upload or 0)


@given(st.text(string.ascii_letters + string.digits + "+/-_= ", max_size=300))
@example("MDAxY2xvY2F0aW9uIE9wdGlvbmFsLmVtcHR5Cg")
@example("a b")
@example("")
def test_garbage_is_a_failed_login(token: str) -> None:
    with pytest.raises(LoginFailed):
        ACCOUNTS.login(f"Bearer {token}", [], client="192.0.2.7", now=NOW)


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_garbage_in_packets_is_a_failed_login(data: bytes) -> None:
    token = base64.urlsafe_b64encode(b"0010location x\n" + data).decode()
    with pytest.raises(LoginFailed):
        ACCOUNTS.login(f"Bearer {token}", [], client="192.0.2.7", now=NOW)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_closes_a_macaroon(position: int, change: int) -> None:
    # given a macaroon with one byte changed somewhere
    token = seal(SECRET, ROOT, [*IDENTITY, "path:/a", "before:2099-01-01T00:00:00Z"])
    data = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    position %= len(data)
    original = bytes(data)
    data[position] ^= change

    # then it is refused; only the location, which dCache does not sign either, and line ends may differ
    text = base64.urlsafe_b64encode(data).decode()
    try:
        ACCOUNTS.login(f"Bearer {text}", [], client="192.0.2.7", now=NOW)
    except LoginFailed:
        return
    assert position < original.index(b"identifier") - 4 or original[position : position + 1] in (b"\n", b"0")


@given(st.lists(wishes, max_size=5))
def test_what_pymacaroons_adds_is_what_the_storage_reads(added: list[str]) -> None:
    # given a macaroon that a client attenuates with the library everybody uses
    token = seal(SECRET, FsPath("/a"), IDENTITY)
    macaroon = pymacaroons.Macaroon.deserialize(token)
    for caveat in added:
        macaroon.add_first_party_caveat(caveat)

    # then the storage finds its own signature on it
    found = open_macaroon(macaroon.serialize())
    found.verify(SECRET)
    assert list(found.caveats) == [*IDENTITY, *added]


def test_a_third_party_caveat_is_refused() -> None:
    macaroon = pymacaroons.Macaroon(location="x", identifier=SECRET.identifier, key=SECRET.value)
    macaroon.add_third_party_caveat("https://other.example", "key", "id")
    with pytest.raises(ValueError, match="first-party"):
        open_macaroon(macaroon.serialize())


def test_a_macaroon_without_an_identity_is_no_login() -> None:
    token = seal(SECRET, ROOT, ["iid:abcdefgh", "path:/"])
    with pytest.raises(LoginFailed, match=r"^login failed$"):
        ACCOUNTS.login(f"Bearer {token}", [], client="192.0.2.7", now=NOW)


@given(st.lists(wishes, max_size=4), st.sampled_from(["PT1H", "P1D", "PT0.5S"]))
def test_a_minted_macaroon_holds_no_more_than_its_minter(asked: list[str], validity: str) -> None:
    # given the bearer of a macaroon that is confined to /a, to reading and for an hour
    parent = Context(
        uid=1000,
        gids=(1000,),
        username="alice",
        path=FsPath("/a"),
        activities=frozenset({Activity.DOWNLOAD}),
        expiry=NOW + 3600 * instant.SECOND,
    )

    # when they mint with it
    try:
        made = chain(
            context_for(parent, FsPath("/a")), MintRequest(caveats=tuple(asked), validity=validity), iid="x", now=NOW
        )
    except Refused:
        return
    child = expanded(made)

    # then what comes of it, if anything, is confined at least as much
    if child is not None:
        bounds = restriction.of(child)
        assert child.expiry is not None
        assert child.expiry <= NOW + 3600 * instant.SECOND
        assert not bounds.permits(Activity.UPLOAD, FsPath("/a/f"))
        assert not (bounds.permits(Activity.DOWNLOAD, FsPath("/b")) and bounds.in_root(FsPath("/b")))


@given(paths, paths)
def test_a_chroot_cannot_be_left(base: str, path: str) -> None:
    root = normal(base)
    assert covers(root, chroot(root, path))
    assert normal(resolve(root, path)) == resolve(root, path)


@given(st.integers(-(10**20), 10**21))
def test_instants_are_read_as_they_are_written(moment: int) -> None:
    assert instant.parse(instant.format(moment)) == moment


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "PT0S"),
        (54_621, "PT0.000054621S"),
        (-54_350, "PT-0.00005435S"),
        (61_000_000_005, "PT1M1.000000005S"),
        (3_600_000_000_000, "PT1H"),
        (90_061_500_000_000, "PT25H1M1.5S"),
    ],
)
def test_durations_are_written_as_by_java(nanoseconds: int, text: str) -> None:
    assert instant.format_duration(nanoseconds) == text
