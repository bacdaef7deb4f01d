"""What a job may touch is in its tokens: its input, its output directory, until they end, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
import requests

from eventflow import policy
from eventflow.batch import Item, Origin
from eventflow.event import Data, Event
from eventflow.macaroon import narrow
from eventflow.minting import Tokens, mint
from eventflow.parents import READ, WRITE, Parents
from eventflow.policy import Policy
from eventflow.registry import IN_FORCE_MS
from faasctl.functions import site
from faasctl.functions.file import load, load_policy
from tests.parts.platform import FUNCTIONS, Platform, wait

SUBJECT = "/demo/in/confined/a.csv"
OUTPUT = "/demo/out/confined/a.csv.d/"


@pytest.fixture(scope="module")
def parents(platform: Platform) -> Parents:
    """Minting with the platform's own credential, as `mint_tokens` does it."""
    return Parents(site.storages(platform.env), now=time.time)


@pytest.fixture(scope="module")
def rules() -> Policy:
    return load_policy(FUNCTIONS.parent / "policies" / "demo.yaml")


def item(subject: str) -> Item:
    event = Event(id="e", source="s", type="storage.written", subject=subject, time="", data=Data(path=subject))
    captures = {"run": "confined", "name": "a"}
    return Item(origin=Origin("t", 0, 0), event=event, function="demo.calibrate", captures=captures)


@pytest.fixture(scope="module")
def tokens(platform: Platform, parents: Parents, rules: Policy) -> Tokens:
    """The tokens of a job for `SUBJECT`."""
    for name in ("a.csv", "a.csv.bak", "b.csv"):
        platform.put(f"/demo/in/confined/{name}", b"channel,counts\n1,2\n")
    return mint(item(SUBJECT), load(FUNCTIONS / "calibrate"), {"demo": rules}, parents, b"k" * 32, time.time())


def ask(platform: Platform, method: str, path: str, token: str | None, body: bytes | None = None) -> int:
    """One request with nothing but a token; the status behind the redirects."""
    headers = {"Destination": platform.url("/demo/out/stolen")} if method == "MOVE" else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    session = requests.Session()
    session.trust_env = False
    session.verify = platform.storage.verify
    return session.request(method, platform.url(path), headers=headers, data=body).status_code


def test_it_can_do_its_work(platform: Platform, tokens: Tokens) -> None:
    assert ask(platform, "GET", SUBJECT, tokens.read) == 200
    assert ask(platform, "PUT", OUTPUT + "new.txt", tokens.write, b"x") == 201
    assert ask(platform, "PUT", OUTPUT + "deeper/new.txt", tokens.write, b"x") == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/demo/in/confined/b.csv"),
        ("GET", "/demo/in/confined/a.csv.bak"),
        ("GET", "/demo/in/confined/../confined/b.csv"),
        ("GET", OUTPUT + "new.txt"),
        ("PUT", SUBJECT),
        ("PUT", "/demo/in/confined/new.csv"),
        ("DELETE", SUBJECT),
        ("MOVE", SUBJECT),
        ("PUT", OUTPUT + "by-the-read-token.txt"),
    ],
)
def test_the_read_token_reads_its_input_and_nothing_else(
    platform: Platform, tokens: Tokens, method: str, path: str
) -> None:
    assert ask(platform, method, path, tokens.read, b"x" if method == "PUT" else None) in (401, 403)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/demo/out/confined/elsewhere.txt"),
        ("PUT", "/demo/out/confined/a.csv.d2/x"),
        ("PUT", "/demo/in/confined/x.csv"),
        ("DELETE", SUBJECT),
        ("GET", SUBJECT),
        ("GET", OUTPUT + "new.txt"),
        ("MOVE", OUTPUT + "new.txt"),
    ],
)
def test_the_write_token_writes_its_directory_and_nothing_else(
    platform: Platform, tokens: Tokens, method: str, path: str
) -> None:
    assert ask(platform, method, path, tokens.write, b"x" if method == "PUT" else None) in (401, 403)


@pytest.mark.parametrize(("activities", "method", "path"), [(READ, "GET", SUBJECT), (WRITE, "PUT", OUTPUT + "late")])
def test_a_token_dies_on_time(
    platform: Platform, parents: Parents, rules: Policy, activities: frozenset[str], method: str, path: str
) -> None:
    token = parents.token(SUBJECT if activities == READ else OUTPUT, activities, rules, time.time() + 2)
    body = b"x" if method == "PUT" else None
    assert ask(platform, method, path, token, body) in (200, 201)
    wait(lambda: ask(platform, method, path, token, body) == 401 or None, "the token's end", timeout=10)


def test_a_child_cannot_be_widened(platform: Platform, tokens: Tokens) -> None:
    wider = narrow(tokens.read, "dcache", prefix=SUBJECT, path=SUBJECT, activities=["DOWNLOAD", "UPLOAD"], expires=4e9)
    assert ask(platform, "GET", SUBJECT, wider) == 401


def test_the_policy_is_asked_again_at_minting(platform: Platform, parents: Parents, rules: Policy) -> None:
    with pytest.raises(policy.PolicyError, match="read"):
        mint(
            item("/demo/private/a.csv"), load(FUNCTIONS / "calibrate"), {"demo": rules}, parents, b"k" * 32, time.time()
        )
    closed = msgspec.structs.replace(rules, disabled=True)
    with pytest.raises(policy.PolicyError, match="disabled"):
        mint(item(SUBJECT), load(FUNCTIONS / "calibrate"), {"demo": closed}, parents, b"k" * 32, time.time())


def test_the_job_finds_no_token_in_its_own_process(platform: Platform, tmp_path: Path) -> None:
    """Given a function that looks everywhere it can, when it runs as a job, then it finds no macaroon."""
    (tmp_path / "function.yaml").write_text(
        "name: thief\nnamespace: demo\ncontact: c@example.org\nwhen: {path: '/demo/in/thief/*.txt'}\n"
        "run: {main: thief.py}\nwrite: /demo/out/thief/\nresources: {runtime: 2m}\n"
    )
    (tmp_path / "thief.py").write_text(THIEF)
    platform.faasctl("fn", "push", str(tmp_path))
    time.sleep(IN_FORCE_MS / 1000)  # from then on, a push is promised to be in force
    platform.put("/demo/in/thief/bait.txt", b"bait")
    job = platform.job_of("/demo/in/thief/bait.txt")
    platform.faasctl("fn", "remove", "--yes", "demo.thief")
    assert job["exit"] == 0, job
    found = job["result"]["events"][0]["result"]
    assert found["looked"] > 5
    assert found["macaroons"] == []


THIEF = """
import os, pathlib

def main(event):
    looked, macaroons = 0, []
    beginning = "".join(map(chr, (77, 68, 65, 120)))  # of every macaroon; not spelled out, or it finds itself
    texts = {"event": repr(event), "environ": repr(dict(os.environ))}
    roots = [pathlib.Path.cwd(), pathlib.Path.cwd().parent, *pathlib.Path(event["read"]["local"]).parents[:2]]
    for root in roots:
        for path in root.rglob("*"):
            try:
                if path.is_file():
                    texts[str(path)] = path.read_bytes().decode("latin-1")
            except OSError:
                pass
    for number in range(256):
        try:
            os.set_blocking(number, False)
            texts[f"fd {number}"] = os.read(number, 65536).decode("latin-1")
        except OSError:
            pass
    for name in ("environ", "cmdline"):
        texts[f"parent's {name}"] = pathlib.Path(f"/proc/{os.getppid()}/{name}").read_bytes().decode("latin-1")
    for where, text in texts.items():
        looked += 1
        if beginning in text:
            macaroons.append(where)
    return {"looked": looked, "macaroons": macaroons}
"""
