"""What `faasctl fn check` finds in code, before a worker or OpenWhisk's runtime trips over it."""

from pathlib import Path
from typing import Any

import pytest

from faasctl.functions.code import Finding, check_code
from tests.unit.functions import make

LIGHT = {"main": "f.py", "backend": "openwhisk"}


def found(folder: Path, code: bytes | str, run: dict[str, Any] | None = None, **changes: Any) -> list[Finding]:
    (folder / "f.py").write_bytes(code if isinstance(code, bytes) else code.encode())
    return check_code(folder, make(run=run or {"main": "f.py"}, **{"write": "/out/{run}", **changes}))


@pytest.mark.parametrize(
    "code",
    [
        "def main(event): return {}",
        "def main(event, context=None): return {}",
        "def main(*args): return {}",
        "from x import main",
        "try:\n    main = object()\nexcept Exception: pass",
        "class main:\n    def __init__(self, event): pass",
        "def main(event):\n    def inner():\n        yield 1\n    return {}",
        "#!/usr/bin/env python3\ndef main(event): return {}",
    ],
)
def test_code_that_works_is_accepted(tmp_path: Path, code: str) -> None:
    assert found(tmp_path, code) == []


@pytest.mark.parametrize(
    ("code", "line", "words"),
    [
        ("x = 1\ndef main(event:\n", ":2", "no valid Python"),
        ("def mian(event): pass", "f.py", "functions there: mian"),
        ("async def main(event): pass", ":1", "async"),
        ("\ndef main(event):\n    yield {}", ":2", "generator"),
        ("def main(): pass", ":1", "one argument"),
        ("def main(a, b): pass", ":1", "one argument"),
        ("def main(event, *, now): pass", ":1", "one argument"),
        (b"# gr\xfc\xdfe\ndef main(event): pass", ":1", "no UTF-8"),
        ("x = '\0'\ndef main(event): pass", ":1", "no valid Python"),
    ],
)
def test_code_that_cannot_work_is_named_with_its_line(tmp_path: Path, code: str | bytes, line: str, words: str) -> None:
    # when
    (finding,) = found(tmp_path, code)

    # then
    assert finding.fatal
    assert finding.where.endswith(line)
    assert words in f"{finding.why} {finding.hint}"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("#!/usr/bin/env python3\ndef main(event): return {}", "starts with #!"),
        (b"\xef\xbb\xbfdef main(event): return {}", "byte order mark"),
        ('def main(event): return {"x": "\\d"}', "invalid escape sequence"),
    ],
)
def test_what_only_the_runtime_of_openwhisk_refuses_is_fatal_for_light_functions(
    tmp_path: Path, code: str | bytes, words: str
) -> None:
    assert [words in finding.why and finding.fatal for finding in found(tmp_path, code, LIGHT)] == [True]
    assert not any(finding.fatal for finding in found(tmp_path, code))


@pytest.mark.parametrize(("name", "run", "fatal"), [("json.py", LIGHT, True), ("csv.py", None, False)])
def test_a_file_that_hides_a_module_of_python_is_named(
    tmp_path: Path, name: str, run: dict[str, Any] | None, fatal: bool
) -> None:
    (tmp_path / name).write_text("")
    (finding,) = found(tmp_path, "def main(event): return {}", run)
    assert (finding.fatal, finding.where) == (fatal, str(tmp_path / name))


def test_a_main_that_is_not_there_lists_the_files_that_are(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("")
    (finding,) = check_code(tmp_path, make(write="/out/{run}"))
    assert "other.py" in finding.hint


def test_a_command_must_be_there_and_executable(tmp_path: Path) -> None:
    # given
    function = make(run={"command": ["./x"]}, write="/out/{run}")
    assert "not in the folder" in check_code(tmp_path, function)[0].why

    # when
    (tmp_path / "x").write_text("#!/bin/sh\n")

    # then
    assert "not executable" in check_code(tmp_path, function)[0].why
    (tmp_path / "x").chmod(0o755)
    assert check_code(tmp_path, function) == []


@pytest.mark.parametrize(
    ("path", "write", "warned"),
    [
        ("/in/{run}/{name}.root", "/out/{run}", False),
        ("/in/a/*.root", "/out", False),
        ("/in/{run}/*.root", "/out", True),
        ("/in/*/x.root", "/out", True),
        ("/in/**", "/out", True),
        ("/in/**/x.root", "/out", True),
    ],
)
def test_inputs_of_one_name_that_share_an_output_directory_are_a_warning(
    tmp_path: Path, path: str, write: str, warned: bool
) -> None:
    findings = found(tmp_path, "def main(event): return {}", path=path, write=write)
    assert [finding.fatal for finding in findings] == [False] * warned
