"""Globs and templates: what matches, what is captured, what is refused, and at what cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventflow.errors import ItemError
from eventflow.overlap import Comparison
from eventflow.pattern import Glob, Template, expand, parse_glob, split
from eventflow.spec import SpecError
from tests.unit.naive import naive_match
from tests.unit.steps import steps


def captures(pattern: str, path: str) -> dict[str, str] | None:
    return parse_glob(pattern).match(split(path))


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/a/b", "/a/b", {}),
        ("/a/b", "/a/bc", None),
        ("/a/*.root", "/a/x.root", {}),
        ("/a/*.root", "/a/.root", {}),
        ("/a/*.root", "/a/b/x.root", None),
        ("/a/x*y*z", "/a/x-yy-z", {}),
        ("/a/x*yx", "/a/xyx", {}),
        ("/a/xy*yx", "/a/xyx", None),
        ("/a/**", "/a/x", {}),
        ("/a/**", "/a/x/y/z", {}),
        ("/a/**", "/a", None),
        ("/a/**/b", "/a/b", {}),
        ("/a/**/b", "/a/x/y/b", {}),
        ("/a/**/b/*/**/c", "/a/b/b/x/c", {}),
        ("/**/raw/{run}/*.root", "/x/raw/raw/r1/f.root", {"run": "r1"}),
        ("/a/{run}/{name}.root", "/a/r1/f.root", {"run": "r1", "name": "f"}),
        ("/a/{run}-{n}.root", "/a/r-1-2.root", {"run": "r", "n": "1-2"}),
        ("/a/{run}.root", "/a/.root", None),
        ("/a/{x}.root", "/a/...root", None),
        ("/a/{x}.root", "/a/..root", None),
        ("/a/{x}.root", "/a/....root", {"x": "..."}),
        (r"/a/\{x\}\*\?", "/a/{x}*?", {}),
        ("/a/Ä*", "/a/Äpfel", {}),
        ("/a/b", "/a/b/", {}),
    ],
)
def test_matching(pattern: str, path: str, expected: dict[str, str] | None) -> None:
    assert captures(pattern, path) == expected


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("a/b", "no absolute path"),
        ("/a/", "ends in '/'"),
        ("/a//b", "empty"),
        ("/a/../b", "'..'"),
        ("/a/b**", "not alone"),
        ("/a/**/**/b", "one ** after another"),
        ("/a/?.root", r"write \? for itself"),
        ("/a/[ab]", r"write \[ for itself"),
        ("/a/{x", "no capture"),
        ("/a/x}", r"\}"),
        ("/a/{}", "no capture"),
        ("/a/{a b}", "no capture"),
        ("/a/{x}{y}", "side by side"),
        ("/a/{x}*", "side by side"),
        ("/a/{x}/{x}", "twice"),
        ("/a/\\", "a lone"),
        ("/a/\x01", "control character"),
        ("/" + "a" * 2000, "longer"),
        ("/a" * 60, "longer"),
    ],
)
def test_a_bad_pattern_says_why(pattern: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_glob(pattern, ("when", "path", 0))
    assert words in f"{caught.value} {caught.value.hint}"
    assert str(caught.value).startswith("when.path[0]: ")


segments = st.lists(st.sampled_from(["a", "b", ".", "*", "{x}", "ab"]), min_size=1, max_size=5).map("".join)
patterns = st.lists(segments | st.just("**"), min_size=1, max_size=6).map(lambda parts: "/" + "/".join(parts))
paths = st.lists(st.text(alphabet="ab.", min_size=1, max_size=6), min_size=1, max_size=6).map(tuple)


def numbered(pattern: str) -> Glob | None:
    """The glob with its captures named apart, or None where the text is no pattern."""
    for i in range(pattern.count("{x}")):
        pattern = pattern.replace("{x}", f"{{c{i}}}", 1)
    try:
        return parse_glob(pattern)
    except SpecError:
        return None


@given(patterns, paths)
def test_matching_agrees_with_trying_everything(pattern: str, path: tuple[str, ...]) -> None:
    # given
    glob = numbered(pattern)
    if glob is None or any(part in (".", "..") for part in path):
        return

    # when
    found = glob.match(path)

    # then: captures of dots alone are refused on top
    if found is None:
        dots = glob.captures and any(part.startswith(".") or "." in part for part in path)
        assert dots or not naive_match(glob, path)
    else:
        assert naive_match(glob, path)
        assert found.keys() == glob.captures
        assert not {"", ".", ".."} & set(found.values())


@given(patterns, patterns, paths)
def test_patterns_that_share_a_path_are_known_to_overlap(left: str, right: str, path: tuple[str, ...]) -> None:
    # given
    one, other = numbered(left), numbered(right)
    if one is None or other is None:
        return

    # when
    example = Comparison(100_000).common_path(one, other)

    # then
    if example is None:
        assert not (naive_match(one, path) and naive_match(other, path))
    else:
        assert naive_match(one, tuple(split(example)))
        assert naive_match(other, tuple(split(example)))


@pytest.mark.parametrize(
    ("pattern", "unit"),
    [
        ("/" + "*a" * 60 + "b", "a"),
        ("/" + "*ab" * 60, "aab"),
        ("/" + "a".join(f"{{c{i}}}" for i in range(20)) + "b", "a"),
        ("/**/a/**/a/**/a/**/a/**/b", "a/"),
        ("/**/" + "a/" * 20 + "b/**/c", "a/"),
        ("/**" + "/*a*a*a*b/**" * 8, "aaa/"),
    ],
)
def test_the_cost_of_no_pattern_grows_faster_than_the_path(pattern: str, unit: str) -> None:
    # given
    glob = parse_glob(pattern)
    short, long = (split("/" + unit * n + "x") for n in (200, 800))

    # when
    few, many = (steps(lambda path=path: glob.match(path)) for path in (short, long))  # type: ignore[misc]

    # then
    assert many <= 4.5 * few
    assert many < 400_000


def test_templates_are_filled_in() -> None:
    assert expand("/out/{run}/{name}-v1/", {"run": "r1", "name": "x"}) == "/out/r1/x-v1/"
    assert Template("/out/a/{run}/b").literal_directory == "/out/a"
    assert parse_glob("/in/{run}/*.root").literal_directory == "/in"


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "/", "../../etc"])
def test_a_capture_never_leaves_its_segment(value: str) -> None:
    with pytest.raises(ItemError) as caught:
        expand("/out/{run}/x", {"run": value})
    assert caught.value.code == "bad_path"


@pytest.mark.parametrize(("template", "value"), [("/out/{a}.", "."), ("/out/{a}", "x\ny"), ("/out/{b}", "x")])
def test_what_is_filled_in_is_checked_as_a_whole(template: str, value: str) -> None:
    with pytest.raises(ItemError) as caught:
        expand(template, {"a": value})
    assert caught.value.code == "bad_path"
