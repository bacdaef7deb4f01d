"""The runner on a worker node: a real process, real TLS, and a storage that misbehaves on command."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from eventflow.job import runner
from tests.parts.faulty_storage import TOKEN, FaultyStorage, Handler, Seen, faulty_storage

RUNNER = Path(runner.__file__)
INPUT = "/data/raw/run 7/ä+b%c.root"
OUTPUT = "/data/out/ä+b%c.root.d/"
PNFSID = "0000FE8AB1AA1DBE4C73B0FB1DE12B32C1F6"
CONTENT = random.Random(7).randbytes(300_000)
COPY = """
import shutil
def main(event):
    shutil.copy(event["read"]["local"], event["write"]["local"] + "/copy")
    return {"size": event["read"]["size"]}
"""


@pytest.fixture
def storage() -> Iterator[FaultyStorage]:
    with faulty_storage() as storage:
        storage.files[INPUT] = CONTENT
        storage.pnfsids[INPUT] = PNFSID
        yield storage


class Ran:
    """A run of the runner: its exit code, its report and everything it said."""

    def __init__(self, sandbox: Path, code: int, said: str) -> None:
        self.code = code
        self.said = said
        self.result = json.loads((sandbox / "result.json").read_text())
        self.event = self.result["events"][0]


class Sandbox:
    """A job's folder, as the pool makes it."""

    def __init__(self, path: Path, storage: FaultyStorage) -> None:
        self.path = path
        self.storage = storage
        self.archive({"f.py": COPY})

    def archive(self, files: dict[str, str | bytes], mode: int = 0o100644) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                info = zipfile.ZipInfo(name)
                info.external_attr = mode << 16
                archive.writestr(info, content)
        self.zip = buffer.getvalue()

    def event(self, **changes: Any) -> dict[str, Any]:
        def place(path: str) -> dict[str, Any]:
            return {"path": path, "endpoint": self.storage.url, "ca": self.storage.ca, "macaroon": TOKEN}

        event: dict[str, Any] = {
            "schema": 1,
            "key": "id-1/ns.f",
            "type": "storage.written",
            "time": "2026-11-21T10:00:00Z",
            "subject": INPUT,
            "read": {**place(INPUT), "size": len(CONTENT), "pnfsid": PNFSID},
            "inputs": {},
            "write": place(OUTPUT),
            "exec": {
                "function": "ns.f",
                "version": "0.0.1",
                "code": "sha256:" + hashlib.sha256(self.zip).hexdigest(),
                "main": "f.py",
                "python": None,
                "command": None,
                "image": None,
                "setup": None,
                "env": {},
                "runtime": 30,
            },
            "params": {"x": 1},
            "lineage": [],
        }
        for path, value in changes.items():
            *parents, last = path.split("__")
            here = event
            for parent in parents:
                here = here[parent]
            here[last] = value
        return event

    def run(
        self, *events: dict[str, Any], patience: float = 2.0, command: Sequence[str] = (sys.executable,), **env: str
    ) -> Ran:
        (self.path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        (self.path / "function.zip").write_bytes(self.zip)
        text = RUNNER.read_text().replace("PATIENCE = 120.0", f"PATIENCE = {patience}")
        (self.path / "runner.py").write_text(text)
        done = subprocess.run(
            [*command, "runner.py"],
            cwd=self.path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (self.path / "result.json").exists(), done.stderr
        result = (self.path / "result.json").read_text()
        uploaded = b"".join(c for path, c in self.storage.files.items() if "/_faas/" in path).decode()
        for place in (result, done.stdout, done.stderr, uploaded):
            assert TOKEN not in place
            assert "capability" not in place
        assert not (self.path / "events.jsonl").exists()
        return Ran(self.path, done.returncode, done.stdout + done.stderr)


@pytest.fixture
def sandbox(tmp_path: Path, storage: FaultyStorage) -> Sandbox:
    return Sandbox(tmp_path, storage)


def output(storage: FaultyStorage, name: str) -> bytes:
    return storage.files[OUTPUT + name]


@pytest.mark.parametrize("redirect", [True, False])
def test_a_function_gets_its_input_and_its_output_arrives(
    sandbox: Sandbox, storage: FaultyStorage, redirect: bool
) -> None:
    storage.redirect = redirect
    ran = sandbox.run(sandbox.event())
    assert ran.code == 0, ran.said
    assert output(storage, "copy") == CONTENT
    assert ran.event["result"] == {"size": len(CONTENT)}
    assert ran.event["outputs"] == [
        {"path": OUTPUT + "copy", "size": len(CONTENT), "adler32": f"{zlib.adler32(CONTENT):08x}"}
    ]
    assert json.loads(output(storage, "_faas/result.json"))["exit"] == 0
    assert output(storage, "_faas/stdout") == output(storage, "_faas/stderr") == b""


def test_the_token_goes_to_the_door_alone(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.run(sandbox.event())
    at_pool = [seen for seen in storage.seen if seen.at == "pool"]
    assert {"GET", "PUT"} == {seen.method for seen in at_pool}
    assert all("authorization" not in seen.headers and "content-type" not in seen.headers for seen in at_pool)
    assert all("content-type" not in seen.headers for seen in storage.requests("PUT"))
    empty = [seen.headers["content-length"] == "0" for seen in storage.requests("PUT")]
    assert [seen.headers.get("expect") for seen in storage.requests("PUT")] == [
        None if none else "100-continue" for none in empty
    ]


def test_the_function_can_reach_no_token(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.archive(
        {
            "f.py": """
import json, os, pathlib, sys
def main(event):
    seen = [json.dumps(event), json.dumps(dict(os.environ)), " ".join(sys.argv)]
    for path in pathlib.Path(os.environ["HOME"]).parent.rglob("*"):
        if path.is_file(): seen.append(path.read_bytes().decode("latin-1"))
    for pid in ("self", str(os.getppid())):
        for name in ("environ", "cmdline"):
            try: seen.append(pathlib.Path("/proc", pid, name).read_bytes().decode("latin-1"))
            except OSError: pass
    for fd in os.listdir("/proc/self/fd"):
        if int(fd) > 2:
            try: seen.append(os.pread(int(fd), 1 << 20, 0).decode("latin-1"))
            except OSError: pass
    token = "-".join(["MDAx", "the", "token"])  # never whole in this file
    return {"found": sum(token in text for text in seen), "looked": len(seen), "environment": sorted(os.environ)}
"""
        }
    )
    ran = sandbox.run(sandbox.event(submit={"macaroon": TOKEN}), BEARER_TOKEN="x", X509_USER_PROXY="/x", KEPT="1")
    assert ran.code == 0, ran.said
    assert ran.event["result"]["found"] == 0
    assert ran.event["result"]["looked"] > 6
    assert "KEPT" in ran.event["result"]["environment"]
    assert not {"BEARER_TOKEN", "X509_USER_PROXY"} & set(ran.event["result"]["environment"])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run the runner under another account")
def test_the_function_cannot_read_the_runners_memory(storage: FaultyStorage) -> None:
    """Both run under one account, in which processes may by default look into each other."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        sandbox = Sandbox(Path(folder), storage)
        sandbox.archive(
            {
                "f.py": """
import os
def main(event):
    pid, seen = os.getppid(), []
    for name in ("mem", "environ", "maps"):
        try: seen.append(open("/proc/%d/%s" % (pid, name), "rb").read(1) and name)
        except OSError: pass
    return [os.getuid(), seen]
"""
            }
        )
        os.chown(folder, 65534, 65534)
        nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3")
        ran = sandbox.run(sandbox.event(), command=nobody)
    assert ran.code == 0, ran.said
    assert ran.event["result"] == [65534, []]


def test_an_event_may_precede_its_file(sandbox: Sandbox, storage: FaultyStorage) -> None:
    storage.fail(3, "PROPFIND", 404)
    storage.fail(1, "GET", 500)
    storage.fail(1, "GET", 503, at="pool")
    assert sandbox.run(sandbox.event(), patience=10).code == 0


@pytest.mark.parametrize(
    ("method", "status", "code"),
    [
        ("PROPFIND", 401, 10),
        ("GET", 401, 10),
        ("GET", 403, 10),
        ("PROPFIND", 404, 13),
        ("GET", 500, 11),
        ("GET", 409, 11),
        ("PUT", 401, 30),
        ("PUT", 403, 30),
        ("PUT", 507, 30),
        ("PUT", 500, 31),
    ],
)
def test_what_a_lasting_answer_means(
    sandbox: Sandbox, storage: FaultyStorage, method: str, status: int, code: int
) -> None:
    storage.fail(10_000, method, status)
    ran = sandbox.run(sandbox.event(), patience=0.3)
    assert (ran.code, ran.event["exit"]) == (code, code)
    assert str(status) in ran.event["reason"]


@pytest.mark.parametrize("method", ["PROPFIND", "GET", "PUT"])
def test_a_401_is_never_repeated(sandbox: Sandbox, storage: FaultyStorage, method: str) -> None:
    storage.fail(10_000, method, 401)
    sandbox.run(sandbox.event())
    assert len(storage.requests(method)) == 1


def test_a_failed_input_is_reported_beside_the_output(sandbox: Sandbox, storage: FaultyStorage) -> None:
    storage.fail(1, "GET", 403)
    assert sandbox.run(sandbox.event()).code == 10
    assert json.loads(output(storage, "_faas/result.json"))["exit"] == 10


def test_429_is_waited_for_as_told(sandbox: Sandbox, storage: FaultyStorage) -> None:
    storage.fail(2, "GET", 429, Retry_After="1")
    began = time.monotonic()
    assert sandbox.run(sandbox.event(), patience=0.1).code == 0
    assert time.monotonic() - began >= 2.0


def test_a_broken_download_goes_on_where_it_broke(sandbox: Sandbox, storage: FaultyStorage) -> None:
    left = [3]

    def cut(handler: Handler, seen: Seen) -> bool:
        if seen.method != "GET" or seen.at != "pool" or left[0] == 0:
            return False
        left[0] -= 1
        start = int(seen.headers.get("range", "bytes=0-")[6:].split("-")[0])
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(CONTENT) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        handler.end_headers()
        handler.wfile.write(CONTENT[start : start + 50_000])
        return True

    storage.faults.append(cut)
    ran = sandbox.run(sandbox.event(), patience=10)
    assert ran.code == 0, ran.said
    assert output(storage, "copy") == CONTENT
    ranges = [seen.headers.get("range") for seen in storage.requests("GET", "pool")]
    assert ranges == [None, "bytes=50000-299999", "bytes=100000-299999", "bytes=150000-299999"]


@pytest.mark.parametrize("times", [1, 99])
def test_a_corrupt_download_is_fetched_again_and_not_for_ever(
    sandbox: Sandbox, storage: FaultyStorage, times: int
) -> None:
    left = [times]

    def corrupt(handler: Handler, seen: Seen) -> bool:
        if seen.method != "GET" or seen.at != "pool" or left[0] == 0:
            return False
        left[0] -= 1
        handler.answer(200, body=b"x" + CONTENT[1:])
        return True

    storage.faults.append(corrupt)
    ran = sandbox.run(sandbox.event(), patience=10)
    assert ran.code == (0 if times == 1 else 11)
    assert len(storage.requests("GET", "pool")) == (2 if times == 1 else 3)


def test_a_corrupt_upload_is_sent_again(sandbox: Sandbox, storage: FaultyStorage) -> None:
    left = [1]

    def corrupt(handler: Handler, seen: Seen) -> bool:
        if seen.method != "PUT" or seen.at != "pool" or left[0] == 0:
            return False
        left[0] -= 1
        storage.files[seen.path] = handler.body()[:-1] + b"?"
        handler.answer(201, handler.facts(storage, seen.path))
        return True

    storage.faults.append(corrupt)
    assert sandbox.run(sandbox.event(), patience=10).code == 0
    assert output(storage, "copy") == CONTENT


def test_a_cut_upload_is_sent_again(sandbox: Sandbox, storage: FaultyStorage) -> None:
    left = [1]

    def cut(handler: Handler, seen: Seen) -> bool:
        if seen.method != "PUT" or seen.at != "pool" or left[0] == 0:
            return False
        left[0] -= 1
        storage.files[seen.path] = handler.rfile.read(1000)
        return True

    storage.faults.append(cut)
    assert sandbox.run(sandbox.event(), patience=10).code == 0
    assert output(storage, "copy") == CONTENT


@pytest.mark.parametrize("digests", [True, False])
def test_an_equal_file_counts_as_done_and_a_leftover_is_replaced(
    sandbox: Sandbox, storage: FaultyStorage, digests: bool
) -> None:
    storage.digests = digests
    storage.overwrite = False
    storage.files[OUTPUT + "copy"] = CONTENT
    storage.files[OUTPUT + "_faas/result.json"] = b"of an earlier try"
    assert sandbox.run(sandbox.event(), patience=10).code == 0
    assert OUTPUT + "copy" not in [seen.path for seen in storage.requests("PUT")]
    assert json.loads(output(storage, "_faas/result.json"))["exit"] == 0


def test_a_file_on_tape_is_not_opened(sandbox: Sandbox, storage: FaultyStorage) -> None:
    storage.locality = "NEARLINE"
    assert sandbox.run(sandbox.event()).code == 12
    assert not storage.requests("GET")


def test_a_replaced_file_is_superseded(sandbox: Sandbox, storage: FaultyStorage) -> None:
    storage.pnfsids[INPUT] = "0000" + "AB" * 16
    assert sandbox.run(sandbox.event()).code == 13
    assert not storage.requests("GET")


def test_a_missing_further_input_names_itself(sandbox: Sandbox, storage: FaultyStorage) -> None:
    event = sandbox.event()
    event["inputs"]["constants"] = {**event["write"], "path": "/data/constants/7.json"}
    ran = sandbox.run(event, patience=0.2)
    assert ran.code == 13
    assert "404" in ran.event["reason"]


def test_a_broken_token_is_not_quoted(sandbox: Sandbox, storage: FaultyStorage) -> None:
    ran = sandbox.run(sandbox.event(read__macaroon=TOKEN + "\n"))
    assert ran.code == 10
    assert "token" in ran.event["reason"]


def test_an_expired_token_is_not_even_sent(sandbox: Sandbox, storage: FaultyStorage) -> None:
    expired = base64.urlsafe_b64encode(b"002ecid before:2020-01-01T00:00:00Z\n").decode().rstrip("=")
    ran = sandbox.run(sandbox.event(read__macaroon=expired))
    assert ran.code == 40
    assert not storage.requests("PROPFIND")
    assert json.loads(output(storage, "_faas/result.json"))["exit"] == 40


def test_a_token_is_not_sent_in_clear_or_to_a_stranger(sandbox: Sandbox, storage: FaultyStorage) -> None:
    assert sandbox.run(sandbox.event(read__endpoint="http" + storage.url[5:])).code == 10
    ran = sandbox.run(sandbox.event(read__ca=None))
    assert ran.code == 10
    assert "certificate" in ran.event["reason"]
    assert not storage.requests("GET")


def test_outputs_keep_their_names_and_folders(sandbox: Sandbox, storage: FaultyStorage) -> None:
    names = ["sub/deep/a b.txt", "ü%2F?#.txt", "+&=;.txt", "empty"]
    sandbox.archive(
        {
            "f.py": f"""
import os
def main(event):
    for name in {names!r}:
        path = os.path.join(event["write"]["local"], name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").write("" if name == "empty" else name)
"""
        }
    )
    ran = sandbox.run(sandbox.event())
    assert ran.code == 0, ran.said
    assert {name: output(storage, name).decode() for name in names} == {n: "" if n == "empty" else n for n in names}


@pytest.mark.parametrize(
    "odd", ["os.symlink('/proc/self/environ', out + '/x')", "os.mkfifo(out + '/x')", "os.mkdir(out + '/_faas')"]
)
def test_outputs_that_are_no_files_are_the_functions_mistake(
    sandbox: Sandbox, storage: FaultyStorage, odd: str
) -> None:
    sandbox.archive({"f.py": f"import os\ndef main(event):\n    out = event['write']['local']\n    {odd}\n"})
    assert sandbox.run(sandbox.event()).code == 20


@pytest.mark.parametrize(
    "odd", ["os.mkfifo(path)", "os.symlink('/proc/self/environ', path)", "open(path, 'w').write('{')"]
)
def test_an_odd_answer_is_the_functions_mistake(sandbox: Sandbox, storage: FaultyStorage, odd: str) -> None:
    sandbox.archive({"go": f"#!/usr/bin/env python3\nimport os\npath = os.environ['FAAS_RESULT']\n{odd}\n"}, 0o100755)
    assert sandbox.run(sandbox.event(exec__command=["./go"])).code == 20


def test_a_redirect_may_be_in_plain_utf8(sandbox: Sandbox, storage: FaultyStorage) -> None:
    def redirect(handler: Handler, seen: Seen) -> bool:
        if seen.method != "GET" or seen.at != "door":
            return False
        handler.answer(302, {"Location": storage.pool_url + seen.path.replace(" ", "%20").replace("%c", "%25c")})
        return True

    storage.faults.append(redirect)
    assert sandbox.run(sandbox.event()).code == 0


def test_the_functions_own_words_are_left_alone(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.archive({"f.py": "def main(event): return event['params']"})
    params = {"submit": True, "macaroon": "a recipe"}
    assert sandbox.run(sandbox.event(params=params)).event["result"] == params


def test_a_job_without_its_code_says_so(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.zip = b""
    assert sandbox.run(sandbox.event()).code == 21


def test_a_function_that_fails_says_so_in_its_logs(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.archive({"f.py": "def main(event):\n    print('before')\n    raise ValueError('no pedestal')\n"})
    ran = sandbox.run(sandbox.event())
    assert ran.code == 20
    assert "ValueError: no pedestal" in ran.event["reason"]
    assert output(storage, "_faas/stdout") == b"before\n"
    assert b"Traceback" in output(storage, "_faas/stderr")


def test_logs_keep_head_and_tail(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.archive({"f.py": "def main(event):\n    print('first'); print('x' * 5_000_000); print('last')\n"})
    assert sandbox.run(sandbox.event()).code == 0
    log = output(storage, "_faas/stdout")
    assert log.startswith(b"first\n")
    assert log.endswith(b"xx\nlast\n")
    assert len(log) < 1_050_000
    assert b"bytes left out" in log


def test_a_function_over_its_runtime_is_stopped_with_all_it_started(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.archive(
        {
            "f.py": """
import subprocess, time, os
def main(event):
    subprocess.Popen(["sleep", "300"])
    print(os.getpgrp(), flush=True)
    time.sleep(300)
"""
        }
    )
    ran = sandbox.run(sandbox.event(exec__runtime=1))
    assert ran.code == 20
    assert "longer than 1 s" in ran.event["reason"]
    group = int(output(storage, "_faas/stdout"))
    stats = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
    assert [stat for stat in stats if int(stat[2]) == group and stat[0] != "Z"] == []


def test_it_needs_no_environment(sandbox: Sandbox, storage: FaultyStorage) -> None:
    ran = sandbox.run(sandbox.event(), command=("/usr/bin/env", "python3"))
    assert ran.code == 0, ran.said


def test_a_command_gets_paths_and_variables(sandbox: Sandbox, storage: FaultyStorage) -> None:
    script = '#!/bin/sh\ncp "$1" "$2/copy"\necho "$FAAS_KEY $SETTING {input}"\necho \'{"ok": 1}\' > "$FAAS_RESULT"\n'
    sandbox.archive({"bin/go": script}, mode=0o100755)
    ran = sandbox.run(sandbox.event(exec__command=["bin/go", "{input}", "{output}"], exec__env={"SETTING": "s"}))
    assert ran.code == 0, ran.event
    assert output(storage, "copy") == CONTENT
    assert output(storage, "_faas/stdout") == b"id-1/ns.f s {input}\n"
    assert ran.event["result"] == {"ok": 1}


def test_a_setup_script_is_sourced(sandbox: Sandbox, storage: FaultyStorage, tmp_path: Path) -> None:
    setup = tmp_path / "set up.sh"
    setup.write_text("export FROM_SETUP=yes\n")
    sandbox.archive({"f.py": "import os\ndef main(event):\n    return os.environ['FROM_SETUP']\n"})
    ran = sandbox.run(sandbox.event(exec__setup=str(setup)))
    assert (ran.code, ran.event["result"]) == (0, "yes"), ran.said


@pytest.mark.parametrize(
    "change",
    [
        {"exec__python": "3.99"},
        {"exec__code": "sha256:" + "0" * 64},
        {"exec__command": ["./not-there"]},
        {"exec__setup": "/not/there.sh"},
    ],
)
def test_the_wrong_place_to_run_is_its_own_exit(
    sandbox: Sandbox, storage: FaultyStorage, change: dict[str, Any]
) -> None:
    assert sandbox.run(sandbox.event(**change)).code == 21


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_an_archive_cannot_write_outside(sandbox: Sandbox, storage: FaultyStorage, name: str) -> None:
    sandbox.archive({name: "x"})
    assert sandbox.run(sandbox.event()).code == 21


def test_an_archive_cannot_bring_links(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.archive({"link": "/etc/passwd"}, mode=0o120777)
    assert sandbox.run(sandbox.event()).code == 21


def test_each_of_several_events_is_reported(sandbox: Sandbox, storage: FaultyStorage) -> None:
    missing = sandbox.event(key="id-2/ns.f", read__path="/data/raw/missing", read__pnfsid=None)
    malformed = {"schema": 1, "key": "id-3/ns.f"}
    ran = sandbox.run(sandbox.event(), missing, malformed, sandbox.event(key="id-4/ns.f"), patience=0.2)
    assert [event["exit"] for event in ran.result["events"]] == [0, 13, 10, 0]
    assert [event["key"] for event in ran.result["events"]] == [f"id-{n}/ns.f" for n in (1, 2, 3, 4)]
    assert ran.code == ran.result["exit"] == 13


OLD = sorted(Path("~/.pyenv/versions").expanduser().glob("3.[6-9].*/bin/python"))


@pytest.mark.skipif(not OLD, reason="no older Python on this machine")
@pytest.mark.parametrize("python", OLD, ids=lambda path: path.parts[-3])
def test_it_runs_on_old_worker_nodes(sandbox: Sandbox, storage: FaultyStorage, python: Path) -> None:
    ran = sandbox.run(sandbox.event(), command=[str(python)])
    assert ran.code == 0, ran.said
    assert output(storage, "copy") == CONTENT


@pytest.mark.parametrize(("answer", "told"), [("0", True), ("-1", False)])
def test_the_pool_learns_how_much_was_read_and_written(
    sandbox: Sandbox, tmp_path: Path, answer: str, told: bool
) -> None:
    """Given HTCondor's Chirp, which takes a cookie and attributes, then both sums are put into the job's ad; where it
    refuses, the job is done all the same."""
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def chirp() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rw") as stream:
                for line in stream:
                    lines.append(line.strip())
                    stream.write(f"{answer}\n")
                    stream.flush()

        thread = threading.Thread(target=chirp)
        thread.start()
        config = tmp_path / "chirp.config"
        config.write_text(f"127.0.0.1 {server.getsockname()[1]} the-cookie\n")
        ran = sandbox.run(sandbox.event(), _CONDOR_CHIRP_CONFIG=str(config))
        thread.join(30)
    size = len(CONTENT)
    words = ["cookie the-cookie", f"set_job_attr_delayed ChirpFaasBytesIn {size}"]
    assert lines == ([*words, f"set_job_attr_delayed ChirpFaasBytesOut {size}"] if told else words[:1])
    assert ran.code == 0
    assert ("the pool does not learn" in ran.said) is not told
