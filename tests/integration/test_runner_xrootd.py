"""The runner against a real XRootD, with macaroons that XRootD issued and enforces."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from eventflow import job as runner_package
from tests.parts.jobs import COPY, function_zip
from tests.parts.xrootd import XRootD, xrootd

CONTENT = random.Random(3).randbytes(3_000_000)


@pytest.fixture(scope="module")
def server() -> Iterator[XRootD]:
    with xrootd() as running:
        yield running


def ask(server: XRootD, method: str, path: str, **given: Any) -> requests.Response:
    """A request with the platform's own certificate."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify, session.cert = str(server.ca), (str(server.certificate), str(server.key))
        answer = session.request(method, server.url(path), timeout=20, **given)
        answer.raise_for_status()
        return answer


def macaroon(server: XRootD, path: str, activities: str) -> str:
    body = json.dumps({"caveats": [f"activity:{activities}"], "validity": "PT1H"})
    headers = {"Content-Type": "application/macaroon-request"}
    return str(ask(server, "POST", path, data=body, headers=headers).json()["macaroon"])


@pytest.fixture
def folder(server: XRootD) -> str:
    path = f"{server.tree}/{random.randrange(10**12)}/"
    ask(server, "PUT", path + "f", data=CONTENT)
    ask(server, "MKCOL", path + "f.d/")
    return path


def run(sandbox: Path, server: XRootD, folder: str, **tokens: str) -> dict[str, Any]:
    archive = function_zip({"f.py": COPY})
    place = {"endpoint": server.endpoint, "ca": server.ca.read_text()}
    read = tokens.get("read") or macaroon(server, folder + "f", "DOWNLOAD")
    write = tokens.get("write") or macaroon(server, folder + "f.d", "UPLOAD,DELETE")
    event = {
        "schema": 1,
        "key": "k/ns.f",
        "subject": folder + "f",
        "read": {**place, "path": folder + "f", "macaroon": read, "size": len(CONTENT)},
        "write": {**place, "path": folder + "f.d/", "macaroon": write},
        "exec": {"main": "f.py", "code": "sha256:" + hashlib.sha256(archive).hexdigest(), "runtime": 60},
    }
    (sandbox / "events.jsonl").write_text(json.dumps(event))
    (sandbox / "function.zip").write_bytes(archive)
    (sandbox / "runner.py").write_bytes(runner_package.source().replace(b"PATIENCE = 120.0", b"PATIENCE = 2.0"))
    subprocess.run([sys.executable, "runner.py"], cwd=sandbox, timeout=60, check=False)
    report: dict[str, Any] = json.loads((sandbox / "result.json").read_text())["events"][0]
    return report


def test_narrow_tokens_are_enough(server: XRootD, folder: str, tmp_path: Path) -> None:
    report = run(tmp_path, server, folder)
    assert report["exit"] == 0, report["reason"]
    assert ask(server, "GET", folder + "f.d/copy").content == CONTENT
    assert ask(server, "GET", folder + "f.d/_faas/result.json").json()["exit"] == 0


def test_a_second_run_replaces_what_differs_and_leaves_what_is_equal(
    server: XRootD, folder: str, tmp_path: Path
) -> None:
    assert run(tmp_path, server, folder)["exit"] == 0
    written = (server.data / folder.strip("/") / "f.d/copy").stat().st_mtime_ns
    (server.data / folder.strip("/") / "f.d/_faas/result.json").write_text("cut off")
    assert run(tmp_path, server, folder)["exit"] == 0
    assert (server.data / folder.strip("/") / "f.d/copy").stat().st_mtime_ns == written
    assert ask(server, "GET", folder + "f.d/_faas/result.json").json()["exit"] == 0


def test_tokens_for_elsewhere_are_refused(server: XRootD, folder: str, tmp_path: Path) -> None:
    assert run(tmp_path, server, folder, read=macaroon(server, server.tree + "/other", "DOWNLOAD"))["exit"] == 10
    assert run(tmp_path, server, folder, write=macaroon(server, server.tree + "/other", "UPLOAD"))["exit"] == 30


def test_a_missing_file_is_gone(server: XRootD, folder: str, tmp_path: Path) -> None:
    ask(server, "DELETE", folder + "f")
    assert run(tmp_path, server, folder)["exit"] == 13
