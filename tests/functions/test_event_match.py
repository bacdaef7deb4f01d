"""`faasctl event match`: what records would fire, what not, why not, and what it would cost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from eventflow.index import Index
from eventflow.spec import SpecError
from faasctl import bundle
from faasctl.functions import explain, matching
from faasctl.functions.matching import Candidate
from faasctl.main import main
from tests.unit.functions import make, written
from tests.unit.test_dcache import SAMPLE
from tests.unit.test_index import event as events
from tests.unit.test_index import spec as specs


def record(path: str, **changes: Any) -> dict[str, Any]:
    pnfsid = f"{abs(hash(path)):036d}"
    return {**SAMPLE, "isWrite": "write", "transferPath": path, "billingPath": path, "pnfsid": pnfsid, **changes}


def lines(*records: dict[str, Any] | str) -> list[bytes]:
    return [(each if isinstance(each, str) else json.dumps(each)).encode() for each in records]


@settings(max_examples=100, deadline=None)
@given(specs, events)
def test_there_is_a_reason_exactly_when_the_index_does_not_fire(given: Any, event: Any) -> None:
    paths, conditions, kind = given
    try:
        function = make(paths, when={"type": kind, "where": conditions}, write="/out/of/it/all")
    except SpecError:
        return
    assert bool(explain.against(function, event)) is not bool(Index([function]).match(event))


@pytest.mark.parametrize(
    ("pattern", "path", "words"),
    [
        ("/raw/{run}/*.root", "/tmp/r1/a.root", "segment 1, 'tmp', is not 'raw'"),
        ("/raw/{run}/*.root", "/raw/r1/a.txt", "segment 3, 'a.txt', is not '*.root'"),
        ("/raw/{run}/*.root", "/raw/a.root", "has 3 segments, the path has 2"),
        ("/raw/{run}/{n}", "/raw/a", "has 3 segments, the path has 2"),
        ("/raw/**/*.root", "/raw/x/y.txt", "the last segment, 'y.txt', is not '*.root'"),
        ("/raw/**/x/*.root", "/raw/a.root", "needs at least 3 segments, the path has 2"),
        ("/raw/**/x/*.root", "/raw/y/a.root", "the segments between do not fit"),
    ],
)
def test_a_path_that_does_not_match_says_where_it_differs(pattern: str, path: str, words: str) -> None:
    (reason,) = explain.against(make(pattern, write="/out"), written(path))
    assert words in reason.why


def test_every_pattern_and_every_condition_has_its_own_reason() -> None:
    function = make(
        ["/raw/{run}/*.root", "/old/{run}/*.root"],
        when={"where": {"size": [{"numeric": [">", 0]}], "storage_class": ["belle:raw"]}},
    )
    found = explain.against(function, written("/tmp/a", "storage.read", size=0), own=True)
    assert [(reason.kind, reason.key) for reason in found] == [
        ("type", "when.type"),
        ("path", "when.path[0]"),
        ("path", "when.path[1]"),
        ("where", "when.where.size"),
        ("where", "when.where.storage_class"),
        ("chained", "chained"),
    ]
    assert found[3].why == '0 is not [{"numeric": [">", 0]}]'
    assert found[4].why == 'absent is not ["belle:raw"]'


def test_a_capture_is_counted_as_the_platform_would_count_it() -> None:
    # given
    needs = {"cpus": 2, "memory": "1GB", "runtime": "30m"}
    raw = Candidate(make("/raw/{run}/*.root", name="raw", resources=needs, write="/out/{run}"))
    big = Candidate(make("/raw/**", name="big", when={"where": {"size": [{"numeric": [">", 10**12]}]}}))

    # when
    many = [record(f"/raw/r1/{i}.root", fileSize=1000) for i in range(1000)]
    answer = matching.match(lines(*many, many[0], record("/tmp/x"), SAMPLE, "{", "[]"), [raw, big])

    # then
    assert answer.records == {
        "matched": 1000,
        "duplicate": 1,
        "no_match": 1,
        "filtered: no_path": 1,
        "dead_lettered": 2,
    }
    first, second = answer.functions
    assert (first.name, first.fired, first.bytes, first.core_hours) == ("belle.raw", 1000, 1_000_000, 1000.0)
    assert (second.fired, second.not_fired["when.where.size"] >= 1000) == (0, True)
    assert len(answer.told) == matching.EXPLAINED
    assert answer.told[0].fires == {"belle.raw": "/out/r1/0.root.d/"}
    assert answer.told[0].others["belle.big"][0].key == "when.where.size"


def test_what_the_platform_wrote_fires_only_chained_functions() -> None:
    plain, chained = make("/raw/**", name="plain"), make("/raw/**", name="chained", chained=True)
    own = record("/raw/a", subject=["UserNamePrincipal[faas]"])
    (told,) = matching.match(lines(own), [Candidate(plain), Candidate(chained)], frozenset({"faas"})).told
    assert list(told.fires) == ["belle.chained"]
    assert [reason.kind for reason in told.others["belle.plain"]] == ["chained"]


def test_the_command_tells_of_a_function_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given: a record on many lines
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle.manifests() / "functions" / "calibrate", "calibrate")
    Path("one.json").write_text(json.dumps(record("/demo/in/r1/a.csv"), indent=2))
    Path("other.json").write_text(json.dumps(record("/demo/in/r1/a.txt")))

    # when
    faasctl("event", "match", "one.json", "--function", "calibrate")
    faasctl("event", "match", "other.json", "--function", "calibrate")

    # then
    out = capsys.readouterr().out
    assert "1: /demo/in/r1/a.csv\n  fires demo.calibrate -> /demo/out/r1/a.csv.d/\n" in out
    assert "  not demo.calibrate: when.path: /demo/in/{run}/{name}.csv: segment 4, 'a.txt', is not '{name}.csv'" in out


def faasctl(*words: str) -> int:
    try:
        main(words)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
