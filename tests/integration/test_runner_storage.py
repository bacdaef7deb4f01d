"""The runner against the embedded storage: dCache's caveat rules, its redirects, its leftovers."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventflow import job as runner_package
from tests.parts.jobs import function_zip
from tests.parts.storage import Storage, running_storage

MEASURED = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "runner.py"], close_fds=True)
print("rss", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
LINK = "import os\ndef main(event):\n    os.link(event['read']['local'], event['write']['local'] + '/same')\n"
SAY = "def main(event):\n    open(event['write']['local'] + '/said', 'w').write('done')\n"


@pytest.fixture(scope="module", params=[True, False], ids=["redirects", "proxies"])
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with running_storage(tmp_path_factory.mktemp("storage"), redirects=request.param) as running:
        yield running


@pytest.fixture
def folder(storage: Storage) -> str:
    """A folder of its own for a test: its input is ``<folder>f``, its output directory ``<folder>f.d/``."""
    path = f"/data/raw/{random.randrange(10**12)}/"
    with storage.session("alice") as alice:
        for directory in (path, path + "f.d/"):
            alice.request("MKCOL", storage.url(directory)).raise_for_status()
    return path


def put(storage: Storage, path: str, content: bytes) -> None:
    with storage.session("alice") as alice:
        alice.put(storage.url(path), data=content).raise_for_status()


def get(storage: Storage, path: str) -> bytes:
    with storage.session("alice") as alice:
        answer = alice.get(storage.url(path))
        answer.raise_for_status()
        return answer.content


def event(storage: Storage, folder: str, **changes: Any) -> dict[str, Any]:
    """An event with the narrow tokens that a job gets."""
    place = {"endpoint": storage.endpoint, "ca": storage.ca.read_text()}
    read = storage.macaroon(folder + "f", "activity:DOWNLOAD")
    write = storage.macaroon(folder + "f.d", "activity:UPLOAD,DELETE,MANAGE,READ_METADATA")
    return {
        "schema": 1,
        "key": "k/ns.f",
        "subject": folder + "f",
        "read": {**place, "path": folder + "f", "macaroon": read},
        "write": {**place, "path": folder + "f.d/", "macaroon": write},
        "exec": {"function": "ns.f", "main": "f.py", "runtime": 300},
    } | changes


def run(sandbox: Path, event: dict[str, Any], code: str = SAY) -> dict[str, Any]:
    archive = function_zip({"f.py": code})
    event["exec"]["code"] = "sha256:" + hashlib.sha256(archive).hexdigest()
    (sandbox / "events.jsonl").write_text(json.dumps(event))
    (sandbox / "function.zip").write_bytes(archive)
    (sandbox / "runner.py").write_text(runner_package.source().decode().replace("PATIENCE = 120.0", "PATIENCE = 2.0"))
    done = subprocess.run([sys.executable, "-c", MEASURED], cwd=sandbox, capture_output=True, text=True, timeout=110)
    result: dict[str, Any] = json.loads((sandbox / "result.json").read_text())
    assert result["exit"] == done.returncode, done.stderr
    for token in (event["read"]["macaroon"], event["write"]["macaroon"]):
        assert token not in done.stdout + done.stderr + json.dumps(result)
    return {**result["events"][0], "rss": int(done.stdout.rpartition("rss ")[2]) * 1024}


def test_narrow_tokens_are_enough(storage: Storage, folder: str, tmp_path: Path) -> None:
    put(storage, folder + "f", b"x" * 100_000)
    report = run(tmp_path, event(storage, folder), LINK)
    assert report["exit"] == 0, report["reason"]
    assert get(storage, folder + "f.d/same") == b"x" * 100_000
    assert json.loads(get(storage, folder + "f.d/_faas/result.json"))["exit"] == 0


def test_a_second_run_finds_its_outputs_done(storage: Storage, folder: str, tmp_path: Path) -> None:
    put(storage, folder + "f", b"x")
    assert run(tmp_path, event(storage, folder))["exit"] == 0
    written = [record for record in storage.announced() if record.get("billingPath") == folder + "f.d/said"]
    assert run(tmp_path, event(storage, folder))["exit"] == 0
    again = [record for record in storage.announced() if record.get("billingPath") == folder + "f.d/said"]
    assert len(again) == len(written) > 0


def test_a_leftover_is_replaced(storage: Storage, folder: str, tmp_path: Path) -> None:
    put(storage, folder + "f", b"x")
    put(storage, folder + "f.d/said", b"of an earlier, other try")
    assert run(tmp_path, event(storage, folder))["exit"] == 0
    assert get(storage, folder + "f.d/said") == b"done"


def test_a_file_that_was_replaced_is_superseded(storage: Storage, folder: str, tmp_path: Path) -> None:
    put(storage, folder + "f", b"first")
    with storage.session("alice") as alice:
        pnfsid = alice.head(storage.url(folder + "f")).headers["ETag"].strip('"').rpartition("_")[0]
    changed = event(storage, folder)
    changed["read"]["pnfsid"] = pnfsid
    assert run(tmp_path, changed)["exit"] == 0
    put(storage, folder + "f", b"second")
    assert run(tmp_path, changed)["exit"] == 13


def test_a_removed_file_is_gone(storage: Storage, folder: str, tmp_path: Path) -> None:
    assert run(tmp_path, event(storage, folder))["exit"] == 13


def test_a_token_for_elsewhere_is_refused(storage: Storage, folder: str, tmp_path: Path) -> None:
    put(storage, folder + "f", b"x")
    elsewhere = event(storage, folder)
    elsewhere["read"]["macaroon"] = storage.macaroon("/data/in", "activity:DOWNLOAD")
    assert run(tmp_path, elsewhere)["exit"] == 10
    elsewhere = event(storage, folder)
    elsewhere["write"]["macaroon"] = storage.macaroon("/data/out", "activity:UPLOAD")
    assert run(tmp_path, elsewhere)["exit"] == 30


def test_a_token_that_expires_during_the_run_is_told_apart(storage: Storage, folder: str, tmp_path: Path) -> None:
    put(storage, folder + "f", b"x")
    expiring = event(storage, folder)
    expiring["write"]["macaroon"] = storage.macaroon(folder + "f.d", "activity:UPLOAD", validity="PT2S")
    report = run(tmp_path, expiring, "import time\ndef main(event): time.sleep(2.5); " + SAY.partition("\n")[2].strip())
    assert report["exit"] == 40, report["reason"]


def test_a_gigabyte_takes_no_memory(storage: Storage, folder: str, tmp_path: Path) -> None:
    size, chunk = 1 << 30, random.Random(1).randbytes(1 << 20)
    source = tmp_path / "source"
    with source.open("wb") as file:
        for _ in range(size >> 20):
            file.write(chunk)
    with source.open("rb") as file, storage.session("alice") as alice:
        alice.put(storage.url(folder + "f"), data=file).raise_for_status()
    source.unlink()
    adler32 = 1
    for _ in range(size >> 20):
        adler32 = zlib.adler32(chunk, adler32)

    began = time.monotonic()
    report = run(tmp_path, event(storage, folder), LINK)
    print(f"1 GiB in and out in {time.monotonic() - began:.1f} s, {report['rss'] / 1e6:.0f} MB")
    assert report["exit"] == 0, report["reason"]
    assert report["bytes_in"] == report["bytes_out"] == size
    assert report["outputs"][0]["adler32"] == f"{adler32:08x}"
    assert report["rss"] < 64e6
    assert not (tmp_path / "work-0").exists()
