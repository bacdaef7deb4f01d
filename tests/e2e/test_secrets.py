"""No token and no key appears in the clear: not in what OpenWhisk keeps, on Kafka, in logs, plans or the queue."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from eventflow.seal import keys_from_text
from faasctl.environment.secret import secrets_in
from tests.e2e.test_main_job import written
from tests.parts.platform import Platform

MACAROON = "MDAx"
"""How every macaroon begins."""


@pytest.fixture(scope="module")
def seen(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Everything that anybody but the platform may come to see, after a job, a failure and a refusal."""
    platform.put("/demo/in/scan/a.csv", b"channel,counts\n1,2\n")
    platform.job_of("/demo/in/scan/a.csv")
    platform.put("/demo/in/scan/bad.csv", b"this is no table\n")
    platform.job_of("/demo/in/scan/bad.csv")
    platform.send("not json", written("/demo/in/../etc"))
    platform.drained()
    plan = tmp_path_factory.mktemp("plan") / "plan.json"
    texts = {
        "plan": platform.faasctl("plan", "--out", str(plan), "-o", "json"),
        "plan file": plan.read_text(),
        "secret": platform.faasctl("secret", "list") + platform.faasctl("secret", "list", "-o", "json"),
        "fn": platform.faasctl("fn", "list", "-o", "json") + platform.faasctl("fn", "show", "demo.calibrate"),
        "activations": json.dumps(platform.openwhisk.get("activations", limit=200, docs="true")),
        "dead letters": str(platform.read_topic(platform.env.kafka.dead_letters)),
        "outcomes": "".join(
            file.read_text() for file in platform.stack.folder.glob("registrations/*") if "outcome" in file.name
        )
        or str(platform.read_topic(platform.env.kafka.outcomes)),
        "queue": json.dumps(platform.pool.jobs()),
        "jobs": json.dumps([platform.pool.show(row["id"]) for row in platform.jobs()]),
        "processes": subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout,
    }
    return texts | {str(file): file.read_text() for file in platform.stack.folder.glob("logs/*") if file.is_file()}


def test_every_place_was_looked_at(seen: dict[str, str]) -> None:
    assert all(
        len(seen[name]) > 2 for name in ("plan", "secret", "activations", "dead letters", "outcomes", "queue", "jobs")
    )
    assert any(name.endswith(".log") for name in seen)
    assert "demo.calibrate" in seen["activations"]


def test_no_token_is_in_the_clear(seen: dict[str, str]) -> None:
    assert [place for place, text in seen.items() if MACAROON in text] == []


def test_no_secret_of_the_environment_is_in_the_clear(platform: Platform, seen: dict[str, str]) -> None:
    found = {secret.reveal() for secret in secrets_in(platform.env)}
    assert len(found) >= 8
    for secret in found:
        halves = secret.split(":") if ":" in secret else [secret]
        assert [place for place, text in seen.items() if any(half in text for half in halves if len(half) > 36)] == []
        assert [place for place, text in seen.items() if secret in text] == []


def test_an_error_of_an_action_tells_no_setting(tmp_path: Path) -> None:
    """Given settings that are wrong in every way, when an action starts, then its error repeats none of them."""
    secret = "c2VjcmV0LWxvb2tpbmctdGV4dA"
    for action in ("mint_tokens", "submit_condor", "submit"):
        for value in (secret, f'[{{"credentials": "{secret}"}}]', base64.b64encode(secret.encode()).decode()):
            program = "import runpy,sys; sys.exit(print(runpy.run_path(sys.argv[1])['main']({'schema': 1})))"
            names = ("STORAGES", "POLICIES", "SEAL_KEY", "SUBMIT_KEY", "POOL", "REGISTRY")
            done = subprocess.run(
                [sys.executable, "-c", program, f"actions/{action}/__main__.py"],
                env={"PYTHONPATH": "actions", **{f"FAAS_{name}": value for name in names}},
                capture_output=True,
                text=True,
                cwd=Path(__file__).parents[2],
                check=False,
            )
            assert done.returncode or action == "submit"
            assert value not in done.stdout + done.stderr
            assert secret not in done.stdout + done.stderr


def test_two_keys_are_in_force_while_one_is_changed() -> None:
    new, old = (base64.b64encode(letter * 32).decode() for letter in (b"n", b"o"))
    assert keys_from_text(f"{new} {old}") == (b"n" * 32, b"o" * 32)
