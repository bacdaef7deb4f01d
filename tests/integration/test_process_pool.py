"""The process pool beyond the port: slots, retries, limits, restarts and its door."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from eventflow.clients.process_pool import ProcessPool
from eventflow.exactly_once import Job, PoolRefused, PoolUnavailable, submit_exactly_once
from eventflow.function import Limits, Resources
from faasctl.local.pool.queue import Description, Queue
from faasctl.local.pool.slots import Slots
from tests.parts.process_pool import process_pool

RUNNER = """
import json, os, sys, time
plan = json.load(open("events.jsonl"))
open(plan["trace"], "a").write("start\\n")
report = {"exit": plan["exit"], "env": sorted(os.environ), "files": sorted(os.listdir("."))}
json.dump(report, open("result.json", "w"))
time.sleep(plan.get("sleep", 0))
sys.exit(plan["exit"])
"""


def job(key: str, tmp_path: Path, **plan: Any) -> Job:
    plan = {"exit": 0, "trace": str(tmp_path / f"trace-{key}"), **plan}
    return Job(
        key=key,
        function="ns.f",
        namespace="ns",
        version="0.0.1",
        code="sha256:00",
        origin="billing/0/1",
        expires=time.time() + 3600,
        files={"events.jsonl": json.dumps(plan).encode(), "runner.py": RUNNER.encode()},
    )


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def submit(pool: ProcessPool, *jobs: Job) -> list[str]:
    results = submit_exactly_once(pool, jobs, now=time.time())
    assert [result.outcome for result in results] == ["submitted"] * len(jobs)
    return [result.id or "" for result in results]


def finished(pool: ProcessPool, id: str) -> dict[str, Any]:
    until(lambda: pool.show(id)["state"] in ("completed", "removed", "held"))
    return pool.show(id)


def starts(tmp_path: Path, key: str) -> int:
    return len((tmp_path / f"trace-{key}").read_text().splitlines())


def test_a_job_runs_with_its_files_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "x")
    with process_pool(tmp_path / "pool") as pool:
        shown = finished(pool, submit(pool, job("a", tmp_path))[0])
    assert (shown["state"], shown["exit"]) == ("completed", 0)
    assert shown["result"]["files"] == ["_runner.log", "events.jsonl", "runner.py"]
    assert set(shown["result"]["env"]) <= {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE"}
    assert [entry["state"] for entry in shown["log"]] == ["spooling", "idle", "running", "completed"]
    assert not list((tmp_path / "pool" / "spool").iterdir())
    assert not list((tmp_path / "pool" / "run").iterdir())


@pytest.mark.parametrize(("exit", "expected"), [(0, 1), (20, 1), (11, 3), (31, 3), (40, 1)])
def test_only_what_may_pass_is_started_again(tmp_path: Path, exit: int, expected: int) -> None:
    with process_pool(tmp_path / "pool") as pool:
        again = msgspec.structs.replace(job("a", tmp_path, exit=exit), retries=2)
        shown = finished(pool, submit(pool, again)[0])
    assert (shown["exit"], shown["starts"]) == (exit, expected)
    assert starts(tmp_path, "a") == expected


def test_a_job_over_its_runtime_is_removed(tmp_path: Path) -> None:
    with process_pool(tmp_path / "pool", "--staging-time", "0.5") as pool:
        long = msgspec.structs.replace(job("a", tmp_path, sleep=60), resources=Resources(runtime=1))
        shown = finished(pool, submit(pool, long)[0])
    assert shown["state"] == "removed"
    assert "longer than 1.5 s" in shown["log"][-1]["reason"]


def test_a_job_whose_tokens_have_expired_never_starts(tmp_path: Path) -> None:
    with process_pool(tmp_path / "pool") as pool:
        expired = msgspec.structs.replace(job("a", tmp_path), expires=time.time() - 1)
        ids = pool.submit([expired])
        shown = finished(pool, ids[0])
    assert shown["state"] == "removed"
    assert not (tmp_path / "trace-a").exists()


def test_max_running_holds_a_function_back(tmp_path: Path) -> None:
    with process_pool(tmp_path / "pool", "--slots", "4") as pool:
        jobs = [
            msgspec.structs.replace(job(key, tmp_path, sleep=60), limits=Limits(max_running=1)) for key in ("a", "b")
        ]
        first, second = submit(pool, *jobs)
        until(lambda: pool.show(first)["state"] == "running")
        time.sleep(1.2)  # two ticks of the scheduler
        assert pool.show(second)["state"] == "idle"
        pool.remove([first], "no longer wanted")
        until(lambda: pool.show(second)["state"] == "running")
        assert finished(pool, first)["log"][-1]["reason"] == "no longer wanted"


def test_the_queue_survives_a_restart(tmp_path: Path) -> None:
    with process_pool(tmp_path / "pool", "--slots", "1") as pool:
        done = submit(pool, job("done", tmp_path))[0]
        finished(pool, done)
        running, idle = submit(pool, job("running", tmp_path, sleep=1), job("idle", tmp_path))
        until(lambda: pool.show(running)["state"] == "running")
    with process_pool(tmp_path / "pool", "--slots", "1") as pool:
        assert [row.state for row in pool.lookup(["done"])] == ["completed"]
        assert finished(pool, running)["exit"] == finished(pool, idle)["exit"] == 0
    assert starts(tmp_path, "running") == 2
    assert starts(tmp_path, "done") == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image": "/cvmfs/x"}, "image"),
        ({"resources": Resources(gpus=1)}, "GPU"),
        ({"resources": Resources(cpus=99)}, "99"),
    ],
)
def test_what_can_never_run_is_refused(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    with process_pool(tmp_path / "pool", "--slots", "2") as pool:
        with pytest.raises(PoolRefused, match=why):
            pool.submit([msgspec.structs.replace(job("a", tmp_path), **change)])
        assert pool.jobs() == []


def test_the_door_is_locked_and_shows_no_files(tmp_path: Path) -> None:
    with process_pool(tmp_path / "pool") as pool:
        with pytest.raises(PoolUnavailable, match="token"):
            ProcessPool(pool.url, "wrong").jobs()
        assert requests.get(pool.url + "/jobs", timeout=5).status_code == 401
        id = submit(pool, job("a", tmp_path, secret="MDAx"))[0]
        assert "MDAx" not in json.dumps(finished(pool, id))
        assert {path.stat().st_mode & 0o077 for path in (tmp_path / "pool").rglob("*") if path.name != "token"} == {0}
    with pytest.raises(PoolUnavailable):
        pool.jobs()


def test_a_pool_that_was_killed_starts_its_jobs_again_and_not_twice(tmp_path: Path) -> None:
    with process_pool(tmp_path / "pool") as pool:
        id = submit(pool, job("a", tmp_path, sleep=30))[0]
        until(lambda: (tmp_path / "trace-a").exists())
        (orphan,) = [int(path.parts[2]) for path in Path("/proc").glob("[0-9]*/cwd") if _runs_in(path, tmp_path)]
        os.kill(pool_process(tmp_path), signal.SIGKILL)
    os.kill(orphan, 0)  # nobody has stopped it
    with process_pool(tmp_path / "pool") as pool:
        until(lambda: starts(tmp_path, "a") == 2)
        until(lambda: not Path(f"/proc/{orphan}/cwd").exists())
        assert pool.show(id)["state"] == "running"
        pool.remove([id], "done")
        finished(pool, id)


def pool_process(tmp_path: Path) -> int:
    """The pool that serves this test's folder."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"faasctl.local.pool" in path.read_bytes() and str(tmp_path).encode() in path.read_bytes():
                return int(path.parts[2])
    raise AssertionError("no pool")


def _runs_in(path: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.readlink().is_relative_to(folder / "pool" / "run")
    return False


def test_a_job_removed_in_the_moment_of_its_start_is_removed(tmp_path: Path) -> None:
    async def scene() -> str:
        queue = Queue(tmp_path, "pool")
        slots = Slots(queue, tmp_path, slots=1, staging_time=60)
        described = msgspec.to_builtins(msgspec.structs.replace(job("one", tmp_path), files={}))
        del described["files"]
        (id,) = queue.submit([msgspec.convert(described, Description)], time.time())
        assert queue.spool(id, job("one", tmp_path).files, time.time())
        serving = asyncio.create_task(slots.serve())
        while (entry := queue.get(id)) is not None and entry.state != "running":
            await asyncio.sleep(0)
        assert entry is not None
        slots.remove(entry, "cancelled")  # its task was made, and has not begun
        for _ in range(100):
            await asyncio.sleep(0)
        found = queue.get(id)
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        queue.close()
        return found.state if found else ""

    assert asyncio.run(scene()) == "removed"


TWICE = """
import json, os, sys, time
trace = open(json.load(open("events.jsonl"))["trace"], "a")
print(os.getpid(), file=trace, flush=True)
if trace.tell() > 8:
    time.sleep(60)
sys.exit(31)
"""


def test_a_job_that_started_again_is_stopped_when_it_is_removed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    again = msgspec.structs.replace(job("again", tmp_path, trace=str(trace)), retries=5)
    again.files["runner.py"] = TWICE.encode()
    with process_pool(tmp_path / "pool") as pool:
        (id,) = submit(pool, again)
        until(lambda: trace.exists() and len(trace.read_text().split()) > 1 and pool.show(id)["state"] == "running")
        pool.remove([id], "cancelled")
        until(lambda: pool.show(id)["state"] == "removed")
        last = trace.read_text().split()[-1]
        until(lambda: not Path(f"/proc/{last}").exists())
