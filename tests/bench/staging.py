"""A gigabyte in and out of a real XRootD by the job's runner, beside curl, and what memory the runner takes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import requests

from eventflow import job as runner_package
from tests.bench.result import Result, against
from tests.parts.xrootd import XRootD, xrootd

SIZE = 1 << 30
ROUNDS = 3

STAGE = """
import json, resource, sys, time
import runner
event = json.load(open("event.json"))
began = time.perf_counter()
if sys.argv[1] == "in":
    runner.stage_in(runner.Grant(event["read"], runner.READ), "in")
else:
    runner.stage_out(runner.Grant(event["write"], runner.WRITE), "out")
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure() -> dict[str, Result]:
    """``stage.in_vs_curl`` and ``stage.out_vs_curl``: seconds for one file, the yardstick is curl's, best of rounds.

    The runner computes the file's adler32 and has it compared; curl does not. ``stage.runner_rss_mb`` is the most
    memory that the runner took.
    """
    into, out, curl_in, curl_out = [], [], [], []
    with xrootd() as server, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "out").mkdir()
        large = folder / "out/large"
        chance = random.Random(3)
        with large.open("wb") as file:
            for _ in range(SIZE >> 20):
                file.write(chance.randbytes(1 << 20))
        (folder / "runner.py").write_bytes(runner_package.source())
        (folder / "stage.py").write_text(STAGE)
        read, write = token(server, "/data/in/", "DOWNLOAD,UPLOAD,DELETE"), token(server, "/data/out/", "UPLOAD,DELETE")
        place = {"endpoint": server.endpoint, "ca": server.ca.read_text()}
        event = {
            "read": {**place, "path": "/data/in/large", "macaroon": read},
            "write": {**place, "path": "/data/out/", "macaroon": write},
        }
        (folder / "event.json").write_text(json.dumps(event))
        for _ in range(ROUNDS):
            curl_out.append(curl(server, read, "/data/in/large", "-T", str(large)))
            curl_in.append(curl(server, read, "/data/in/large", "-o", str(folder / "fetched")))
            into.append(runner(folder, "in"))
            (folder / "in/large").unlink()
            (folder / "in").rmdir()
            out.append(runner(folder, "out"))
            for path in (server.data / "data/in/large", server.data / "data/out/large"):
                path.unlink()
    return {
        "stage.in_vs_curl": against(min(into).seconds, "s", min(curl_in)),
        "stage.out_vs_curl": against(min(out).seconds, "s", min(curl_out)),
        "stage.runner_rss_mb": Result(round(max(one.memory_mb for one in into + out), 1), "MB"),
    }


class Stage(NamedTuple):
    """One file in or out: seconds without starting Python, and the most memory that the runner had."""

    seconds: float
    memory_mb: float


def runner(folder: Path, direction: str) -> Stage:
    """Stage the file by the job's runner."""
    done = subprocess.run(
        [sys.executable, "stage.py", direction], cwd=folder, capture_output=True, text=True, check=True
    )
    seconds, kilobytes = map(float, done.stdout.split())
    return Stage(seconds, kilobytes / 1024)


def curl(server: XRootD, bearer: str, path: str, *options: str) -> float:
    """Seconds that curl takes, with starting it."""
    header = ["-H", f"Authorization: Bearer {bearer}"]
    command = ["curl", "-sSf", "--cacert", str(server.ca), *header, *options, server.url(path)]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def token(server: XRootD, path: str, activities: str) -> str:
    """A macaroon of XRootD's own for a folder."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify, session.cert = str(server.ca), (str(server.certificate), str(server.key))
        body = json.dumps({"caveats": [f"activity:{activities}"], "validity": "PT1H"})
        headers = {"Content-Type": "application/macaroon-request"}
        answer = session.post(server.url(path), data=body, headers=headers, timeout=20)
        answer.raise_for_status()
        return str(answer.json()["macaroon"])
