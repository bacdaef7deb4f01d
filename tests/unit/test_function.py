"""Decoding a function: canonical values, and errors that name the key and say what to do."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventflow import function
from eventflow.spec import SpecError, key_text
from tests.unit.functions import make, source
from tests.unit.steps import steps


def refused(plain: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        function.decode(plain)
    return caught.value


def test_sizes_durations_and_paths_become_plain_values() -> None:
    # when
    needs = {"memory": "2GB", "disk": "auto", "runtime": "1h30m"}
    found = make(resources=needs, write="/out/{run}")

    # then
    assert found.resources.memory == 2 * 10**9
    assert found.resources.disk is None
    assert found.resources.runtime == 5400
    assert found.when.path == ("/raw/{run}/{name}.root",)
    assert found.write == "/out/{run}/"
    assert found.full_name == "belle.calibrate"


@pytest.mark.parametrize(
    ("text", "size"),
    [("1.5GB", 1_500_000_000), ("1 GiB", 2**30), ("500MB", 500 * 10**6), (10**6, 10**6), ("1024kB", 1_024_000)],
)
def test_sizes(text: object, size: int) -> None:
    assert make(resources={"memory": text}).resources.memory == size


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"nmae": "x"}, "nmae", "did you mean 'name'?"),
        ({"on": {}}, "on", "write when:"),
        ({"when": {"typ": "x"}}, "when.typ", "did you mean 'type'?"),
        ({"when": {"type": "storage.writen"}}, "when.type", "did you mean 'storage.written'?"),
        ({"contact": "a\nb"}, "contact", "control character"),
        ({"name": "a.b"}, "name", "no dot"),
        ({"name": "a" * 65}, "name", "at most 64"),
        ({"name": 5}, "name", "must be a string"),
        ({"namespace": "default"}, "namespace", "choose another name"),
        ({"run": {"main": "x.py", "python": 3.1}}, "run.python", 'quote it: "3.11"'),
        ({"run": {"main": "../x.py"}}, "run.main", "no Python file in the function's folder"),
        ({"run": {"main": "/x.py"}}, "run.main", "no Python file in the function's folder"),
        ({"run": {}}, "run", "either main or command"),
        ({"run": {"main": "x.py", "command": ["./x"]}}, "run", "either main or command"),
        ({"run": {"command": ["./x", "{inptu}"]}}, "run.command[1]", "did you mean 'input'?"),
        ({"path": "/raw/{input}"}, "when.path[0]", "choose another name"),
        ({"run": {"main": "x.py", "env": {"A": 1}}}, "run.env.A", "must be a string"),
        ({"run": {"main": "x.py", "backend": "slurm"}}, "run.backend", "slurm"),
        ({"run": {"main": "x.py", "backend": "openwhisk", "setup": "/s.sh"}}, "run.setup", "light function"),
        ({"run": {"main": "x.py", "backend": "openwhisk"}, "resources": {"runtime": "1h"}}, "resources.runtime", "40s"),
        (
            {"run": {"main": "x.py", "backend": "openwhisk"}, "resources": {"memory": "2GB"}},
            "resources.memory",
            "512MB",
        ),
        ({"resources": {"memory": 2048}}, "resources.memory", "give the unit"),
        ({"resources": {"memory": "2 gigs"}}, "resources.memory", "2GB"),
        ({"resources": {"runtime": "0s"}}, "resources.runtime", "between"),
        ({"resources": {"runtime": ""}}, "resources.runtime", "no duration"),
        ({"resources": {"cpus": "2"}}, "resources.cpus", "expected `int`"),
        ({"resources": {"cpus": 0}}, "resources.cpus", ">= 1"),
        ({"retries": True}, "retries", "expected `int`"),
        ({"inputs": {"c": "/x/{rnu}.json"}}, "inputs.c", "captured there: {name}, {run}"),
        ({"inputs": {"a b": "/x"}}, "inputs", "regex"),
        ({"write": "out"}, "write", "no absolute path"),
        ({"write": "/out/*"}, "write", "no '*'"),
        ({"write": "/out/../x"}, "write", "'..'"),
        ({"params": {"x": "y" * 70_000}}, "params", "more than"),
        ({"when": {"where": {"storge_class": ["x"]}}}, "when.where.storge_class", "'storage_class'"),
        ({"when": {"where": {"size": [{"numric": [">", 1]}]}}}, "when.where.size[0].numric", "'numeric'"),
        ({"when": {"where": {"size": 5}}}, "when.where.size", "write size: [5]"),
        ({"path": ["/raw/a", "/raw/[ab]"]}, "when.path[1]", r"write \[ for itself"),
        ({"path": []}, "when.path", "length >= 1"),
        ({"path": [1]}, "when.path[0]", "expected `str`"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(changes: dict[str, Any], key: str, words: str) -> None:
    # when
    error = refused(source(**changes))

    # then
    assert key_text(error.key) == key
    assert words in f"{error} {error.hint}"


@pytest.mark.parametrize("missing", ["name", "namespace", "contact", "when", "run", "write"])
def test_a_missing_key_is_named(missing: str) -> None:
    # given
    plain = source()
    del plain[missing]

    # then
    assert repr(missing) in refused(plain).why


@pytest.mark.parametrize("plain", [None, [], "x", 5, {"when": None}, {1: 2}])
def test_what_is_no_function_at_all_is_refused(plain: Any) -> None:
    assert refused(plain).why


@pytest.mark.parametrize(
    ("path", "write"),
    [
        ("/data/**", "/data/out"),
        ("/data/**/*.root", "/data/out/"),
        ("/**/*.root", "/elsewhere"),
        ("/data/{run}/{file}.d/result", "/data/{run}"),
        (["/in/{x}", "/out/{y}.d/_faas/result.json"], "/out"),
        ("/{a}/{b}/{c}", "/{a}"),
    ],
)
def test_a_function_that_would_feed_itself_is_refused(path: str | list[str], write: str) -> None:
    # given
    if isinstance(path, list):
        path = [p.replace("{y}", "*").replace("{x}", "*") for p in path]

    # when
    error = refused(source(path, write=write))

    # then: with an example of a file that would do it
    assert "run for ever" in error.why
    assert "such as /" in error.why


@pytest.mark.parametrize(
    ("path", "write"),
    [
        ("/data/raw/**", "/data/out"),
        ("/data/{run}/*.root", "/data/{run}"),  # output is one level further down
        ("/data/**/*.root", "/data2"),
        ("/{a}/raw/*.root", "/{a}/calibrated"),
    ],
)
def test_a_function_that_cannot_feed_itself_is_accepted(path: str, write: str) -> None:
    assert make(path, write=write).write == write + "/"


def test_a_command_may_use_captures_and_braces_of_its_own() -> None:
    # given
    command = ["./x", "{input}", "{inputs.c}", "{output}/{name}.out", "awk '{print $1} {} {{'"]

    # then
    assert make(run={"command": command}, inputs={"c": "/c"}).run.command == tuple(command)


def test_a_light_function_need_not_write() -> None:
    # given
    plain = source(run={"main": "note.py", "backend": "openwhisk"})
    del plain["write"]

    # when
    found = function.decode(plain)

    # then
    assert found.write is None
    assert function.decode(function.encode(found)) == found


def test_patterns_that_would_take_long_to_compare_are_refused_at_once() -> None:
    # given: two segments of 400 wildcards each that differ only at their ends
    intricate = "*a" * 400
    plain = source([f"/out/{intricate}b/x", f"/in/{intricate}c"])

    # when
    spent = steps(lambda: refused(plain))

    # then
    assert "too intricate" in refused(plain).why
    assert spent < 10_000_000


def test_each_input_has_its_own_output_directory() -> None:
    # given
    found = make(write="/out/{run}")

    # when
    directory = function.output_directory(found, {"run": "r1", "name": "x"}, "/raw/r1/x.root")

    # then
    assert directory == "/out/r1/x.root.d/"


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(lambda name: name != "default")


@given(
    name=names,
    namespace=names,
    params=st.dictionaries(st.text(max_size=8), json, max_size=4),
    inputs=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.just("/c/{run}.json"), max_size=3),
    run=st.sampled_from(
        [
            {"main": "a/b.py"},
            {"main": "a.py", "python": "3.12", "env": {"A": "1"}},
            {"command": ["./x", "{input}", "{output}"], "image": "/cvmfs/i", "setup": "/s.sh"},
            {"main": "a.py", "backend": "openwhisk"},
        ]
    ),
    resources=st.fixed_dictionaries(
        {},
        optional={
            "cpus": st.integers(1, 64),
            "memory": st.integers(10**6, 10**12) | st.sampled_from(["2GB", "1.5 GiB"]),
            "disk": st.sampled_from([None, "auto", "10GB", 10**9]),
            "runtime": st.integers(1, 86400) | st.sampled_from(["1h", "2d", "1h30m10s"]),
            "gpus": st.integers(0, 4),
        },
    ),
    limits=st.fixed_dictionaries(
        {}, optional={"max_idle": st.integers(1, 9), "max_running": st.none() | st.integers(1, 9)}
    ),
    chained=st.booleans(),
)
def test_what_is_encoded_decodes_to_the_same_function(resources: dict[str, Any], **changes: Any) -> None:
    # given
    if changes["run"].get("backend") == "openwhisk":
        resources = {"memory": "300MB", "runtime": 20}
    found = make(resources=resources, **changes)

    # when
    encoded = function.encode(found)

    # then
    assert function.decode(encoded) == found
    assert function.encode(function.decode(encoded)) == encoded


EVERYTHING: dict[str, Any] = {
    **source(
        ["/raw/{run}/*.root", "/raw2/{run}/**"], when={"type": "storage.read", "where": {"size": [1, {"exists": True}]}}
    ),
    "run": {"command": ["./x", "{input}"], "env": {"A": "b"}, "image": "/i", "setup": "/s"},
    "inputs": {"c": "/c/{run}"},
    "params": {"a": [1]},
    "resources": {"cpus": 1, "memory": "2GB", "disk": "auto", "runtime": "1h", "gpus": 0},
    "limits": {"max_idle": 5, "max_running": 2},
    "retries": 1,
    "chained": True,
}


def places(value: Any, key: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a nested value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [key, *(place for name, each in inner for place in places(each, (*key, name)))]


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = replaced(value[place[0]], place[1:], new)
    return copy


@given(st.sampled_from(places(EVERYTHING)), json | st.text(alphabet="/{}*\\ab.:\0\n", max_size=12))
def test_whatever_stands_in_a_specification_it_is_decoded_or_refused(place: tuple[Any, ...], new: Any) -> None:
    with contextlib.suppress(SpecError):
        function.decode(replaced(EVERYTHING, place, new))
