"""Unmodified clients from npm against the host."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts import npm
from tests.parts.openwhisk import OpenWhisk, running

Json = Any
HERE = Path(__file__).parent
NAMESPACE = "guest"


@pytest.fixture
def openwhisk() -> Iterator[OpenWhisk]:
    with running() as host:
        yield host


def zipped(source: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("__main__.py", source)
    return base64.b64encode(buffer.getvalue()).decode()


def node(folder: Path, script: str, *arguments: str, **environment: str) -> str:
    """What the script prints; it must end well."""
    done = subprocess.run(
        ["node", str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(folder / "node_modules"), **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_javascript_client(openwhisk: OpenWhisk) -> None:
    """Given npm's openwhisk, when it does all that its documentation shows, then the host answers as it expects."""
    folder = npm.packages(**npm.OPENWHISK)
    archive = zipped("def main(args):\n    return {'from': 'zip'}\n")

    seen = json.loads(
        node(
            folder,
            "openwhisk_client.js",
            APIHOST=openwhisk.apihost,
            AUTH=openwhisk.auths[NAMESPACE],
            ZIP=archive,
        )
    )

    assert seen["created"]["version"] == "0.0.1"
    assert seen["created"]["limits"]["timeout"] == 5000
    assert seen["again"]["statusCode"] == 409
    assert seen["again"]["error"]["error"] == "resource already exists"
    assert seen["updated"]["version"] == "0.0.2"
    assert {"key": "description", "value": "adds"} in seen["updated"]["annotations"]
    assert seen["zipped"]["exec"]["binary"] is True
    assert seen["zipResult"] == {"from": "zip"}
    assert seen["result"] == {"n": 2, "p": "package"}
    assert seen["record"]["response"] == {
        "status": "success",
        "success": True,
        "result": {"n": 3, "p": "package"},
        "size": 25,
    }
    assert seen["later"]["response"]["result"]["n"] == 4
    assert [line.split(" stdout: ")[1] for line in seen["logs"]["logs"]] == ["hello"]
    assert seen["activationResult"]["result"]["n"] == 4
    assert seen["sequence"] == {"n": 2, "p": "package"}
    assert seen["rule"]["status"] == "active"
    assert seen["fired"]["n"] == 11
    assert (seen["disabled"], seen["enabled"]) == ("inactive", "active")
    assert seen["lists"] == {
        "actions": ["two", "zipped", "add"],
        "packages": ["pkg"],
        "triggers": ["tick"],
        "rules": ["tick-tock"],
        "namespaces": [NAMESPACE],
    }
    assert seen["missing"]["statusCode"] == 404
    assert seen["failed"]["statusCode"] == 502
    assert seen["failed"]["error"]["response"]["result"] == {"error": "no"}
    assert seen["left"] == []


@pytest.fixture
def aio(openwhisk: OpenWhisk, tmp_path: Path) -> Callable[..., str]:
    """Runs a command of Adobe's command line, which knows the host by its environment alone."""
    folder = npm.packages(**npm.AIO)

    def run(*command: str) -> str:
        return node(
            folder,
            "aio.js",
            "runtime",
            *command,
            HOME=str(tmp_path),
            AIO_RUNTIME_APIHOST=openwhisk.apihost,
            AIO_RUNTIME_AUTH=openwhisk.auths[NAMESPACE],
            AIO_RUNTIME_NAMESPACE=NAMESPACE,
        )

    return run


def test_a_command_line_of_others(aio: Callable[..., str], tmp_path: Path) -> None:
    """Given Adobe's command line, when it creates, invokes, fires, lists and deletes, then it finds an OpenWhisk."""
    source = tmp_path / "add.py"
    source.write_text("def main(args):\n    print('hello')\n    return {'n': int(args.get('n', 0)) + 1}\n")

    aio("package", "create", "pkg")
    created = json.loads(aio("action", "create", "pkg/add", str(source), "--kind", "python:3.11", "--json"))
    assert (created["namespace"], created["name"]) == ("guest/pkg", "add")

    assert json.loads(aio("action", "invoke", "pkg/add", "--result", "--param", "n", "1")) == {"n": 2}
    listed = json.loads(aio("activation", "list", "--json"))
    assert [row["name"] for row in listed] == ["add"]
    record = json.loads(aio("activation", "get", listed[0]["activationId"]))
    assert record["logs"][0].endswith("stdout: hello")

    aio("trigger", "create", "tick")
    aio("rule", "create", "tick-tock", "tick", "pkg/add")
    aio("trigger", "fire", "tick")
    assert [rule["name"] for rule in json.loads(aio("rule", "list", "--json"))] == ["tick-tock"]

    aio("rule", "delete", "tick-tock")
    aio("trigger", "delete", "tick")
    aio("action", "delete", "pkg/add")
    aio("package", "delete", "pkg")
    assert json.loads(aio("action", "list", "--json")) == []
