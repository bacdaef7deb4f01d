"""What the recorded exchanges cannot show of the OpenWhisk host: limits, throttles, restarts, processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import HTTPBasicAuth

from faasctl.local.openwhisk.auth import new_identity
from tests.parts.openwhisk import OpenWhisk, running

Json = Any
KIND = "python:3.11"
ECHO = "def main(args):\n    return args\n"
PID = "import os\ndef main(args):\n    return {'pid': os.getpid()}\n"
SLEEP = "import time\ndef main(args):\n    print('asleep', flush=True)\n    time.sleep(args['s'])\n    return {}\n"
SOON = 10.0
"""Seconds within which what happens in the background has happened."""


class Namespace:
    """A client of one namespace of a host."""

    def __init__(self, host: OpenWhisk, namespace: str = "guest") -> None:
        self.pid = host.pid
        self._base = f"{host.apihost}/api/v1/namespaces/_"
        self._session = requests.Session()
        self._session.trust_env = False
        user, _, key = host.auths[namespace].partition(":")
        self._session.auth = HTTPBasicAuth(user, key)

    def send(self, method: str, path: str, body: Json = None) -> requests.Response:
        return self._session.request(method, f"{self._base}/{path}", json=body, timeout=90)

    def action(self, name: str, code: str, **more: Json) -> None:
        body = {"exec": {"kind": KIND, "code": code}, **more}
        answer = self.send("PUT", f"actions/{name}?overwrite=true", body)
        assert answer.status_code == 200, answer.text

    def invoke(self, name: str, arguments: Json = None) -> requests.Response:
        return self.send("POST", f"actions/{name}?blocking=true", arguments or {})

    def result(self, name: str, arguments: Json = None) -> Json:
        return self.invoke(name, arguments).json()["response"]["result"]

    def activation(self, activation_id: str) -> Json:
        """The record, as soon as there is one."""
        return eventually(lambda: self._found(f"activations/{activation_id}"))

    def _found(self, path: str) -> Json:
        answer = self.send("GET", path)
        return answer.json() if answer.status_code == 200 else None


def eventually(look: Callable[[], Json]) -> Json:
    """What ``look`` finds, as soon as that is something."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("nothing came")


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> int:
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def start_of_a_minute() -> None:
    """Windows are calendar minutes: wait when the current one might end in the middle of a test."""
    if time.time() % 60 > 50:
        time.sleep(60.05 - time.time() % 60)


@pytest.fixture(scope="module")
def guest() -> Iterator[Namespace]:
    with running() as host:
        yield Namespace(host)


@pytest.fixture
def throttled() -> Iterator[Namespace]:
    with running(throttled=True) as host:
        yield Namespace(host)


@pytest.mark.timeout(150)
def test_invocations_are_counted_by_the_minute(throttled: Namespace) -> None:
    """Given 60 invocations a minute, when more come, then those are refused, and say how many there were."""
    throttled.action("echo", ECHO)
    start_of_a_minute()

    codes = [throttled.invoke("echo").status_code for _ in range(60)]
    refused = throttled.invoke("echo")

    assert codes == [200] * 60
    assert refused.status_code == 429
    assert refused.json()["error"] == "Too many requests in the last minute (count: 61, allowed: 60)."


@pytest.mark.timeout(150)
def test_a_throttled_rule_is_only_seen_in_the_triggers_log(throttled: Namespace) -> None:
    """Given a namespace at its limit, when a trigger is fired, then it is accepted, and its log tells the truth."""
    throttled.action("echo", ECHO)
    throttled.send("PUT", "triggers/tick", {})
    throttled.send("PUT", "rules/tock", {"trigger": "/_/tick", "action": "/_/echo"})
    start_of_a_minute()
    for _ in range(60):
        throttled.invoke("echo")

    fired = throttled.send("POST", "triggers/tick", {})

    assert fired.status_code == 202
    record = throttled.activation(fired.json()["activationId"])
    assert record["response"]["success"] is True
    assert record["logs"] == [
        '{"statusCode":1,"success":false,"rule":"guest/tock",'
        '"error":"Too many requests in the last minute (count: 61, allowed: 60).","action":"guest/echo"}'
    ]


@pytest.mark.timeout(150)
def test_fires_are_counted_by_the_minute(throttled: Namespace) -> None:
    """Given 60 fires a minute, when more come, then those are refused, with a rule or without."""
    throttled.send("PUT", "triggers/tick", {})
    start_of_a_minute()

    codes = [throttled.send("POST", "triggers/tick", {}).status_code for _ in range(61)]

    assert codes == [204] * 60 + [429]


@pytest.mark.timeout(150)
def test_activations_in_flight_are_bounded(throttled: Namespace) -> None:
    """Given 30 activations in flight, when many more come at once, then up to 31 slip through, the rest is refused."""
    throttled.action("sleep", SLEEP)
    start_of_a_minute()

    answers = [throttled.send("POST", "actions/sleep", {"s": 3}) for _ in range(40)]

    assert [answer.status_code for answer in answers] == [202] * 31 + [429] * 9
    assert answers[-1].json()["error"] == "Too many concurrent requests in flight (count: 31, allowed: 30)."


def test_an_action_is_killed_at_its_time_limit(guest: Namespace) -> None:
    """Given a limit of 300 ms, when an action sleeps on, then it is killed, its log kept, the next run is fresh."""
    guest.action("slow", SLEEP, limits={"timeout": 300})
    guest.result("slow", {"s": 0})

    began = time.monotonic()
    late = guest.invoke("slow", {"s": 60}).json()

    assert time.monotonic() - began < 5
    assert late["response"]["result"] == {"error": "The action exceeded its time limits of 300 milliseconds."}
    assert late["response"]["status"] == "action developer error"
    assert {"key": "timeout", "value": True} in late["annotations"]
    assert guest.activation(late["activationId"])["logs"][0].endswith("stdout: asleep")
    again = guest.invoke("slow", {"s": 0}).json()
    assert any(annotation["key"] == "initTime" for annotation in again["annotations"])


def test_an_import_is_killed_at_the_time_limit(guest: Namespace) -> None:
    guest.action("import", "import time\ntime.sleep(60)\ndef main(args):\n    return {}\n", limits={"timeout": 300})

    late = guest.result("import")

    assert late == {"error": "The action exceeded its time limits of 300 milliseconds during initialization."}


def test_an_action_is_killed_at_its_memory_limit(guest: Namespace) -> None:
    """Given 128 MB, when an action takes 400, then it is ended and told so."""
    code = "import time\ndef main(args):\n    hoard = bytearray(400 * 1024 * 1024)\n    time.sleep(60)\n    return {}\n"
    guest.action("hoard", code, limits={"memory": 128})

    assert guest.result("hoard") == {"error": "The action exhausted its memory and was aborted."}


def test_a_child_of_a_killed_action_is_killed_with_it(guest: Namespace) -> None:
    """Given an action that left a process behind, when it runs into its limit, then both are gone."""
    code = (
        "import subprocess, time\n"
        "def main(args):\n"
        "    print(subprocess.Popen(['sleep', '600']).pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    guest.action("parent", code, limits={"timeout": 500})

    late = guest.invoke("parent").json()

    child = int(guest.activation(late["activationId"])["logs"][0].split()[-1])
    assert eventually(lambda: not lives(child))


def test_what_outlasts_the_wait_goes_on(guest: Namespace) -> None:
    """Given a wait of 100 ms, when it elapses, then 202 is answered, and the record comes later."""
    guest.action("sleep", SLEEP)

    answer = guest.send("POST", "actions/sleep?blocking=true&timeout=100", {"s": 0.5})

    assert answer.status_code == 202
    assert answer.headers["x-openwhisk-activation-id"] == answer.json()["activationId"]
    assert guest.activation(answer.json()["activationId"])["response"]["success"] is True


def test_logs_beyond_their_limit_are_cut_and_say_so(guest: Namespace) -> None:
    code = "def main(args):\n    for n in range(3000):\n        print('x' * 999)\n    return {}\n"
    guest.action("talks", code, limits={"logs": 1})

    logs = guest.activation(guest.invoke("talks").json()["activationId"])["logs"]

    assert 1040 <= len(logs) <= 1060
    assert logs[-1].endswith("Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes.")


def test_a_container_is_kept_warm_until_its_action_changes(guest: Namespace) -> None:
    """Given an action that has run, when it runs again, it has the same process; when it is updated, another."""
    guest.action("pid", PID)
    first = guest.result("pid")
    second = guest.result("pid")

    guest.action("pid", PID)
    third = guest.result("pid")

    assert first == second != third
    assert eventually(lambda: not lives(first["pid"]))


def test_containers_are_not_shared_by_concurrent_activations(guest: Namespace) -> None:
    """Given one action, when it is invoked four times at once, then four processes run, one activation each."""
    guest.action("nap", "import os, time\ndef main(args):\n    time.sleep(0.5)\n    return {'pid': os.getpid()}\n")

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: guest.result("nap"), range(4)))

    assert len({result["pid"] for result in results}) == 4


def test_there_are_never_more_containers_than_allowed(guest: Namespace) -> None:
    """Given room for 16 processes, when 24 activations of 24 actions come at once, then 16 run, and all end well."""
    code = "import time\ndef main(args):\n    time.sleep(0.3)\n    return {'n': args['n']}\n"
    for number in range(24):
        guest.action(f"many{number}", code)

    most = 0
    with ThreadPoolExecutor(24) as pool:
        answers = [pool.submit(guest.result, f"many{number}", {"n": number}) for number in range(24)]
        while not all(answer.done() for answer in answers):
            most = max(most, children(guest.pid))
            time.sleep(0.01)

    assert [answer.result()["n"] for answer in answers] == list(range(24))
    assert most == 16


def test_parameters_for_init_are_the_environment_and_no_arguments(guest: Namespace) -> None:
    code = "import os\ndef main(args):\n    return {'args': args, 'env': os.environ.get('SECRET')}\n"
    parameters = [{"key": "SECRET", "value": {"a": [1, True, None]}, "init": True}, {"key": "plain", "value": 1}]
    guest.action("init", code, parameters=parameters)

    assert guest.result("init") == {"args": {"plain": 1}, "env": '{"a":[1,true,null]}'}


def test_the_key_is_given_only_to_those_that_ask_for_it(guest: Namespace) -> None:
    code = "import os\ndef main(args):\n    return {'key': os.environ.get('__OW_API_KEY')}\n"
    guest.action("with", code, annotations=[{"key": "provide-api-key", "value": True}])
    guest.action("without", code)

    assert guest.result("without") == {"key": None}
    assert ":" in guest.result("with")["key"]


def test_a_sequence_makes_one_record_of_many(guest: Namespace) -> None:
    """Given a sequence of three, when it is invoked, then its record is found by the components and names them."""
    guest.action("inc", "def main(args):\n    return {'n': args['n'] + 1}\n")
    guest.send("PUT", "actions/thrice", {"exec": {"kind": "sequence", "components": ["/_/inc"] * 3}})

    record = guest.invoke("thrice", {"n": 0}).json()

    assert record["response"]["result"] == {"n": 3}
    components = [guest.activation(activation_id) for activation_id in record["logs"]]
    assert {component["cause"] for component in components} == {record["activationId"]}
    assert record["duration"] == sum(component["duration"] for component in components)


def test_nobody_sees_what_another_namespace_keeps(guest: Namespace) -> None:
    """Given two namespaces, when one asks for what the other has, then it is refused, or not told."""
    with running() as host:
        guest, other = Namespace(host), Namespace(host, "functions")
        guest.action("mine", ECHO)
        guest.send("PUT", "packages/shared", {"publish": True})
        guest.send("PUT", "packages/private", {})
        guest.action("shared/echo", ECHO)
        base = f"{host.apihost}/api/v1/namespaces/guest"

        def status(method: str, path: str) -> int:
            return other._session.request(method, f"{base}/{path}", json={}, timeout=30).status_code

        assert status("GET", "actions/mine") == 403
        assert status("POST", "actions/mine") == 403
        assert status("GET", "packages/private") == 403
        assert status("GET", "packages/nothing") == 403
        assert status("DELETE", "actions/shared/echo") == 403
        assert status("GET", "activations") == 403
        assert status("GET", "actions/shared/echo") == 200
        assert status("POST", "actions/shared/echo?blocking=true") == 200


def test_entities_survive_a_restart(tmp_path: Path) -> None:
    """Given a host with a directory, when it is stopped and another started there, then every entity is as it was."""
    identity = new_identity("guest")
    collections = ("actions", "packages", "triggers", "rules")
    with running(identities=[identity], directory=tmp_path / "ow") as host:
        guest = Namespace(host)
        guest.send("PUT", "packages/pkg", {"parameters": [{"key": "p", "value": [1, {"x": None}]}]})
        guest.action("pkg/echo", ECHO, parameters=[{"key": "s", "value": "t", "init": True}])
        guest.send("PUT", "actions/seq", {"exec": {"kind": "sequence", "components": ["/_/pkg/echo"]}})
        guest.send("PUT", "triggers/tick", {"annotations": [{"key": "feed", "value": "/a/b"}]})
        guest.send("PUT", "rules/tock", {"trigger": "/_/tick", "action": "/_/seq"})
        guest.send("PUT", "rules/gone", {"trigger": "/_/tick", "action": "/_/seq"})
        guest.send("DELETE", "rules/gone")
        before = {name: guest.send("GET", name).json() for name in collections}
        details = [guest.send("GET", path).json() for path in ("triggers/tick", "actions/pkg/echo", "packages/pkg")]

    with running(identities=[identity], directory=tmp_path / "ow") as host:
        guest = Namespace(host)
        assert {name: guest.send("GET", name).json() for name in collections} == before
        assert details == [
            guest.send("GET", path).json() for path in ("triggers/tick", "actions/pkg/echo", "packages/pkg")
        ]
        assert guest.result("seq", {"a": 1}) == {"p": [1, {"x": None}], "a": 1}

    for file in (tmp_path / "ow").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_entities_survive_a_kill(tmp_path: Path) -> None:
    """Given a host that was killed with -9 after it had answered, when another starts, then nothing is missing."""
    identity = new_identity("guest")
    with running(identities=[identity], directory=tmp_path) as host:
        Namespace(host).action("echo", ECHO)
        os.kill(host.pid, signal.SIGKILL)

    with running(identities=[identity], directory=tmp_path) as host:
        assert Namespace(host).result("echo", {"a": 1}) == {"a": 1}


def test_a_host_that_ends_takes_its_containers_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a running action, when the host is stopped, then its process and its folders are gone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running() as host:
        guest = Namespace(host)
        guest.action("pid", PID)
        pid = guest.result("pid")["pid"]
        assert lives(pid)

    assert not lives(pid)
    assert list(tmp_path.iterdir()) == []


def test_the_foreground_command_tells_how_to_reach_it() -> None:
    """Given `faasctl local openwhisk`, when it is ready, then what it printed suffices; Ctrl-C ends it well."""
    command = [sys.executable, "-m", "faasctl", "local", "openwhisk", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            apihost = process.stdout.readline().split()[-1]
            auths = dict(process.stdout.readline().split() for _ in range(2))
            user, _, key = auths["functions:"].partition(":")
            seen = requests.get(f"{apihost}/api/v1/namespaces", auth=(user, key), timeout=10).json()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert seen == ["functions"]


def test_a_port_that_is_taken_is_an_error_with_a_hint() -> None:
    with running() as host:
        port = host.apihost.rpartition(":")[2]
        command = [sys.executable, "-m", "faasctl", "local", "openwhisk", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "choose another --port" in done.stderr


def test_a_conductor_leads_actions_sequences_and_conductors(guest: Namespace) -> None:
    """Given a conductor that names each kind of action in turn, when it is invoked, then each result reaches it."""
    guest.action("inc", "def main(args):\n    return {'n': args['n'] + 1}\n")
    guest.send("PUT", "actions/twice", {"exec": {"kind": "sequence", "components": ["/_/inc", "/_/inc"]}})
    conductor = [{"key": "conductor", "value": True}]
    leads = (
        "def main(args):\n    n = args['n']\n    return {'action': 'inc', 'params': {'n': n}} if n < 10 else {'n': n}\n"
    )
    guest.action("upto10", leads, annotations=conductor)
    outer = (
        "STEPS = ['inc', '/_/twice', 'upto10', 'nothing', 3]\n"
        "def main(args):\n"
        "    at, seen = args.get('at', 0), args.get('seen', [])\n"
        "    seen = seen + [args.get('n', args.get('error'))]\n"
        "    if at == len(STEPS):\n"
        "        return {'params': {'seen': seen}}\n"
        "    state = {'at': at + 1, 'seen': seen}\n"
        "    return {'action': STEPS[at], 'params': {'n': args.get('n')}, 'state': state}\n"
    )
    guest.action("outer", outer, annotations=conductor)

    record = guest.invoke("outer", {"n": 5}).json()

    assert record["response"]["result"]["seen"] == [
        5,
        6,
        8,
        10,
        "Failed to resolve action with name 'guest/nothing' during composition.",
        "Failed to parse action name from json value 3 during composition.",
    ]
    components = [guest.activation(activation_id) for activation_id in record["logs"]]
    assert [row["name"] for row in components] == [
        *("outer", "inc", "outer", "twice", "outer", "upto10", "outer", "outer", "outer")
    ]
    assert {row["cause"] for row in components} == {record["activationId"]}


def test_a_composition_that_never_ends_is_ended(guest: Namespace) -> None:
    guest.action("inc", ECHO)
    code = "def main(args):\n    return {'action': 'inc'}\n"
    guest.action("forever", code, annotations=[{"key": "conductor", "value": True}])

    assert guest.result("forever") == {"error": "Too many actions in the composition."}
