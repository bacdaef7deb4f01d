"""Anonymous means alone: on a pool started by root, with the project's configuration, jobs cannot reach each other."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventflow.clients import condor
from eventflow.clients.condor import HTCondorPool
from eventflow.exactly_once import PoolRefused, submit_exactly_once
from eventflow.function import Resources
from tests.integration.test_condor import job, until
from tests.parts import debian, htcondor
from tests.parts.htcondor import Pool

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests" / "htcondor"

ACCOUNTS = """
# Accounts that every Debian has and nobody uses here; a site makes its own.
CONDOR_IDS = 65534.65534
SLOT1_1_USER = news
SLOT1_2_USER = uucp
DEDICATED_EXECUTE_ACCOUNT_REGEXP = (news|uucp)
"""

VICTIM = b"""
import json, os, subprocess, time
open("secret", "w").write("the victim's")
child = subprocess.Popen(["sleep", "60"], env={"SECRET": "the victim's"})
stop = time.time() + 60
while time.time() < stop and not os.path.exists("stop"): time.sleep(0.2)
open("result.json", "w").write("{}")
"""

INTRUDER = b"""
import glob, json, os, signal
base = os.path.dirname(os.getcwd())
found = []
for folder in glob.glob(base + "/dir_*"):
    if folder == os.getcwd(): continue
    found.append(["seen", folder])
    for name in ("", "/secret", "/events.jsonl"):
        try:
            os.listdir(folder) if not name else open(folder + name).read()
            found.append(["read", folder + name])
        except OSError: pass
    try:
        open(folder + "/stop", "w")
        found.append(["wrote", folder])
    except OSError: pass
spool = os.path.join(os.path.dirname(base), "spool")
for parent, _, names in os.walk(spool):
    for name in names:
        if name in ("events.jsonl", "runner.py", "result.json"): found.append(["spool", os.path.join(parent, name)])
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        mine = os.stat("/proc/" + pid).st_uid == os.getuid()
        if mine: continue
        if b"victim" in open("/proc/%s/environ" % pid, "rb").read(): found.append(["environ", pid])
    except OSError: pass
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if "sleep" in open("/proc/%s/cmdline" % pid).read():
            os.kill(int(pid), signal.SIGCONT)
            found.append(["signalled", pid])
    except OSError: pass
json.dump({"uid": os.getuid(), "found": found}, open("result.json", "w"))
"""


@pytest.fixture(scope="module")
def part() -> Iterator[Pool]:
    if os.getuid() != 0:
        debian.missing("only root can start a pool whose jobs have accounts of their own")
    files = ("60-faas-schedd.conf", "60-faas-execute.conf", "60-faas-negotiator.conf")
    extra = "".join((MANIFESTS / name).read_text() for name in files) + ACCOUNTS
    with htcondor.condor(extra + "FAAS_OWNER = games\n", as_root=True) as running:
        yield running


@pytest.fixture(scope="module")
def pool(part: Pool) -> HTCondorPool:
    token = part.token(identity=f"games@{htcondor.DOMAIN}")
    return condor.schedds(part.collector, token, [part.schedd])[part.schedd]


def start(pool: HTCondorPool, key: str, runner: bytes) -> str:
    one = job(key=key, files={"events.jsonl": b"{}", "runner.py": runner})
    (result,) = submit_exactly_once(pool, [one], now=time.time())
    assert result.outcome == "submitted", result.reason
    return result.id or ""


def state(pool: HTCondorPool, key: str) -> str:
    return pool.lookup([key])[0].state


def test_jobs_cannot_reach_each_other(part: Pool, pool: HTCondorPool) -> None:
    victim = start(pool, "victim", VICTIM)
    until(lambda: state(pool, "victim") == "running")
    intruder = start(pool, "intruder", INTRUDER)
    until(lambda: state(pool, "intruder") == "completed")
    (result,) = part.home.glob(f"spool/{int(intruder.partition('.')[0]) % 10000}/0/*/result.json")
    report: dict[str, Any] = json.loads(result.read_text())
    assert [kind for kind, _ in report["found"]] == ["seen"]  # the folder's name is all there is to see
    assert state(pool, "victim") == "running"
    pool.remove([victim], "done")


def test_a_slot_without_an_account_starts_no_job(part: Pool, pool: HTCondorPool) -> None:
    ids = [start(pool, f"sleeper-{number}", VICTIM) for number in range(3)]
    until(lambda: [state(pool, f"sleeper-{number}") for number in range(3)].count("running") == 2)
    time.sleep(5)  # the third is matched again and again, and never starts
    assert [state(pool, f"sleeper-{number}") for number in range(3)].count("running") == 2
    assert not [path for path in part.home.glob("execute/dir_*/secret") if path.stat().st_uid == 65534]
    pool.remove(ids, "done")


def test_the_schedd_refuses_more_than_its_caps(pool: HTCondorPool) -> None:
    with pytest.raises(PoolRefused, match="games may request at most 16 cpus, not 17"):
        pool.submit([job(resources=Resources(cpus=17))])
    with pytest.raises(PoolRefused, match="at most 1 GPUs, not 2"):
        pool.submit([job(resources=Resources(gpus=2))])


def test_a_job_cannot_be_edited_past_the_caps(part: Pool, pool: HTCondorPool) -> None:
    (id,) = pool.submit([job(key="edited")])
    names = ("RequestCpus", "FaasExpires", "PeriodicRemove")
    before = part.run("condor_q", id, "-af:r", *names)
    for name in names:
        with contextlib.suppress(Exception):  # the bindings raise for some and are silent for others
            pool._connected().edit(id, name, "17")
    assert part.run("condor_q", id, "-af:r", *names) == before
    assert "FaasOverdue" in before
    pool.withdraw([id], "done")
