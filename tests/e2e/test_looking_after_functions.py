"""Day by day: a function is run by hand, its runs are looked at, it is paused, and what waits is cancelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventflow.errors import FaasError, UsageError
from eventflow.registry import IN_FORCE_MS
from faasctl.functions.rehearsal import DoesNotFire
from faasctl.main import cli
from tests.e2e.test_light_functions import light
from tests.parts.platform import Platform, wait

COPY = """
import shutil, sys, time


def main(event):
    print("copying", event["subject"])
    print("a warning", file=sys.stderr)
    if "hold" in event["subject"]:
        time.sleep(600)
    shutil.copy(event["read"]["local"], event["write"]["local"] + "/copy")
    return {"copied": 1}
"""


@pytest.fixture
def name(platform: Platform, tmp_path: Path) -> Iterator[str]:
    """A function of one's own for /demo/in/NAME/{run}/*.txt, in force; removed at the end."""
    found = f"copy{uuid.uuid4().hex[:8]}"
    folder = tmp_path / found
    folder.mkdir()
    spec = {
        "name": found,
        "namespace": "demo",
        "contact": "me",
        "when": {"path": f"/demo/in/{found}/{{run}}/*.txt"},
        "run": {"main": "copy_it.py"},
        "write": f"/demo/out/{found}/{{run}}-done/",
        "resources": {"memory": "200MB", "runtime": "20m"},
        "limits": {"max_running": 1},
    }
    (folder / "function.yaml").write_text(json.dumps(spec))
    (folder / "copy_it.py").write_text(COPY)
    platform.push(folder)
    yield found
    platform.faasctl("fn", "remove", f"demo.{found}", "--yes")


def test_what_a_job_printed_is_shown_by_event_and_by_time(platform: Platform, name: str) -> None:
    # given
    for file in ("a", "b"):
        platform.put(f"/demo/in/{name}/r7/{file}.txt", b"x")
        platform.job_of(f"/demo/in/{name}/r7/{file}.txt")

    # when
    one = platform.faasctl("fn", "logs", f"demo.{name}", "--event", f"/demo/in/{name}/r7/a.txt")
    recent = [json.loads(line) for line in platform.faasctl("fn", "logs", f"demo.{name}", "-o", "json").splitlines()]
    later = platform.faasctl("fn", "logs", f"demo.{name}", "--since", "2099-01-01T00:00:00Z")

    # then
    assert f"/demo/in/{name}/r7/a.txt  exit 0\n  copying /demo/in/{name}/r7/a.txt\n! a warning\n" in one
    assert [(run["subject"], run["exit"], run["result"]) for run in recent] == [
        (f"/demo/in/{name}/r7/{file}.txt", 0, {"copied": 1}) for file in ("a", "b")
    ]
    assert later == ""


def test_whoever_has_a_token_of_their_own_needs_no_credential_of_the_platform(
    platform: Platform, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: the environment's file as a scientist has it, without the storage's password
    text = platform.stack.environment_file.read_text()
    password = platform.env.storages[0].credentials["default"].basic
    assert password is not None
    bare = platform.stack.folder / "bare.yaml"
    bare.touch(mode=0o600)
    bare.write_text(text.replace(password.password.reveal(), "${env:NOT_AT_HAND}"))
    words = ("fn", "logs", f"demo.{name}", "--env-file", str(bare))

    # then
    with pytest.raises(UsageError, match="is not at hand"):
        cli.main(list(words), standalone_mode=False)
    monkeypatch.setenv("FAASCTL_STORAGE_TOKEN", platform.stack.status["storage"]["token"])
    cli.main(list(words), standalone_mode=False)


def test_logs_follow_what_ends(platform: Platform, name: str) -> None:
    # given
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "faasctl", "fn", "logs", f"demo.{name}", "--follow", "--since", "10m"]
    command += ["--env-file", str(platform.stack.environment_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as following:
        try:
            # when
            assert following.stdout is not None
            platform.put(f"/demo/in/{name}/r8/c.txt", b"x")

            # then
            assert f"/demo/in/{name}/r8/c.txt  exit 0" in following.stdout.readline()
            assert f"copying /demo/in/{name}/r8/c.txt" in following.stdout.readline()
        finally:
            following.send_signal(signal.SIGINT)
        assert following.wait(timeout=20) == 0


def test_a_function_is_run_by_hand_as_often_as_one_likes(platform: Platform, name: str) -> None:
    # given: a file that was there before anybody waited for it
    path = f"/demo/in/{name}/r1/a.txt"
    platform.put(path, b"x")
    platform.job_of(path)

    # when
    said = [json.loads(platform.faasctl("fn", "invoke", f"demo.{name}", path, "-o", "json")) for _ in range(2)]

    # then: each is a job of its own, and nothing but this function ran
    assert {one["outcome"] for one in said} == {"submitted"}
    assert len({one["job"] for one in said}) == 2
    for one in said:
        shown = wait(lambda one=one: _ended(platform, one["job"]), "the job")  # type: ignore[misc]
        assert shown["exit"] == 0, shown
    assert len(platform.jobs(f"demo.{name}")) == 3

    # and: what cannot be is said
    with pytest.raises(DoesNotFire, match="does not match"):
        platform.faasctl("fn", "invoke", f"demo.{name}", "/demo/in/run7")
    with pytest.raises(FaasError, match="there is no such file"):
        platform.faasctl("fn", "invoke", f"demo.{name}", f"/demo/in/{name}/r1/absent.txt")
    platform.faasctl("fn", "pause", f"demo.{name}")
    time.sleep(IN_FORCE_MS / 1000)
    with pytest.raises(FaasError, match="the function is paused"):
        platform.faasctl("fn", "invoke", f"demo.{name}", path)


def _ended(platform: Platform, job: str) -> dict[str, object] | None:
    shown = platform.pool.show(job)
    return shown if shown["state"] == "completed" else None


def _states(platform: Platform, function: str) -> list[str]:
    return sorted(job["state"] for job in platform.jobs(function))


def test_waiting_jobs_are_cancelled_and_running_ones_go_on(platform: Platform, name: str) -> None:
    # given: more jobs than the function may run at once
    full = f"demo.{name}"
    paths = [f"/demo/in/{name}/r1/hold{number}.txt" for number in range(3)]
    for path in paths:
        platform.put(path, b"x")
    wait(lambda: _states(platform, full) == ["idle", "idle", "running"] or None, "a job to run and two to wait")

    # when
    try:
        said = platform.faasctl("fn", "cancel", full, "--yes")

        # then
        assert _states(platform, full) == ["removed", "removed", "running"]
        assert f"2 waiting jobs of {full} removed" in said
    finally:
        platform.pool.remove([job["id"] for job in platform.jobs(full)], "the test is over")


def test_what_a_light_function_printed_is_shown(platform: Platform, tmp_path: Path) -> None:
    # given
    name = f"words{uuid.uuid4().hex[:8]}"
    platform.push(light(tmp_path, name))
    for file, words in (("a", b"one two"), ("b", b"bad")):
        platform.put(f"/demo/in/{name}/{file}.txt", words)
    platform.drained()

    # when
    text = platform.faasctl("fn", "logs", f"demo.{name}")
    by_hand = platform.faasctl("fn", "invoke", f"demo.{name}", f"/demo/in/{name}/a.txt")
    rows = platform.faasctl("fn", "logs", f"demo.{name}", "--event", f"/demo/in/{name}/b.txt", "-o", "json")
    platform.faasctl("fn", "remove", f"demo.{name}", "--yes")

    # then
    assert f"/demo/in/{name}/a.txt  exit 0\n  counting /demo/in/{name}/a.txt\n" in text
    (run,) = [json.loads(line) for line in rows.splitlines()]
    assert run["exit"] == 20
    assert "ValueError: there is something bad in it" in run["reason"]
    assert by_hand == f"demo.{name} 0.0.1: done\n"


def test_events_of_a_paused_function_wait_and_come_back(platform: Platform, name: str) -> None:
    # given
    full = f"demo.{name}"
    platform.faasctl("fn", "pause", full)
    time.sleep(IN_FORCE_MS / 1000)

    # when: a file comes meanwhile
    platform.put(f"/demo/in/{name}/r1/a.txt", b"x")
    wait(lambda: platform.parked(full) or None, "its event to be parked")
    assert platform.jobs(full) == []
    platform.faasctl("fn", "resume", full)

    # then: it comes back by itself
    assert platform.job_of(f"/demo/in/{name}/r1/a.txt")["exit"] == 0


def test_events_of_a_function_that_drops_are_let_go(platform: Platform, name: str) -> None:
    # given
    full = f"demo.{name}"
    platform.faasctl("fn", "pause", full, "--drop")
    time.sleep(IN_FORCE_MS / 1000)

    # when
    platform.put(f"/demo/in/{name}/r1/lost.txt", b"x")
    platform.drained()
    platform.faasctl("fn", "resume", full)
    time.sleep(IN_FORCE_MS / 1000)
    platform.put(f"/demo/in/{name}/r1/kept.txt", b"x")

    # then
    platform.job_of(f"/demo/in/{name}/r1/kept.txt")
    assert len(platform.jobs(full)) == 1
