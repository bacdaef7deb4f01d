"""Deploys and rotations while events flow: nothing lost, nothing twice, nothing failed."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from eventflow import policy
from eventflow.errors import FaasError
from eventflow.storages import SKEW
from faasctl.functions.file import load
from faasctl.functions.policies import policies_of
from faasctl.kafka import cluster
from faasctl.local.stack import TOPIC
from tests.e2e.test_main_job import written
from tests.parts import mint_door
from tests.parts.mint_door import MintDoor
from tests.parts.platform import FUNCTIONS, Platform, running, wait

SUBJECT = "/demo/in/flow/a.csv"

PARENTS_S = 2
"""For how long a parent token serves here."""


class Site(NamedTuple):
    """A platform that asks for its tokens at a door of its own, where this password was good at first."""

    platform: Platform
    door: MintDoor
    password: str

    def change(self, **storage: Any) -> dict[str, Any]:
        """Change the storage in the environment; the environment, to change more of it and write it."""
        environment: dict[str, Any] = yaml.safe_load(self.platform.stack.environment_file.read_text())
        environment["storages"][0] |= storage
        self.write(environment)
        return environment

    def write(self, environment: dict[str, Any]) -> None:
        self.platform.stack.environment_file.write_text(yaml.safe_dump(environment))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Parents that serve for two seconds only, so that tokens are asked for all the time."""
    password = secrets.token_urlsafe(24)
    with running(tmp_path_factory.mktemp("stack") / "stack") as platform:
        storage = platform.env.storages[0]
        basic = storage.credentials["default"].basic
        assert basic is not None
        assert storage.ca is not None
        own = (basic.username, basic.password.reveal())
        calibrate = load(FUNCTIONS / "calibrate")
        life = policy.token_life(policies_of(platform.env)["demo"], calibrate) + PARENTS_S + SKEW
        certificate = Path(storage.ca).with_name("server.pem")
        with mint_door.running(storage.write, own, certificate, Path(storage.ca), password) as door:
            found = Site(platform, door, password)
            credentials = {"default": {"basic": {"username": basic.username, "password": password}}}
            found.change(mint=door.url, max_token_life=f"{life}s", credentials=credentials)
            platform.faasctl("deploy", "--yes")
            platform.put(SUBJECT, b"channel,counts\n1,2\n")
            platform.job_of(SUBJECT)
            yield found


@pytest.mark.timeout(400)
def test_a_changed_action_and_back_while_events_flow(site: Site) -> None:
    """Given a stream of events, when mint_tokens is deployed changed, and changed back, then each has one job."""
    with flowing(site.platform, 60) as jobs:
        for subnets in (["127.0.0.0/8", "::1/128"], []):
            site.change(subnets=subnets)
            assert "mint_tokens" in site.platform.faasctl("deploy", "--yes", "-o", "json")
    assert len(jobs) == 60
    assert set(jobs.values()) == {1}


@pytest.mark.timeout(400)
def test_secrets_rotated_while_events_flow(site: Site) -> None:
    """Given a stream of events, when the storage's password and the platform's own keys change, then nothing fails,
    each event has one job, and the old password is not used any more."""
    platform, door, old, new = site.platform, site.door, site.password, secrets.token_urlsafe(24)
    door.accepted.add(new)
    before = versions(platform)
    with flowing(platform, 30) as jobs:
        environment = site.change()
        environment["storages"][0]["credentials"]["default"]["basic"]["password"] = new
        for name in ("seal", "submit", "feed"):
            key = base64.b64encode(secrets.token_bytes(32)).decode()
            environment["keys"][name] = f"{key} {environment['keys'][name]}"
        site.write(environment)
        assert states(platform) == Counter(same=7, differs=7)
        said = platform.faasctl("secret", "rotate", "--all")
        assert "7 written, 7 same" in said
        platform.send(written(SUBJECT))  # one at least comes after the rotation
        wait(lambda: door.count(new) or None, "the new password to be used")
        door.accepted.remove(old)
        spent = door.count(old)
    assert len(jobs) == 31
    assert set(jobs.values()) == {1}
    assert door.refused == 0
    assert door.count(old) == spent
    assert door.count(new) > 1
    assert failures(platform) == []

    assert {name for name, version in versions(platform).items() if version != before[name]} == {
        "mint_tokens",
        "submit_condor",
        "submit",
        "kafka_feed",
    }
    assert states(platform) == Counter(same=14)
    assert json.loads(platform.faasctl("plan", "-o", "json"))["steps"] == []
    assert "14 same" in platform.faasctl("secret", "rotate", "--all")
    assert not any(secret in said for secret in (old, new))

    environment["keys"]["seal"] = environment["keys"]["seal"].split()[0]
    site.write(environment)
    with pytest.raises(FaasError, match=r"keys.seal: what was made with the old key may still be on its way"):
        platform.faasctl("secret", "rotate", "keys.seal")
    environment["keys"]["seal"] = base64.b64encode(bytes(32)).decode()
    site.write(environment)
    with pytest.raises(FaasError, match=r"keys.seal: what is under way with the old key could not be opened"):
        platform.faasctl("secret", "rotate", "--all")


@pytest.mark.timeout(400)
def test_a_password_that_the_storage_changed_first_costs_no_event(site: Site) -> None:
    """Given a storage that no longer takes the password, when events come, then they wait until it is rotated."""
    platform, door, new = site.platform, site.door, secrets.token_urlsafe(24)
    environment = site.change()
    time.sleep(PARENTS_S)  # what was minted with the old one is spent: nothing but the clock tells
    door.accepted.clear()
    door.accepted.add(new)
    with flowing(platform, 6) as jobs:
        wait(lambda: door.refused or None, "the old password to be refused")
        environment["storages"][0]["credentials"]["default"]["basic"]["password"] = new
        site.write(environment)
        assert "1 written" in platform.faasctl("secret", "rotate", "storages.main")
    assert len(jobs) == 6
    assert set(jobs.values()) == {1}


@contextmanager
def flowing(platform: Platform, count: int) -> Iterator[Counter[str]]:
    """Begin to send events, one at a time; at the end all are settled, and how many jobs each got is known."""
    known = {job["key"] for job in platform.jobs()}
    jobs: Counter[str] = Counter()
    begun, done = threading.Event(), threading.Event()
    sender = threading.Thread(target=send_slowly, args=(platform, count, begun, done))
    sender.start()
    assert begun.wait(60)
    yield jobs
    sender.join(60)
    assert done.is_set()
    platform.drained()
    jobs.update(job["key"] for job in platform.jobs("demo.calibrate") if job["key"] not in known)


def send_slowly(platform: Platform, count: int, begun: threading.Event, done: threading.Event) -> None:
    """One record at a time, each acknowledged, so that they spread over all that happens meanwhile."""
    producer = cluster(platform.env).producer()
    pause = threading.Event()
    for number in range(count):
        record = written(SUBJECT, pnfsid=f"{uuid.uuid4().hex.upper()}0000")
        producer.send(TOPIC, value=json.dumps(record).encode()).get(timeout=10)
        if number == 5:
            begun.set()
        pause.wait(0.07)  # the rate of the stream, nothing is waited for
    producer.close(timeout=5)
    done.set()


def states(platform: Platform) -> Counter[str]:
    """How many uses of secrets are as the environment has them."""
    rows = json.loads(platform.faasctl("secret", "list", "-o", "json"))
    return Counter(use["state"] for row in rows for use in row["uses"])


def versions(platform: Platform) -> dict[str, str]:
    """The platform's actions with their versions."""
    return {row["name"]: row["version"] for row in platform.openwhisk.get("actions")}


def failures(platform: Platform) -> list[Any]:
    """What failed to be minted or submitted, also what was tried again; that a busy machine starts a container too late
    is another matter."""
    rows = platform.openwhisk.get("activations", limit=200, docs="true")
    results = [row["response"]["result"] for row in rows if row["name"] in ("mint_tokens", "submit_condor")]
    reports = [result["report"] for result in results if "report" in result]
    assert reports
    return [failed for report in reports for failed in report["failed"]]
