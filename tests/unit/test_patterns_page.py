"""Every example of docs/patterns.md is true."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventflow.function import output_directory
from eventflow.index import Index
from eventflow.pattern import parse_glob, split
from eventflow.spec import SpecError
from faasctl import strict_yaml
from tests.unit.functions import make, written

PAGE = Path(__file__).resolve().parents[2] / "docs" / "patterns.md"


def blocks(kind: str) -> list[list[str]]:
    """The lines of every fenced block of that kind."""
    found = re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in found]


def columns(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def examples(kind: str) -> Iterator[tuple[str, str, str]]:
    """Of blocks with a heading line: (heading, example, what it says)."""
    for heading, *lines in blocks(kind):
        for line in lines:
            example, claim = columns(line)
            yield heading, example, claim


@pytest.mark.parametrize(("pattern", "path", "claim"), list(examples("path")))
def test_paths(pattern: str, path: str, claim: str) -> None:
    # when
    captures = parse_glob(pattern).match(split(path))

    # then
    if claim == "does not match":
        assert captures is None
    elif claim == "matches":
        assert captures == {}
    else:
        assert captures == dict(each.split("=") for each in claim.split())


@pytest.mark.parametrize("line", [line for block in blocks("refused") for line in block])
def test_refusals(line: str) -> None:
    pattern, _, why = line.partition(" ")
    with pytest.raises(SpecError) as caught:
        parse_glob(pattern)
    assert why.strip() in caught.value.why


@pytest.mark.parametrize(("where", "data", "claim"), list(examples("where")))
def test_conditions(where: str, data: str, claim: str) -> None:
    # given
    conditions, facts = (strict_yaml.parse(text.encode(), "page").value for text in (where, data))

    # when
    matches = Index([make(when={"where": conditions})]).match(written("/raw/r/x.root", **facts))

    # then
    assert claim == ("fires" if matches else "does not fire")


def test_output_directories() -> None:
    for when, write, *lines in blocks("output"):
        function = make(when.removeprefix("when "), write=write.removeprefix("write "))
        for line in lines:
            subject, directory = columns(line)
            (match,) = Index([function]).match(written(subject))
            assert output_directory(function, match.captures, subject) == directory


@pytest.mark.parametrize("line", [line for block in blocks("feeds-itself") for line in block])
def test_functions_that_feed_themselves(line: str) -> None:
    path, write, claim = columns(line)
    if claim == "accepted":
        make(path, write=write)
    else:
        with pytest.raises(SpecError, match="run for ever"):
            make(path, write=write)


def test_the_page_has_its_examples() -> None:
    kinds = ("path", "refused", "where", "output", "feeds-itself")
    assert all(blocks(kind) for kind in kinds)
    assert sum(len(block) for kind in kinds for block in blocks(kind)) > 40
