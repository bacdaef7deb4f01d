"""YAML 1.2 core scalars, bounded documents, and errors that name file and line."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasctl import strict_yaml
from faasctl.strict_yaml import YamlError


def value(text: str) -> object:
    return strict_yaml.parse(text.encode(), "f.yaml").value


def refused(content: str | bytes) -> YamlError:
    raw = content.encode() if isinstance(content, str) else content
    with pytest.raises(YamlError) as caught:
        strict_yaml.parse(raw, "f.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-3", -3),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-11-21", "2026-11-21"),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("3.11", 3.11),
        ("'3.11'", "3.11"),
        ("!!str 5", "5"),
        ("=", "="),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, meant: object) -> None:
    # when
    found = value(f"x: {text}\n")

    # then
    assert found == {"x": meant}
    assert isinstance(found, dict)
    assert type(found["x"]) is type(meant)


def test_every_key_knows_its_line() -> None:
    # given
    text = "name: a\nwhen:\n  path:\n    - /a\n    - /b\n  where: {size: [1,\n   2]}\n"

    # when
    document = strict_yaml.parse(text.encode(), "f.yaml")

    # then
    assert document.where(("when", "path", 1)) == "f.yaml:5"
    assert document.where(("when", "where", "size", 1)) == "f.yaml:7"
    assert document.where(("when", "absent")) == "f.yaml:2"
    assert document.where() == "f.yaml:1"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "stands twice, first in line 1"),
        ("a:\n\tb: 1\n", 2, "a tab"),
        ("a: [1\nb: 2\n", 2, "no YAML"),
        ("a: 1\n---\nb: 1\n", 2, "second document"),
        ("1: a\n", 1, "no plain string"),
        ("? [a]\n: b\n", 1, "a key must be a plain string"),
        ("a: &x {b: 1}\n<<: *x\n", 2, "merge keys"),
        ("a: *x\n", 1, "no anchor"),
        ("a: &x [*x]\n", 1, "no anchor"),
        ("a: !!python/object:os.system x\n", 1, "not allowed"),
        ("a: !secret x\n", 1, "not allowed"),
        ("a: !!int x\n", 1, "is no int"),
        ("a: .inf\n", 1, "finite"),
        ("a: 1e999\n", 1, "finite"),
        ("a: 99999999999999999999\n", 1, "64 bit"),
        ("a: " + "9" * 9999 + "\n", 1, "64 bit"),
        ("a: " + "[" * 100 + "]" * 100, 1, "nested deeper"),
        ("a: x\x07y\n", 1, "does not allow"),
    ],
)
def test_what_is_refused_names_its_line(text: str, line: int, words: str) -> None:
    # when
    error = refused(text)

    # then
    assert error.where == f"f.yaml:{line}"
    assert words in error.why


def test_bytes_that_are_no_utf_8_name_their_line() -> None:
    assert refused(b"a: 1\nb: \xff\n").where == "f.yaml:2"


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert strict_yaml.parse(b"\xef\xbb\xbfa: 1\n", "f.yaml").value == {"a": 1}


def test_an_alias_bomb_is_refused_before_it_expands() -> None:
    # given: nine levels of ten aliases each, a thousand million values
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in range(1, 10):
        text += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n"

    # then
    assert "more than" in refused(text).why


def test_a_file_that_is_too_large_or_not_there_is_an_error(tmp_path: Path) -> None:
    assert "larger" in refused(b"#" * (strict_yaml.MAX_BYTES + 1)).why
    with pytest.raises(YamlError, match="No such file"):
        strict_yaml.read(tmp_path / "absent.yaml")


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,? \n\t0.x", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_but_never_crash(content: bytes) -> None:
    with contextlib.suppress(YamlError):
        strict_yaml.parse(content, "f.yaml")
