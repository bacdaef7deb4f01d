"""The index finds what matching every function one by one finds, at a cost that hardly grows with their number."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventflow.function import Function, globs
from eventflow.index import Index
from eventflow.pattern import split
from eventflow.spec import SpecError
from eventflow.where import compile_where
from tests.unit.functions import make, written
from tests.unit.steps import steps


def one_by_one(functions: list[Function], event: Any) -> list[tuple[Function, dict[str, str]]]:
    found = []
    for each in functions:
        conditions = compile_where(each.when.where)
        if each.when.type != event.type or not all(c.holds(c.value(event.data)) for c in conditions):
            continue
        fitting = [captures for glob in globs(each) if (captures := glob.match(split(event.subject))) is not None]
        if fitting:
            found.append((each, fitting[0]))
    return found


word = st.sampled_from(["a", "b", "ab", "*", "{x}", "a*", "*.b", "{y}.b", "a{z}b", "**"])
path = st.lists(word, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
where = st.sampled_from(
    [
        {},
        {"size": [1]},
        {"size": [{"numeric": [">", 1]}]},
        {"storage_class": ["s", "t"]},
        {"principal": {"gids": [5, 6]}},
        {"extra": {"ok": [True]}},
        {"extra": {"ok": [1]}},
        {"pnfsid": [{"exists": False}]},
    ]
)
spec = st.tuples(st.lists(path, min_size=1, max_size=3), where, st.sampled_from(["storage.written", "storage.read"]))
event = st.builds(
    lambda parts, kind, size, storage_class, gids, ok: written(
        "/" + "/".join(parts), kind, size=size, storage_class=storage_class, principal={"gids": gids}, extra={"ok": ok}
    ),
    st.lists(st.sampled_from(["a", "b", "ab", "aab", "x.b", "acb"]), min_size=1, max_size=5),
    st.sampled_from(["storage.written", "storage.read"]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "s", "u"]),
    st.lists(st.integers(4, 7), max_size=3),
    st.sampled_from([None, True, 1]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(spec, max_size=40), st.lists(event, min_size=1, max_size=10))
def test_the_index_agrees_with_matching_one_by_one(specs: list[Any], events: list[Any]) -> None:
    # given
    functions = []
    for i, (paths, conditions, kind) in enumerate(specs):
        try:
            functions.append(
                make(paths, name=f"f{i}", when={"type": kind, "where": conditions}, write="/out/of/it/all")
            )
        except SpecError:  # no pattern, or one that would match the output
            continue

    # when
    index = Index(functions)

    # then
    for each in events:
        assert [(m.function, m.captures) for m in index.match(each)] == one_by_one(functions, each)
        assert index.wants(each.type, each.subject) == any(
            glob.match(split(each.subject)) is not None
            for function in functions
            if function.when.type == each.type
            for glob in globs(function)
        )


def tenants(i: int) -> Function:
    return make(f"/pnfs/desy.de/ns{i // 10}/raw{i % 10}/{{run}}/{{name}}.root", name=f"f{i}")


def runs(i: int) -> Function:
    return make(f"/pnfs/{{exp}}/{{year}}/run{i:05}-*.root", name=f"f{i}")


def suffixes(i: int) -> Function:
    return make(f"/pnfs/**/*.x{i:05}", name=f"f{i}")


def classes(i: int) -> Function:
    return make("/pnfs/**", name=f"f{i}", when={"where": {"storage_class": [f"vo{i}:raw"]}})


EVENTS = {
    tenants: written("/pnfs/desy.de/ns0/raw3/r1/f.root"),
    runs: written("/pnfs/belle/2026/run00003-1.root"),
    suffixes: written("/pnfs/belle/2026/f.x00003"),
    classes: written("/pnfs/belle/2026/f", storage_class="vo3:raw"),
}


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_ten_thousand_functions_cost_hardly_more_than_ten(kind: Any) -> None:
    # given
    small, large = Index(kind(i) for i in range(10)), Index(kind(i) for i in range(10_000))
    hit, miss = EVENTS[kind], written("/pnfs/desy.de/elsewhere/raw3/r1/f.txt")
    assert [m.function.name for m in large.match(hit)] == ["f3"]
    assert large.match(miss) == []

    # then
    assert steps(lambda: large.match(hit)) <= 1.5 * steps(lambda: small.match(hit))
    assert steps(lambda: large.match(miss)) <= 1.5 * steps(lambda: small.match(miss))


def test_functions_come_in_their_order_and_once() -> None:
    # given
    both = make(["/raw/*/x.root", "/raw/{run}/*"], name="both")
    other = make("/raw/**", name="other")

    # when
    found = Index([other, both]).match(written("/raw/r1/x.root"))

    # then: of two patterns the first that fits
    assert [(m.function.name, m.captures) for m in found] == [("other", {}), ("both", {})]


def test_an_event_of_another_type_fires_nothing() -> None:
    assert Index([make("/raw/**")]).match(written("/raw/x", "storage.removed")) == []
