"""OpenWhisk's own command lines against the host, where WSK and WSKDEPLOY, or the PATH, name them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.openwhisk import OpenWhisk, running

NAMESPACE = "guest"
SOURCE = "def main(args):\n    return {'n': int(args.get('n', 0)) + 1}\n"
MANIFEST = """
packages:
  pkg:
    actions:
      add: {function: add.py, runtime: "python:3.11", inputs: {p: {type: string, value: here}}}
    sequences:
      two: {actions: "add, add"}
    triggers:
      tick: {}
    rules:
      tick-tock: {trigger: tick, action: two}
"""


def program(variable: str, name: str) -> str:
    """Its path; it is not published where tests could fetch it, so that being without is no failure."""
    found = os.environ.get(variable) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed: set {variable} to its path")
    return found


@pytest.fixture
def openwhisk() -> Iterator[OpenWhisk]:
    with running() as host:
        yield host


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wsk(openwhisk: OpenWhisk, tmp_path: Path) -> None:
    """Given wsk, when it creates, invokes and deletes an action, then the host answers as it expects."""
    wsk = [program("WSK", "wsk"), "--apihost", openwhisk.apihost, "--auth", openwhisk.auths[NAMESPACE], "-i"]
    (tmp_path / "add.py").write_text(SOURCE)

    run(tmp_path, *wsk, "action", "create", "add", "add.py", "--kind", "python:3.11")

    assert json.loads(run(tmp_path, *wsk, "action", "invoke", "add", "--result", "--param", "n", "1")) == {"n": 2}
    assert "/guest/add" in run(tmp_path, *wsk, "action", "list")
    run(tmp_path, *wsk, "action", "delete", "add")


def test_wskdeploy(openwhisk: OpenWhisk, tmp_path: Path) -> None:
    """Given a manifest, when wskdeploy deploys and undeploys it, then everything is there, and gone again."""
    wskdeploy = program("WSKDEPLOY", "wskdeploy")
    login = ["--apihost", openwhisk.apihost, "--auth", openwhisk.auths[NAMESPACE]]
    (tmp_path / "add.py").write_text(SOURCE)
    (tmp_path / "manifest.yaml").write_text(MANIFEST)

    run(tmp_path, wskdeploy, "-m", "manifest.yaml", *login)
    run(tmp_path, wskdeploy, "-m", "manifest.yaml", *login)

    run(tmp_path, wskdeploy, "undeploy", "-m", "manifest.yaml", *login)
