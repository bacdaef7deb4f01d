"""The host's action containers, judged by what a real one answered to the same requests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import requests

from faasctl.local.openwhisk.runtime.container import Container
from faasctl.local.openwhisk.runtime.http import DockerLog, RuntimeApp
from tests.contract.runtime_recording import cases, differences, request_of

Json = Any
API_HOST = "http://host.example:3233"
AFTERWARDS = 0.02
"""Seconds in which output still counted as a step's when the cases were recorded."""

SAFER = {
    "init-zip-corrupt",
    "init-zip-magic-only",
    "init-env-wait-for-ack-empty",
    "run-after-sigkill-idle",
    "run-after-sigint-idle",
    "run-concurrent-two",
    "run-concurrent-five",
    "run-client-gives-up-next-at-once",
}
"""Defects of the real container: not copied, the tests below say what is done instead."""
LEFT_OUT = {
    "run-cwd-kept": "the action writes to /tmp, which here is the machine's and not the container's own",
}
"""Cases that are not judged, and why."""

INIT = {
    "op": "init",
    "body": {"value": {"main": "main"}},
    "code": {"kind": "text", "text": "def main(args):\n    return args\n"},
}

CASES = {case["name"]: case for case in cases()}


class Bench:
    """One container behind its HTTP application, with all that it writes."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.written = {"stdout": bytearray(), "stderr": bytearray()}
        self.container = Container(
            folder,
            kind="python:3.11",
            environment={"__OW_API_HOST": API_HOST, **environment},
            stdout=DockerLog(self.written["stdout"].extend),
            stderr=DockerLog(self.written["stderr"].extend),
        )
        self._app = RuntimeApp(self.container)

    async def send(self, step: Json) -> Json:
        """The answer to an HTTP step; None when there is none in time."""
        path, body = request_of(step)
        path, _, query = path.partition("?")
        answer: dict[str, Json] = {"body": b""}

        async def receive() -> MutableMapping[str, Json]:
            return {"type": "http.request", "body": body}

        async def send(message: MutableMapping[str, Json]) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
                answer["headers"] = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer["body"] += message["body"]

        scope = {"type": "http", "method": step.get("method", "POST"), "path": path, "query_string": query.encode()}
        try:
            async with asyncio.timeout(step.get("timeout", 60)):
                await self._app(scope, receive, send)
        except TimeoutError:
            return None
        return {**answer, "body": answer["body"].decode()}

    async def take(self, step: Json) -> Json:
        """Do a step; what was seen, in the recording's shape."""
        response = None
        if step["op"] == "sleep":
            await asyncio.sleep(step["seconds"])
        elif step["op"] == "kill":
            assert self.container.pid is not None
            os.kill(self.container.pid, step["signal"])
            await asyncio.sleep(0.2)
        else:
            response = await self.send(step)
        await asyncio.sleep(AFTERWARDS)
        if (step.get("after") or {}).get("action_process") == "none":
            await self._gone()
        seen = {name: written.decode(errors="replace") for name, written in self.written.items()}
        for written in self.written.values():
            written.clear()
        return {"response": response, "after": "running" if self.container.alive else "none", **seen}

    async def _gone(self) -> None:
        """A process that ends after its answer takes longer on a busy machine than on the recording's."""
        for _ in range(500):
            if not self.container.alive:
                return
            await asyncio.sleep(AFTERWARDS / 2)


@pytest.mark.parametrize("name", [name for name in CASES if name not in LEFT_OUT and not CASES[name].get("defect")])
def test_answers_as_recorded(name: str, tmp_path: Path) -> None:
    """Given a fresh container, when a recorded case's requests are sent, then all that is firm is alike."""
    case = CASES[name]

    async def replay() -> list[str]:
        bench = Bench(tmp_path / "container", case.get("proxy_env", {}))
        found: list[str] = []
        try:
            for number, step in enumerate(case["steps"]):
                found += differences(step, await bench.take(step), number)
        finally:
            await bench.container.destroy()
        return found

    assert asyncio.run(replay()) == []


@pytest.fixture
def bench_folder(tmp_path: Path) -> Path:
    return tmp_path / "container"


def act(folder: Path, *steps: Json) -> list[Json]:
    """What a fresh container shows for each step."""

    async def play() -> list[Json]:
        bench = Bench(folder, {})
        try:
            return [await bench.take(step) for step in steps]
        finally:
            await bench.container.destroy()

    return asyncio.run(play())


def steps_of(name: str) -> list[Json]:
    return list(CASES[name]["steps"])


@pytest.mark.parametrize("name", ["init-zip-corrupt", "init-zip-magic-only"])
def test_an_archive_that_is_none_is_refused(name: str, bench_folder: Path) -> None:
    """Where the proxy panics and drops the connection, there is an answer, and a later init is possible."""
    refused, later = act(bench_folder, steps_of(name)[0], INIT)

    assert refused["response"]["status"] == 502
    assert "zip: " in refused["stderr"]
    assert later["response"]["status"] == 200


def test_init_is_answered_whatever_the_acknowledgement_variable_says(bench_folder: Path) -> None:
    """Where the proxy waits for ever, the acknowledgement is asked for all the same."""
    ready, *_ = act(bench_folder, *steps_of("init-env-wait-for-ack-empty"))

    assert ready["response"]["status"] == 200


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_died_idle_is_an_error_each_time(number: int, bench_folder: Path) -> None:
    """Where the proxy answers once and then never again, every run is answered."""
    run = {"op": "run", "body": {"value": {}}}

    *_, first, second = act(bench_folder, INIT, {"op": "kill", "signal": number}, run, run)

    assert [seen["response"]["status"] for seen in (first, second)] == [500, 500]
    assert first["stdout"] == second["stdout"] == ""


def test_overlapping_runs_take_turns(bench_folder: Path) -> None:
    """Where the proxy mixes answers up, the second run waits for the first, and each caller gets its own."""
    init, parallel, *_ = steps_of("run-concurrent-five")

    async def play() -> list[Json]:
        bench = Bench(bench_folder, {})
        try:
            await bench.send(init)
            runs = [{**step, "timeout": 30} for step in parallel["steps"]]
            return await asyncio.gather(*(bench.send(run) for run in runs))
        finally:
            await bench.container.destroy()

    answers = asyncio.run(play())

    assert [answer["body"] for answer in answers] == [f'{{"n": {n}}}\n' for n in range(5)]


def test_a_run_whose_caller_gave_up_does_not_disturb_the_next(bench_folder: Path) -> None:
    """Where the proxy gives the next caller a damaged answer, it gets its own, after the first has ended."""
    init, abandoned, following = steps_of("run-client-gives-up-next-at-once")

    _, first, second = act(bench_folder, init, abandoned, following)

    assert first["response"] is None
    assert second["response"]["body"] == '{"n": 2}\n'


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a/../../outside.txt"])
def test_an_archive_writes_nothing_outside_of_its_folder(name: str, bench_folder: Path) -> None:
    """Where the proxy lets an entry climb one level up, the archive is refused."""
    entries = [{"path": "__main__.py", "text": "def main(a): return a\n"}, {"path": name, "text": "x"}]
    body = {"value": {"binary": True, "main": "main", "name": "act"}}

    (seen,) = act(bench_folder, {"op": "init", "body": body, "code": {"kind": "zip", "entries": entries}})

    assert seen["response"]["status"] == 502
    assert not list(bench_folder.rglob("outside.txt"))
    assert not Path("/outside.txt").exists()


def test_nothing_of_the_host_is_seen_by_the_action(bench_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given secrets and paths in the host's environment, when an action looks, then it finds what a container has."""
    monkeypatch.setenv("FAAS_SECRET", "s3cret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    source = (
        "import os\n"
        "def main(a):\n"
        "    return {'env': dict(os.environ), 'fds': sorted(map(int, os.listdir('/proc/self/fd')))}\n"
    )
    init = {"op": "init", "body": {"value": {"main": "main"}}, "code": {"kind": "text", "text": source}}

    _, seen = act(bench_folder, init, {"op": "run", "body": {"value": {}}})

    found = json.loads(seen["response"]["body"])
    assert set(found["env"]) == {
        *("LC_CTYPE", "OLDPWD", "PWD", "SHLVL", "PYTHONIOENCODING"),
        *("__OW_API_HOST", "__OW_EXECUTION_ENV", "__OW_PROXY_VERSION", "__OW_WAIT_FOR_ACK"),
    }
    assert found["fds"][:4] == [0, 1, 2, 3]
    assert len(found["fds"]) == 5  # and the listing's own


def test_every_recorded_case_is_judged_or_named() -> None:
    """No case is lost: it is replayed, answered more safely in a test above, or left out by name."""
    defects = {name for name, case in CASES.items() if case.get("defect")}

    assert defects == SAFER
    assert set(LEFT_OUT) <= set(CASES)
    judged = len(CASES) - len(defects) - len(LEFT_OUT)
    print(f"{len(CASES)} recorded cases: {judged} replayed, {len(SAFER)} done more safely, {len(LEFT_OUT)} left out")


def test_the_container_is_a_server_of_its_own() -> None:
    """Given the runtime as a process, when it is sent /init and /run, then it answers, and ends on SIGTERM."""
    command = [sys.executable, "-m", "faasctl.local.openwhisk.runtime", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        try:
            url = f"http://127.0.0.1:{json.loads(process.stderr.readline())['port']}"
            code = "def main(a):\n    print('hello')\n    return {'n': a['n'] + 1}\n"
            ready = requests.post(f"{url}/init", json={"value": {"code": code}}, timeout=30)
            answer = requests.post(f"{url}/run", json={"value": {"n": 1}}, timeout=30)
        finally:
            process.terminate()

        assert (ready.status_code, ready.text) == (200, '{"ok":true}\n')
        assert (answer.status_code, answer.json()) == (200, {"n": 2})
        assert process.stdout.read() == "hello\nXXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"
        assert process.wait(20) == 0
