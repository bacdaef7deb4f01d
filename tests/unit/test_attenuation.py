"""No sequence of attenuations widens a token, under either flavour's rules.

The verifiers share no code with what makes the tokens. dCache's is that of the embedded storage, which is held to the
verdicts of dCache's own classes; XRootD's follows `XrdMacaroonsAuthz.cc`, with its comparison of strings before 5.9.1
and of segments since, behind a door where nobody has rights by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pymacaroons import Macaroon

from eventflow.event import covers
from eventflow.macaroon import MacaroonError, caveats, instant, narrow
from eventflow.storages import Flavour
from faasctl.local.storage import caveats as dcache
from faasctl.local.storage import instant as instants
from faasctl.local.storage import restriction
from faasctl.local.storage.caveats import Activity, Breakage, Rejection
from faasctl.local.storage.paths import normal

START = 1_800_000_000.0
ACTIVITIES = ("DOWNLOAD", "UPLOAD", "DELETE", "LIST", "MANAGE")


class Ask(NamedTuple):
    """Something that a bearer tries."""

    activity: str
    path: str
    time: float


def by_dcache(texts: Sequence[str], ask: Ask) -> bool:
    """Whether dCache lets it through."""
    context = dcache.Context()
    for position, text in enumerate(texts):
        try:
            now = int(ask.time) * instants.SECOND
            context = dcache.apply(context, text, first=position == 0, client="10.1.2.3", now=now)
        except (Rejection, Breakage):
            return False
    limits, path = restriction.of(context), normal(ask.path)
    return limits.in_root(path) and limits.permits(Activity(ask.activity), path)


def by_xrootd(texts: Sequence[str], ask: Ask, *, segments: bool) -> bool:
    """Whether XRootD lets it through: every caveat must hold, and an unknown one holds never."""
    for text in texts:
        key, _, value = text.partition(":")
        if key == "activity":
            holds = ask.activity in value.split(",")
        elif key == "path" and segments:
            holds = covers(value, ask.path)
        elif key == "path":
            holds = ask.path.startswith(value)
        elif key == "before":
            try:
                end = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            except ValueError:
                return False
            holds = ask.time < end.timestamp()
        else:
            holds = key == "name"
        if not holds:
            return False
    return True


def permits(flavour: Flavour, token: str, ask: Ask, *, segments: bool = True) -> bool:
    """The verdict on a token; its signature is not in question, since both chains of HMACs are pymacaroons'."""
    texts = caveats(token)
    return by_dcache(texts, ask) if flavour == "dcache" else by_xrootd(texts, ask, segments=segments)


names = st.sampled_from(["a", "b", "ab", "a.d", "ä"])
paths = st.lists(names, max_size=4).map(lambda parts: "/" + "/".join(parts))
activities = st.frozensets(st.sampled_from(ACTIVITIES), min_size=1)
times = st.integers(-3600, 7200).filter(bool).map(lambda seconds: START + seconds)
"""Ends around `START`; at the very second dCache still takes a token, and XRootD no more."""

flavours = st.sampled_from(["dcache", "xrootd"])
asks = st.builds(Ask, st.sampled_from(ACTIVITIES), paths, st.just(START))
caveat = st.one_of(
    paths.map(lambda path: f"path:{path}"),
    st.sampled_from(
        ["path:../b", "path:..", "path:", "root:/", "root:/a", "home:/", "max-upload:9", "iid:x", "name:root"]
    ),
    activities.map(lambda some: f"activity:{','.join(sorted(some))}"),
    st.sampled_from(
        ["activity:", "activity:FLY", "activity:DOWNLOAD,READ_METADATA", "ip:10.0.0.0/8", "ip:::/0", "id:0;0;root"]
    ),
    times.map(lambda when: f"before:{instant(when)}"),
    st.text(max_size=20),
)


def parent(flavour: Flavour, path: str, some: frozenset[str], ends: float) -> str:
    """A token as the storage gives it for a path."""
    own = ["iid:12345678", "id:1000;1000;faas"] if flavour == "dcache" else ["name:platform"]
    made = Macaroon(location="Optional.empty", identifier="id", key=b"secret")
    path = path if path != "/" else ""
    for text in (
        *own,
        *([f"path:{path}"] if path else []),
        f"activity:{','.join(sorted(some))}",
        f"before:{instant(ends)}",
    ):
        made.add_first_party_caveat(text)
    return str(made.serialize())


@settings(max_examples=400, deadline=None)
@given(flavours, paths, activities, times, st.lists(caveat, max_size=4), asks, st.booleans())
@example("dcache", "/a", frozenset({"DOWNLOAD"}), START + 60, ["path:../b"], Ask("DOWNLOAD", "/b", START), True)
@example("dcache", "/a", frozenset({"DOWNLOAD"}), START + 60, ["root:/a"], Ask("DOWNLOAD", "/", START), True)
@example("xrootd", "/a", frozenset({"DOWNLOAD"}), START + 60, ["path:/"], Ask("DOWNLOAD", "/b", START), False)
def test_whatever_a_bearer_appends_opens_nothing_more(
    flavour: Flavour,
    path: str,
    some: frozenset[str],
    ends: float,
    texts: list[str],
    ask: Ask,
    segments: bool,
) -> None:
    token = parent(flavour, path, some, ends)
    wider = Macaroon.deserialize(token)
    for text in texts:
        assume("\n" not in text and text.isprintable())
        wider.add_first_party_caveat(text)
    made = wider.serialize()
    if permits(flavour, made, ask, segments=segments):
        assert permits(flavour, token, ask, segments=segments)


steps = st.lists(st.tuples(st.lists(names, max_size=2), activities, times), min_size=1, max_size=4)


@settings(max_examples=400, deadline=None)
@given(flavours, paths, activities, times, steps, asks)
def test_each_narrowing_opens_exactly_what_all_of_them_say(
    flavour: Flavour,
    path: str,
    some: frozenset[str],
    ends: float,
    chain: list[tuple[list[str], frozenset[str], float]],
    ask: Ask,
) -> None:
    # given a parent, narrowed again and again to a place below, to some of its rights, until some time
    token, place, rights, end = parent(flavour, path, some, ends), path, some, ends
    for below, wanted, until in chain:
        deeper = place.rstrip("/") + "".join(f"/{name}" for name in below) or "/"
        rights = rights & wanted
        assume(rights)
        token = narrow(token, flavour, prefix=place, path=deeper, activities=rights, expires=until)
        place, end = deeper, min(end, until)

    # then it opens what lies there, by these rights, in time, and nothing else
    listing = ask.activity == "LIST" and flavour == "dcache" and covers(ask.path, place)  # on the way there
    expected = ask.activity in rights and ask.time < int(end) and (covers(place, ask.path) or listing)
    assert permits(flavour, token, ask) == expected


@settings(max_examples=200, deadline=None)
@given(flavours, paths, paths)
def test_a_place_elsewhere_is_never_made(flavour: Flavour, prefix: str, path: str) -> None:
    assume(not covers(prefix, path))
    with pytest.raises(MacaroonError, match="is not under"):
        narrow(
            parent(flavour, prefix, frozenset({"LIST"}), START),
            flavour,
            prefix=prefix,
            path=path,
            activities=["LIST"],
            expires=START,
        )
