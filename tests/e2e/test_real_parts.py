"""The main job on the real systems: Apache Kafka, HTCondor and XRootD, as `faasctl demo` starts them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faasctl.local import htcondor as product
from faasctl.local import program
from faasctl.local.htcondor import Pool
from faasctl.local.parts import Choice
from faasctl.watching import watched
from tests.parts import htcondor, kafka, xrootd
from tests.parts.platform import FUNCTIONS, Platform, running, wait

SEED = 20190731
REAL = Choice(kafka="apache", storage="xrootd", pool="htcondor")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    kafka.jars()
    htcondor.prefix()
    xrootd.prefix()
    with running(tmp_path_factory.mktemp("real"), [FUNCTIONS / "calibrate"], REAL) as found:
        yield found


@pytest.fixture(scope="module")
def pool(platform: Platform) -> Pool:
    """The stack's pool, with its administrator's tools."""
    status = platform.stack.status["pool"]
    home = Path(status["event_log"]).parents[1]
    return Pool(home, product.find(), status["collector"], program.account())


def counts(chance: random.Random) -> bytes:
    """A file of detector counts."""
    return b"channel,counts\n" + b"".join(b"%d,%d\n" % (n, chance.randrange(10_000)) for n in range(500))


def expected(content: bytes, folder: Path) -> bytes:
    """What the function makes of a file, run here."""
    sys.path.insert(0, str(FUNCTIONS / "calibrate"))
    from calibrate import calibrate  # type: ignore[import-not-found]

    (folder / "in.csv").write_bytes(content)
    with (folder / "in.csv").open() as source, (folder / "out.csv").open("w", newline="") as target:
        calibrate(source, target, 12.5, 0.8)
    return (folder / "out.csv").read_bytes()


def stored(platform: Platform, path: str) -> bytes | None:
    answer = platform.storage.get(platform.url(path))
    assert answer.status_code in (200, 404, 423), (path, answer.status_code)  # 423: it is just being written
    return answer.content if answer.status_code == 200 else None


def report_of(platform: Platform, directory: str) -> dict[str, Any]:
    """The runner's report of the job that wrote a directory, once it is there."""
    return dict(json.loads(wait(lambda: stored(platform, directory + "_faas/result.json"), directory, 90)))


def outcomes_of(platform: Platform, key: str) -> Counter[str]:
    told = (json.loads(one["value"]) for one in platform.read_topic("faas.outcomes") if one["key"] == key)
    return Counter(one["outcome"] for one in told if one["run"] is None)  # what its job became is another matter


def test_a_file_becomes_its_output(platform: Platform, pool: Pool, tmp_path: Path) -> None:
    """Its checksum is right, its job is the queue's, and the namespace's group is charged for it."""
    print(f"seed {SEED}")
    content = counts(random.Random(SEED))
    platform.put("/demo/in/run7/det 1+ü.csv", content)

    report = report_of(platform, "/demo/out/run7/det 1+ü.csv.d/")

    assert report["exit"] == 0, report
    output = stored(platform, "/demo/out/run7/det 1+ü.csv.d/calibrated.csv")
    assert output == expected(content, tmp_path)
    told = {Path(one["path"]).name: one["adler32"] for one in report["outputs"]}
    assert told["calibrated.csv"] == f"{zlib.adler32(output):08x}"
    platform.drained()
    assert outcomes_of(platform, report["key"]) == {"submitted": 1}
    ids = pool.run("condor_q", "-allusers", "-af:j", "FaasKeys", "AcctGroup", "AccountingGroup").splitlines()
    (job,) = [line.split() for line in ids if line.split()[1] == report["key"]]
    assert job[2:] == ["group_demo", "group_demo.demo"]
    watch = watched(platform.env, platform.stack.status["pool"]["event_log"])
    course = wait(lambda: ((found := watch.course(job[0])) and found.ended and found) or None, "the job's end")
    assert (course.state, course.exit) == ("completed", 0)
    assert {moment.state for moment in course.moments} >= {"submitted", "running", "completed"}
    account = "group_demo.demo@faasctl.local"
    wait(lambda: account in pool.run("condor_userprio", "-allusers", "-af", "Name").split() or None, account)


def test_the_demo_says_what_became_of_its_file(tmp_path: Path) -> None:
    """The command as a user types it; what it prints as JSON is the journey of one event."""
    content = counts(random.Random(SEED + 2))
    (tmp_path / "run9.csv").write_bytes(content)
    parts = [word for name in REAL.__struct_fields__ for word in (f"--{name}", getattr(REAL, name))]
    command = [sys.executable, "-m", "faasctl", "demo", "-o", "json", "--file", str(tmp_path / "run9.csv"), *parts]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    journey = json.loads(done.stdout)
    adler32 = f"{zlib.adler32(expected(content, tmp_path)):08x}"
    assert [one["adler32"] for one in journey["output"] if one["path"].endswith("/calibrated.csv")] == [adler32]
    assert (journey["job"]["state"], journey["job"]["exit"]) == ("completed", 0)
    assert [step["name"] for step in journey["steps"]][:2] == ["written", "filter_event"]
    assert journey["steps"][-1]["name"] == "job completed"


def test_a_broker_killed_during_a_batch_loses_and_doubles_nothing(
    platform: Platform, pool: Pool, tmp_path: Path
) -> None:
    chance = random.Random(SEED + 1)
    files = {f"/demo/in/killed/{number}.csv": counts(chance) for number in range(8)}
    broker = platform.service("broker")
    for number, (path, content) in enumerate(files.items()):
        platform.put(path, content)
        if number == 4:  # some of the events are on their way, some are still to be announced
            os.kill(_java(broker.pid), signal.SIGKILL)
    broker.restart()

    keys = set()
    for path, content in files.items():
        directory = path.replace("/in/", "/out/") + ".d/"
        report = report_of(platform, directory)
        assert report["exit"] == 0, report
        keys.add(report["key"])
        assert stored(platform, directory + "calibrated.csv") == expected(content, tmp_path)
    platform.drained()
    jobs = Counter(pool.run("condor_q", "-allusers", "-af", "FaasKeys").split())
    assert {key: jobs[key] for key in keys} == dict.fromkeys(keys, 1)
    assert len(keys) == len(files)


def _java(wrapper: int) -> int:
    """The broker itself, below the service that runs it."""
    children = Path(f"/proc/{wrapper}/task/{wrapper}/children").read_text().split()
    return int(children[0])
