"""Folders that are wrong in every way: each is refused with what is wrong and where, and nothing is run or packed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from faasctl.main import main

SPEC = """\
name: f
namespace: demo
contact: me
when: {path: '/demo/in/*.txt'}
run: {main: f.py}
write: /demo/out
"""
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


def spec(content: str | bytes) -> Callable[[Path], None]:
    raw = content.encode() if isinstance(content, str) else content

    def spoil(folder: Path) -> None:
        (folder / "function.yaml").write_bytes(raw)

    return spoil


def of_100_mb(folder: Path) -> None:
    with (folder / "table.bin").open("wb") as file:
        file.truncate(100 << 20)


def link_out(folder: Path) -> None:
    (folder.parent / "secret").write_text("x")
    (folder / "secret").symlink_to(folder.parent / "secret")


def main_is_a_link_out(folder: Path) -> None:
    (folder.parent / "f.py").write_text("def main(event): return {}\n")
    (folder / "f.py").unlink()
    (folder / "f.py").symlink_to(folder.parent / "f.py")


def folder_is_a_link_out(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder.parent / "elsewhere" / "secret").write_text("x")
    (folder / "data").symlink_to(folder.parent / "elsewhere")


BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a YAML bomb": (spec(BOMB), "function.yaml", "more than"),
    "a key twice": (spec(SPEC + "name: g\n"), "function.yaml:7", "stands twice, first in line 1"),
    "a tab": (spec(SPEC.replace("contact: me", "contact:\n\t- me")), "function.yaml:4", "a tab"),
    "no UTF-8": (spec(SPEC.encode().replace(b"contact: me", b"contact: J\xf6rg")), "function.yaml:3", "UTF-8"),
    "an empty file": (spec(""), "function.yaml", "must be"),
    "a list": (spec("- name\n"), "function.yaml", "must be a mapping"),
    "an absolute main": (spec(SPEC.replace("f.py", "/etc/f.py")), "function.yaml:5", "in the function's folder"),
    "a main above": (spec(SPEC.replace("f.py", "../f.py")), "function.yaml:5", "in the function's folder"),
    "a link out": (link_out, "secret", "is a link to outside of its folder"),
    "a main that is a link out": (main_is_a_link_out, "f.py", "is a link to outside of its folder"),
    "a folder that is a link": (folder_is_a_link_out, "data", "is a link to a folder, which does not travel"),
    "a pipe": (lambda folder: os.mkfifo(folder / "pipe"), "pipe", "is no file that could be packed"),
    "a link to nothing": (lambda folder: (folder / "x").symlink_to(folder / "y"), "x", "is no file that could be"),
    "100 MB": (of_100_mb, "", "the folder has 100.0 MB, and 64.0 MB is the most"),
    "no function.yaml": (lambda folder: (folder / "function.yaml").unlink(), "function.yaml", "No such file"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "function.yaml").write_text(SPEC)
    (folder / "f.py").write_text("def main(event):\n    return {}\n")
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAASCTL_REGISTRY", "http://127.0.0.1:9")  # nobody is there: what is bad comes before that
    monkeypatch.setenv("FAASCTL_ID_TOKEN", "none")
    return folder


def faasctl(*words: str) -> int:
    try:
        main(words)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_folder_is_good_as_it_is(folder: Path) -> None:
    assert faasctl("fn", "check", "f") == 0
    assert faasctl("fn", "test", "f", "a.txt") == 0


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("words", [("check", "f"), ("test", "f", "a.txt"), ("push", "f")], ids=lambda words: words[0])
def test_what_is_bad_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], case: str, words: tuple[str, ...]
) -> None:
    # given
    spoil, where, why = BAD[case]
    spoil(folder)

    # when
    status = faasctl("fn", *words)

    # then
    said = "".join(capsys.readouterr())
    assert status == 1, said
    assert f"f/{where}".rstrip("/") in said
    assert why in said
    assert "Traceback" not in said


def test_requirements_that_cannot_be_met_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    (folder / "requirements.txt").write_text("six==0.0.0.0\n")
    (folder / "function.yaml").write_text(SPEC.replace("main: f.py", "main: f.py, python: '3.11'"))

    # then
    assert faasctl("fn", "push", "f") == 1
    said = capsys.readouterr().err
    assert "six==0.0.0.0" in said
    assert "requirements.txt" in said
    assert "every requirement needs a wheel" in said
