"""HTCondor beyond the port: limits, removal, errors, and an action's bare process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventflow.clients import condor
from eventflow.clients.condor import HTCondorPool
from eventflow.exactly_once import Job, PoolUnavailable, submit_exactly_once
from eventflow.function import Limits, Resources
from tests.parts import htcondor
from tests.parts.htcondor import Pool

EXTRA = """
GROUP_NAMES = group_faas
"""

SLEEP = b"import time\ntime.sleep(60)\nopen('result.json', 'w').write('{}')\n"

AS_AN_ACTION = """
import glob, json, os, sys
assert not {"PATH", "HOME"} & set(os.environ)
collector, token, schedd = json.load(sys.stdin)
from eventflow.clients import condor
from eventflow.errors import FaasError
from eventflow.exactly_once import Job
pool = condor.schedds(collector, token, [schedd])[schedd]
files = [path for path in glob.glob("/tmp/faas-condor-*/tokens/*") if open(path).read().strip() == token]
modes = [oct(os.stat(path).st_mode & 0o777) for path in files]
job = Job(
    key="k", function="ns.f", namespace="ns", version="1", code="sha256:0", origin="o", expires=2e9,
    files={"runner.py": b""},
)
try:
    pool.withdraw(pool.submit([job]), "done")
    print(json.dumps({"ok": True, "modes": modes}))
except FaasError as error:
    print(json.dumps({"ok": False, "error": type(error).__name__, "said": str(error), "hint": error.hint}))
"""


@pytest.fixture(scope="module")
def condor_part() -> Iterator[Pool]:
    with htcondor.condor(EXTRA) as running:
        yield running


@pytest.fixture(scope="module")
def pool(condor_part: Pool) -> HTCondorPool:
    names = [condor_part.schedd]
    return condor.schedds(condor_part.collector, condor_part.token(), names)[condor_part.schedd]


def job(function: str = "ns.f", **changes: Any) -> Job:
    described: dict[str, Any] = {
        "key": f"{uuid.uuid4()}/{function}",
        "function": function,
        "namespace": "ns",
        "version": "0.0.1",
        "code": "sha256:00",
        "origin": "billing/0/17",
        "expires": time.time() + 3600,
        "files": {"events.jsonl": b"{}", "runner.py": SLEEP},
    }
    return Job(**(described | changes))


def submit(pool: HTCondorPool, *jobs: Job) -> list[str]:
    results = submit_exactly_once(pool, jobs, now=time.time())
    assert {result.outcome for result in results} == {"submitted"}
    return [result.id or "" for result in results]


def states(pool: HTCondorPool, *jobs: Job) -> list[str]:
    return sorted(row.state for row in pool.lookup([job.key for job in jobs]))


def until(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def in_an_action(collector: str, token: str, schedd: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", AS_AN_ACTION],
        input=json.dumps([collector, token, schedd]),
        env={},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert token not in done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_an_action_without_path_and_home_can_submit(condor_part: Pool) -> None:
    token = condor_part.token()
    assert in_an_action(condor_part.collector, token, condor_part.schedd) == {"ok": True, "modes": ["0o600"]}
    assert not [path for path in Path("/tmp").glob("faas-condor-*/tokens/*") if path.read_text().strip() == token]


@pytest.mark.parametrize("trouble", ["read-only token", "garbage token", "no such schedd", "no collector"])
def test_the_platforms_own_trouble_is_an_outage(condor_part: Pool, trouble: str) -> None:
    """Every job would fail alike, so the events wait until somebody mends it."""
    token, schedd, collector = condor_part.token(), condor_part.schedd, condor_part.collector
    if trouble == "read-only token":
        token = condor_part.token("READ")
    elif trouble == "garbage token":
        token = "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"
    elif trouble == "no such schedd":
        schedd = "elsewhere"
    else:
        collector = "127.0.0.1:9"
    answer = in_an_action(collector, token, schedd)
    assert (answer["ok"], answer["error"]) == (False, "PoolUnavailable"), answer
    assert schedd in answer["said"]
    if "token" in trouble:
        assert "token" in answer["hint"]


def test_max_running_is_kept_by_the_pool(condor_part: Pool, pool: HTCondorPool) -> None:
    jobs = [job("ns.two", limits=Limits(max_running=2)) for _ in range(4)]
    others = [job("ns.any") for _ in range(3)]
    ids = submit(pool, *jobs, *others)
    until(lambda: states(pool, *others) == ["running"] * 3 and states(pool, *jobs).count("running") == 2)
    time.sleep(3)  # several negotiation cycles
    assert states(pool, *jobs) == ["idle", "idle", "running", "running"]
    pool.remove(ids, "done")


def test_a_job_over_its_runtime_is_removed(pool: HTCondorPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventflow.clients.condor_ad.STAGING_TIME", 1.0)
    long = job(resources=Resources(runtime=1))
    submit(pool, long)
    until(lambda: states(pool, long) == ["removed"])


def test_a_job_whose_tokens_have_expired_is_removed(condor_part: Pool, pool: HTCondorPool) -> None:
    waiting = job(resources=Resources(cpus=1, memory=10**15), expires=time.time() + 2)  # no machine has that
    (id,) = submit(pool, waiting)
    until(lambda: states(pool, waiting) == ["removed"])
    assert "FaasExpired" in condor_part.run("condor_q", id, "-af", "RemoveReason")


def test_what_a_job_says_of_itself(condor_part: Pool, pool: HTCondorPool) -> None:
    one = job(accounting_group="group_faas", attributes={"WantNice": True}, image=None)
    (id,) = submit(pool, one)
    names = ["FaasFunction", "FaasNamespace", "FaasVersion", "FaasCode", "FaasOrigin", "JobBatchName"]
    names += ["AcctGroup", "AcctGroupUser", "WantNice", "JobUniverse"]
    said = condor_part.run("condor_q", id, "-af", *names).split()
    assert said == ["ns.f", "ns", "0.0.1", "sha256:00", "billing/0/17", "ns.f", "group_faas", "ns", "true", "5"]
    pool.remove([id], "done")


def test_a_job_in_an_image_waits_for_a_machine_that_runs_containers(condor_part: Pool, pool: HTCondorPool) -> None:
    one = job(image="/cvmfs/unpacked.example/x:1")
    (id,) = submit(pool, one)
    assert condor_part.run("condor_q", id, "-af", "ContainerImage", "WantContainer").split() == [one.image, "true"]
    assert "HasContainer" in condor_part.run("condor_q", id, "-af:r", "Requirements")
    assert states(pool, one) == ["idle"]
    pool.remove([id], "done")


def test_a_batch_finds_its_keys_in_a_long_queue(pool: HTCondorPool) -> None:
    queued = [job("ns.many", limits=Limits(max_idle=10**6), resources=Resources(memory=10**15)) for _ in range(500)]
    ids = submit(pool, *queued)
    wanted = [one.key for one in queued[::2]] + [f"{uuid.uuid4()}/ns.many" for _ in range(250)]
    began = time.perf_counter()
    assert len(pool.lookup(wanted)) == 250
    print(f"lookup of 500 keys in {len(queued)} jobs: {(time.perf_counter() - began) * 1000:.1f} ms")
    pool.remove(ids, "done")


def test_a_schedd_that_comes_back_goes_on(condor_part: Pool, pool: HTCondorPool) -> None:
    before = job()
    submit(pool, before)
    condor_part.run("condor_off", "-fast", "-schedd")
    until(lambda: _is_away(pool))
    condor_part.run("condor_on", "-schedd")
    until(lambda: not _is_away(pool))
    (again,) = submit_exactly_once(pool, [before], now=time.time())
    assert again.outcome == "duplicate"
    pool.remove([again.id or ""], "done")


def _is_away(pool: HTCondorPool) -> bool:
    try:
        pool.lookup(["k"])
    except PoolUnavailable:
        return True
    return False


def test_what_a_dead_submitter_left_behind_is_redone(pool: HTCondorPool) -> None:
    one = job()
    (left,) = pool.submit([one])  # and dies before it spools
    assert submit_exactly_once(pool, [one], now=time.time())[0].outcome == "in_progress"
    (redone,) = submit_exactly_once(pool, [one], now=time.time() + 61)
    assert redone.outcome == "submitted"
    assert redone.id != left
    assert [row.id for row in pool.lookup([one.key])] == [redone.id]
    assert pool.spool({left: one}) == []  # it was slow only, and comes too late
    pool.remove([redone.id or ""], "done")
