"""The main job, end to end on the local stack: a file written to the storage processes itself."""

from __future__ import annotations

import csv
import io
import json
import random
import uuid
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.parts.platform import Platform, wait
from tests.unit.test_dcache import SAMPLE

SEED = 20190731


def written(path: str, **changes: Any) -> dict[str, Any]:
    """The sample record as a successful write of ``path``."""
    pnfsid = uuid.uuid4().hex.upper() + "0000"
    return {**SAMPLE, "isWrite": "write", "transferPath": path, "billingPath": path, "pnfsid": pnfsid, **changes}


def submitted(platform: Platform, subject: str) -> list[dict[str, Any]]:
    """The jobs that were submitted for a path, whatever became of them."""
    keys = {
        work["event"]["id"]
        for row in platform.openwhisk.get("activations", limit=200, docs="true")
        if row["name"] == "filter_event"
        for work in row["response"]["result"].get("work", ())
        if work["event"]["subject"] == subject
    }
    return [job for job in platform.jobs() if job["key"].partition("/")[0] in keys]


def remove(platform: Platform, jobs: list[dict[str, Any]]) -> None:
    """Take jobs without a real input out of the queue again."""
    platform.pool.remove([job["id"] for job in jobs], "the test is over")


def test_a_file_becomes_its_calibrated_output(platform: Platform) -> None:
    """Given counts of one's own, then the output is what the function makes of them, by its checksum."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    counts = {channel: chance.randrange(10_000) for channel in range(500)}
    text = "channel,counts\n" + "".join(f"{channel},{count}\n" for channel, count in counts.items())

    platform.put("/demo/in/run7/det 1+ü.csv", text.encode())
    job = platform.job_of("/demo/in/run7/det 1+ü.csv")

    assert job["exit"] == 0, job
    outputs = {Path(one["path"]).name: one for one in job["result"]["events"][0]["outputs"]}
    assert set(outputs) == {"calibrated.csv", "summary.json"}
    folder = "/demo/out/run7/det 1+ü.csv.d/"
    for name, told in outputs.items():
        stored = platform.storage.get(platform.url(folder + name))
        assert stored.status_code == 200
        assert told["path"] == folder + name
        assert (told["size"], told["adler32"]) == (len(stored.content), f"{zlib.adler32(stored.content):08x}")
    rows = list(csv.DictReader(io.StringIO(platform.storage.get(platform.url(folder + "calibrated.csv")).text)))
    assert len(rows) == len(counts)
    result = platform.storage.get(platform.url(folder + "_faas/result.json")).json()
    assert result["exit"] == 0
    assert result["function"] == "demo.calibrate"


def test_a_compressed_file_is_uncompressed(platform: Platform) -> None:
    import gzip

    content = random.Random(SEED).randbytes(200_000)
    platform.put("/demo/compressed/set1/noise.bin.gz", gzip.compress(content))
    job = platform.job_of("/demo/compressed/set1/noise.bin.gz")

    assert job["exit"] == 0, job
    (output,) = job["result"]["events"][0]["outputs"]
    assert (output["size"], output["adler32"]) == (len(content), f"{zlib.adler32(content):08x}")


def test_the_sample_read_is_filtered(platform: Platform) -> None:
    before = len(platform.jobs())
    platform.send(SAMPLE, {**SAMPLE, "transferPath": "/demo/in/r/read.csv"})
    platform.drained()
    assert len(platform.jobs()) == before


def test_a_write_sent_three_times_is_one_job(platform: Platform) -> None:
    record = written("/demo/in/r/three.csv")
    platform.send(record)
    platform.drained()
    platform.send(record, record)  # in one batch, and after the first was submitted
    platform.drained()
    jobs = submitted(platform, "/demo/in/r/three.csv")
    remove(platform, jobs)
    assert len(jobs) == 1
    outcomes = [
        json.loads(one["value"]) for one in platform.read_topic("faas.outcomes") if one["key"] == jobs[0]["key"]
    ]
    assert [one["outcome"] for one in outcomes if one["run"] is None] == ["submitted"]


def test_an_srm_upload_is_one_job(platform: Platform) -> None:
    upload = written("/demo/in/r/srm.csv", transferPath="/upload/4/abc/srm.csv")
    fields = ("date", "transferPath", "billingPath", "pnfsid", "fileSize", "status")
    done = {
        **{name: upload[name] for name in fields},
        "msgType": "request",
        "cellType": "door",
        "session": "door:SRM@d:1",
    }
    platform.send(upload, done)
    platform.drained()
    jobs = submitted(platform, "/demo/in/r/srm.csv")
    remove(platform, jobs)
    assert len(jobs) == 1


def test_bad_records_are_dead_letters_with_their_reasons_and_nothing_else_is_lost(platform: Platform) -> None:
    def codes() -> Counter[str]:
        return Counter(one["headers"]["faaserrorcode"] for one in platform.read_topic("faas.dead-letters"))

    before = codes()
    good = written("/demo/in/r/among-bad.csv")
    platform.send(
        '{"msgType": "transfer", "da',
        json.dumps(written("/demo/in/r/x.csv", msgType="teleport")),
        json.dumps(written("/demo/in/../etc/passwd")),
        json.dumps(good),
        json.dumps(written("/", transferPath="/", billingPath="/")),
    )
    platform.drained()
    jobs = submitted(platform, "/demo/in/r/among-bad.csv")
    remove(platform, jobs)
    assert len(jobs) == 1
    assert codes() - before == Counter(["bad_path", "unknown_type", "unparsable"])


def test_the_functions_own_output_fires_nothing(platform: Platform) -> None:
    """What a job writes is announced like any file; the platform's own identity fires no unchained function."""
    platform.put("/demo/in/chain/a.csv", b"channel,counts\n1,2\n")
    platform.job_of("/demo/in/chain/a.csv")
    platform.drained()
    platform.send(written("/demo/in/chain/by-us.csv", subject=["UserNamePrincipal[faas]", "UidPrincipal[1000]"]))
    platform.drained()
    assert submitted(platform, "/demo/in/chain/by-us.csv") == []


def test_no_activation_record_holds_a_usable_token(platform: Platform) -> None:
    platform.put("/demo/in/secret/a.csv", b"channel,counts\n1,2\n")
    platform.job_of("/demo/in/secret/a.csv")
    records = json.dumps(platform.openwhisk.get("activations", limit=200, docs="true"))
    keys = platform.env.keys
    assert "MDAx" not in records  # how every macaroon begins
    for secret in (keys.seal, keys.submit, keys.feed, platform.env.openwhisk.functions.auth):
        assert secret.reveal() not in records


def test_a_storage_that_is_down_is_waited_for(platform: Platform) -> None:
    """Given no storage, when an event comes, then it waits, uncounted; it is submitted when the storage is back."""
    storage = platform.service("storage")
    port = platform.endpoint.rpartition(":")[2]
    storage.stop()
    platform.send(written("/demo/in/outage/a.csv"))

    def tried() -> bool | None:
        rows = platform.openwhisk.get("activations", limit=10, docs="true")
        reports = [row["response"]["result"]["report"] for row in rows if row["name"] == "mint_tokens"]
        failed = [f for report in reports for f in report["failed"]]
        return any(f["code"] == "unavailable" and "storage:main" in f["destination"] for f in failed) or None

    wait(tried, "an attempt at minting")
    assert submitted(platform, "/demo/in/outage/a.csv") == []
    storage.restart("--port", port)
    platform.drained()
    jobs = submitted(platform, "/demo/in/outage/a.csv")
    remove(platform, jobs)
    assert len(jobs) == 1


def test_a_host_that_is_down_is_waited_for(platform: Platform) -> None:
    host = platform.service("openwhisk")
    port = platform.env.openwhisk.apihost.rpartition(":")[2]
    host.stop()
    platform.send(written("/demo/in/outage/b.csv"))
    host.restart("--port", port)
    platform.drained()
    jobs = submitted(platform, "/demo/in/outage/b.csv")
    remove(platform, jobs)
    assert len(jobs) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"when": {"path": "demo/in/*.csv"}}, "when.path"),
        ({"when": {"path": "/demo/in/{run/*.csv"}}, "when.path"),
        ({"on": {"path": "/demo/in/*.csv"}}, "on"),
    ],
)
def test_a_bad_function_is_refused_at_push(
    platform: Platform, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    from eventflow.errors import FaasError

    spec = {
        "name": "bad",
        "namespace": "demo",
        "contact": "c@example.org",
        "when": {"path": "/demo/in/*.csv"},
        "run": {"main": "bad.py"},
        "write": "/demo/out/",
    }
    (tmp_path / "bad.py").write_text("def main(event):\n    return {}\n")
    (tmp_path / "function.yaml").write_text(json.dumps({**spec, **change}, indent=1))
    with pytest.raises(FaasError, match=message) as refused:
        platform.faasctl("fn", "push", str(tmp_path))
    assert "function.yaml:" in str(refused.value)
