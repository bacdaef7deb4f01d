"""The README's path of a new user: every command is run, and prints what stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventflow.registry import IN_FORCE_MS
from faasctl import bundle

PATIENCE_S = 60.0
LOOKING = ("faasctl fn logs", "faasctl local get")
"""What shows something that a job does meanwhile is asked again until it does."""

CHANGING = [
    (r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME"),
    (r"(localhost|127\.0\.0\.1):\d+", "HOST"),
    (r"/tmp/[^\s)]+", "FOLDER"),
    (r"\d+ created", "N created"),
    (r"[\d.]+ kB", "N kB"),
]


def commands() -> list[tuple[str, str]]:
    """Each command of the section with what stands below it."""
    section = (bundle.root() / "README.md").read_text().partition("### Your first function")[2]
    block = section.split("```")[1].strip()
    found = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        length = 1 + next((n for n, line in enumerate(lines[1:]) if not line.startswith("> ")), len(lines) - 1)
        command = "\n".join(line.removeprefix("> ") for line in lines[:length])
        found.append((command, "\n".join(lines[length:])))
    return found


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a user with an empty home; a stack that is left behind is ended."""
    scripts = Path(sys.executable).parent
    variables = {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "LANG": "C.UTF-8",
    }
    (tmp_path / "home").mkdir()
    yield variables
    subprocess.run(["faasctl", "local", "down"], env=variables, capture_output=True, check=False)


def test_the_new_users_path_is_as_the_readme_says(tmp_path: Path, shell: dict[str, str]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for command, expected in commands():
        if command.startswith("faasctl local put"):
            time.sleep(IN_FORCE_MS / 1000)
        end = time.monotonic() + PATIENCE_S
        while True:
            done = subprocess.run(
                ["bash", "-c", f"exec 2>&1\n{command}"],
                cwd=work,
                env=shell,
                capture_output=True,
                text=True,
                check=False,
            )
            if command.startswith(LOOKING) and same(done.stdout) != same(expected) and time.monotonic() < end:
                time.sleep(0.2)
                continue
            break
        assert same(done.stdout) == same(expected), f"$ {command}\n{done.stdout}"


def same(text: str) -> str:
    """The text without what is different every time."""
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text)
    return text.strip()
