"""The embedded storage reads caveats as dCache does: verdicts of dCache's own classes, one by one.

The data is described in tests/data/dcache/README.md.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faasctl.local.storage import caveats, instant, restriction
from faasctl.local.storage.caveats import Activity, Breakage, Rejection
from faasctl.local.storage.paths import normal

DATA = Path(__file__).parents[1] / "data" / "dcache"
RECORDED_AT = instant.parse("2026-07-22T12:00:00Z")


def recorded(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def verdict(texts: list[str], client: str) -> dict[str, Any]:
    """What the stand-in makes of the caveats, in the words of the recording."""
    context = caveats.Context()
    for position, text in enumerate(texts):
        try:
            context = caveats.apply(context, text, first=position == 0, client=client, now=RECORDED_AT)
        except Rejection as rejection:
            return {"verdict": "reject", "failed_at": position, "error": str(rejection)}
        except Breakage as breakage:
            return {"verdict": "exception", "failed_at": position, "error": str(breakage)}
    allowed = context.allowed()
    return {
        "verdict": "ok",
        "context": {
            "root": None if context.root == "/" else context.root,
            "path": None if context.path == "/" else context.path,
            "home": None if context.home == "/" else context.home,
            "activities": None if allowed is None else [name for name in Activity if name in allowed],
            "maxUpload": context.max_upload,
            "expiry": None if context.expiry is None else instant.format(context.expiry),
            "iid": context.iid,
            "username": context.username,
        },
    }


def comparable(case: dict[str, Any]) -> dict[str, Any]:
    """Java prefixes what its own code breaks on with the exception's class; no class, no prefix here."""
    kept: dict[str, Any] = {name: case[name] for name in ("verdict", "failed_at", "error", "context") if name in case}
    if kept["verdict"] == "reject":
        kept.setdefault("error", None)
    if kept["verdict"] == "exception":
        kept["error"] = kept["error"].partition(": ")[2]
    return kept


def test_every_recorded_chain_of_caveats_has_dcaches_verdict_and_context() -> None:
    # given 3000 chains with the verdict of dCache's ContextExtractingCaveatVerifier
    cases = list(recorded("dcache_caveats.jsonl.gz"))

    # when the stand-in reads them
    differing = [
        (case["n"], case["caveats"], comparable(case), found)
        for case in cases
        if (found := verdict(case["caveats"], "192.0.2.7")) != comparable(case)
    ]

    # then they say the same, to the letter
    assert len(cases) == 3000
    assert differing == []


def test_every_recorded_request_is_allowed_or_denied_as_by_dcache() -> None:
    # given the accepted chains and requests made under each of them
    requests = [
        (case["n"], restriction.of(caveats.expand(case["caveats"], client="192.0.2.7", now=RECORDED_AT)), request)
        for case in recorded("dcache_caveats.jsonl.gz")
        if case["verdict"] == "ok"
        for request in case["requests"]
    ]

    # when the stand-in decides
    differing = [
        (number, request)
        for number, bounds, request in requests
        if bounds.permits(Activity(request["op"]), normal(request["path"])) != request["allowed"]
        or bounds.in_root(normal(request["path"])) != request["in_root"]
    ]

    # then it decides alike
    assert len(requests) > 5000
    assert differing == []


def test_a_restriction_prints_as_dcaches() -> None:
    for case in recorded("dcache_caveats.jsonl.gz"):
        if case["verdict"] == "ok":
            context = caveats.expand(case["caveats"], client="192.0.2.7", now=RECORDED_AT)
            # a composite keeps no order of its own: compare the parts
            assert parts(str(restriction.of(context))) == parts(case["restriction"])


def parts(text: str) -> set[str]:
    if text.startswith("CompositeRestriction["):
        text = text.removeprefix("CompositeRestriction[").removesuffix("]")
    return set(text.replace("], ", "]|").split("|"))


def ip_verdict(texts: list[str], client: str) -> dict[str, Any]:
    """What dCache's ClientIPCaveatVerifier says, which was recorded alone: it accepts nothing but ``ip``."""
    for position, text in enumerate(texts):
        try:
            if caveats.parse(text)[0] != "ip":
                return {"verdict": "reject", "failed_at": position, "error": None}
            caveats.check_client(text, client)
        except Rejection as rejection:
            return {"verdict": "reject", "failed_at": position, "error": str(rejection)}
        except Breakage as breakage:
            return {"verdict": "exception", "failed_at": position, "error": str(breakage)}
    return {"verdict": "ok"}


def test_every_recorded_ip_caveat_has_dcaches_verdict() -> None:
    # given 300 chains of ip caveats with clients of both address families
    cases = list(recorded("dcache_ip.jsonl.gz"))

    # when the stand-in compares
    differing = [
        (case["client"], case["caveats"], comparable(case), found)
        for case in cases
        if (found := ip_verdict(case["caveats"], case["client"])) != comparable(case)
    ]

    # then it lets the same clients in
    assert len(cases) == 300
    assert differing == []


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("PT1H", 3600 * 10**9),
        ("pt1h", 3600 * 10**9),
        ("P1DT2H3M4.5S", 93_784_500_000_000),
        ("-PT1H", -3600 * 10**9),
        ("PT0S", 0),
        ("PT-0.5S", -500_000_000),
    ],
)
def test_durations_are_read_as_by_java(text: str, nanoseconds: int) -> None:
    assert instant.parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "P", "PT", "P1Y", "P1W", "1H", "PT1H ", " PT1H", "PT1H2", "P1DT"])
def test_what_java_calls_no_duration_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="Text cannot be parsed to a Duration"):
        instant.parse_duration(text)
