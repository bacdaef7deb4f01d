"""What becomes of jobs after their submission: told, dead-lettered, and the end of a function that keeps failing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventflow.registry import IN_FORCE_MS
from faasctl import history
from faasctl.kafka import cluster
from faasfeeds.kafka import letters
from faasfeeds.kafka.journal import Journal, Topics
from tests.parts.platform import Platform, wait

BUDGET = 4

FUNCTION = """\
name: broken
namespace: demo
contact: demo@example.org
when: {path: "/demo/in/broken/{name}.txt"}
run: {main: broken.py}
write: /demo/out/broken/
resources: {cpus: 1, memory: 200MB, runtime: 5m}
"""
BROKEN = "def main(event):\n    raise ValueError('it always fails')\n"
FIXED = "def main(event):\n    return {'fixed': True}\n"


def told(platform: Platform, word: str) -> list[dict[str, Any]]:
    rows = [json.loads(one["value"]) for one in platform.read_topic("faas.outcomes")]
    return [row for row in rows if row["outcome"] == word and row["function"] == "demo.broken"]


@pytest.mark.timeout(400)
def test_a_function_that_keeps_failing_is_paused_and_goes_on_once_it_is_mended(
    platform: Platform, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "function.yaml").write_text(FUNCTION)
    (folder / "broken.py").write_text(BROKEN)
    policy = platform.stack.folder / "policies" / "demo.yaml"
    policy.write_text(f"{policy.read_text()}\nfailure_budget: {BUDGET}\n")
    platform.service("watcher").restart()
    platform.push(folder)

    for number in range(BUDGET):
        platform.put(f"/demo/in/broken/{number}.txt", b"text")
    wait(lambda: _paused(platform) or None, "the function to be paused", 90)
    assert len(told(platform, "failed")) == BUDGET
    letters = [one for one in platform.read_topic("faas.dead-letters") if "/demo.broken" in one["key"]]
    assert len(letters) == BUDGET
    assert {one["headers"]["faaserrordata"] for one in letters} == {"exit 20: the function failed"}

    time.sleep(IN_FORCE_MS / 1000)
    platform.put("/demo/in/broken/late.txt", b"text")
    platform.put("/demo/in/others/go-on.csv", b"channel,counts\n1,2\n")
    wait(lambda: told(platform, "parked") or None, "the late file to be parked")
    assert platform.job_of("/demo/in/others/go-on.csv")["exit"] == 0

    (folder / "broken.py").write_text(FIXED)
    platform.push(folder)
    platform.faasctl("fn", "resume", "demo.broken")
    platform.put("/demo/in/broken/after.txt", b"text")
    parked = {row["key"] for row in told(platform, "parked")}
    done = wait(lambda: _by_key(told(platform, "completed"), parked), "the parked file's job", 120)
    assert done["run"]["exit"] == 0

    redriven = _redrive_one(platform)
    done = wait(lambda: _by_key(told(platform, "completed"), {redriven}), "the redriven one's job", 120)
    assert done["key"].endswith("/demo.broken#1")

    state = _status(platform)
    (one,) = (row for row in state["functions"] if row["name"] == "demo.broken")
    assert (one["day"]["completed"], one["day"]["failed"], one["paused"]) == (
        len(told(platform, "completed")),
        BUDGET,
        None,
    )
    (feed,) = state["feeds"]
    assert (feed["trigger"], feed["imbalance"]) == ("/guest/storage-events", [0, 0])
    assert state["dead"]["exit_20"] >= BUDGET  # other functions fail, too
    assert any("faasctl dlq list" in need for need in state["needs"])

    traces = json.loads(platform.faasctl("event", "trace", "/demo/in/broken/late.txt", "-o", "json"))
    (late,) = (one for one in traces if "completed" in one["state"])  # the job's own read of it is an event, too
    assert all(one["state"] == "filtered: no function waited for it" for one in traces if one is not late)
    assert late["state"] == "demo.broken: completed"
    assert late["steps"][0]["what"] == "written"
    assert {"parked", "submitted", "completed", "mint_tokens"} <= {step["what"] for step in late["steps"]}
    (used,) = (row for row in json.loads(platform.faasctl("usage", "-o", "json")) if row["name"] == "demo.broken")
    ended = [row for row in platform.jobs("demo.broken") if row["state"] == "completed"]
    assert (used["jobs"], used["failed"]) == (len(ended), sum(row["exit"] != 0 for row in ended))
    assert used["wall_hours"] > 0
    moved = [event for row in ended for event in platform.pool.show(row["id"])["result"]["events"]]
    assert used["bytes_in"] == sum(event["bytes_in"] for event in moved) >= len(moved) * len(b"text")
    assert used["bytes_out"] == sum(event["bytes_out"] for event in moved)


def _redrive_one(platform: Platform) -> str:
    """Send a dead letter of a failed job again; returns the key of its second run."""
    brokers, names = cluster(platform.env), platform.env.kafka
    records = history.records(brokers, (names.dead_letters,), 0)
    letter = next(one for one in map(letters.decode, records) if "/demo.broken" in one.key)
    journal = Journal(brokers, Topics(outcomes=names.outcomes, dead_letters=names.dead_letters, parked=names.parked))
    journal.write([], parked=[msgspec.structs.replace(letter, redriven=True)])
    journal.close()
    return letter.key


def _status(platform: Platform) -> dict[str, Any]:
    """What `faasctl status` says, which ends with 1 since there are dead letters."""
    said = subprocess.run(
        [sys.executable, "-m", "faasctl", "status", "-o", "json", "--env-file", str(platform.stack.environment_file)],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 1, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def _by_key(rows: list[dict[str, Any]], keys: set[str]) -> dict[str, Any] | None:
    return next((row for row in rows if row["key"] in keys), None)


def _paused(platform: Platform) -> bool:
    functions = json.loads(platform.faasctl("fn", "list", "-o", "json"))
    return any(row["name"] == "demo.broken" and row["paused"] == "park" for row in functions)
