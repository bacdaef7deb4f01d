"""What a stranger gets: a wheel that deploys by itself, and a demo."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.parts.openwhisk import running as running_openwhisk
from tests.parts.platform import Platform

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT))
    (found,) = folder.glob("*.whl")
    return found


def run(*command: str, **environment: str) -> str:
    """Run a program to its end; its output is in the failure."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def test_the_wheel_has_three_import_roots(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "faasctl",
        "eventflow",
        "faasfeeds",
    }


@pytest.mark.timeout(300)
def test_the_wheel_alone_deploys(wheel: Path, platform: Platform, tmp_path: Path) -> None:
    """Given an empty environment with the wheel and nothing else, then it deploys to a fresh OpenWhisk."""
    run(sys.executable, "-m", "venv", str(tmp_path / "venv"))
    constraints = str(ROOT / "constraints.txt")
    run(str(tmp_path / "venv/bin/python"), "-m", "pip", "install", "-q", "-c", constraints, str(wheel))
    with running_openwhisk() as host:
        text = platform.stack.environment_file.read_text()
        account = platform.env.openwhisk
        for old, new in (
            (account.apihost, host.apihost),
            (account.platform.auth.reveal(), host.auths["guest"]),
            (account.functions.auth.reveal(), host.auths["functions"]),
            (str(platform.env.kafka.registrations.directory), str(tmp_path / "registrations")),
        ):
            text = text.replace(old, new)
        environment = tmp_path / "fresh.yaml"
        environment.touch(mode=0o600)
        environment.write_text(text)
        faasctl = str(tmp_path / "venv/bin/faasctl")
        options = ("--env-file", str(environment), "-o", "json")
        first = json.loads(run(faasctl, "deploy", "--yes", *options))
        second = json.loads(run(faasctl, "deploy", "--yes", *options))
    assert {one["outcome"] for one in first["results"]} == {"done"}
    assert len(first["results"]) == second["unchanged"] > 8
    assert second["results"] == []


@pytest.mark.timeout(180)
def test_the_demo_processes_a_file_of_ones_own(tmp_path: Path) -> None:
    import lzma

    content = random.Random(7).randbytes(50_000)
    file = tmp_path / "own.bin.xz"
    file.write_bytes(lzma.compress(content))
    function = str(ROOT / "manifests" / "functions" / "uncompress")
    said = run(sys.executable, "-m", "faasctl", "demo", "--file", str(file), "--function", function, "-o", "json")
    journey = json.loads(said)
    assert set(journey) == {"event", "steps", "job", "output", "timings_ms"}
    (output,) = journey["output"]
    assert (output["size"], output["adler32"]) == (len(content), f"{zlib.adler32(content):08x}")
    assert output["path"].endswith("own.bin.xz.d/own.bin")
    assert journey["job"]["exit"] == 0
