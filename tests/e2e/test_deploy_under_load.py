"""A deploy while events flow: nothing lost, nothing twice."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from pathlib import Path

import pytest
import yaml

from faasctl.kafka import cluster
from faasctl.local.stack import TOPIC
from tests.e2e.test_main_job import written
from tests.parts.platform import Platform, running

EVENTS = 80


@pytest.mark.timeout(400)
def test_a_changed_action_and_back_while_events_flow(tmp_path: Path) -> None:
    """Given a stream of events, when mint_tokens is deployed changed, and changed back, then each has one job."""
    with running(tmp_path) as platform:
        platform.put("/demo/in/flow/a.csv", b"channel,counts\n1,2\n")
        platform.job_of("/demo/in/flow/a.csv")
        pnfsids = [uuid.UUID(int=number).hex.upper() + "0000" for number in range(EVENTS)]
        begun, done = threading.Event(), threading.Event()
        sender = threading.Thread(target=send_slowly, args=(platform, pnfsids, begun, done))
        sender.start()
        assert begun.wait(60)
        for subnets in (["127.0.0.0/8", "::1/128"], []):
            environment = yaml.safe_load(platform.stack.environment_file.read_text())
            environment["storages"][0]["subnets"] = subnets
            platform.stack.environment_file.write_text(yaml.safe_dump(environment))
            said = platform.faasctl("deploy", "--yes", "-o", "json")
            assert "mint_tokens" in said
        sender.join(60)
        assert done.is_set()
        platform.drained()
        counts = Counter(job["key"] for job in platform.jobs("demo.calibrate"))
    assert len(counts) == EVENTS + 1  # and the file that was really written
    assert set(counts.values()) == {1}


def send_slowly(platform: Platform, pnfsids: list[str], begun: threading.Event, done: threading.Event) -> None:
    """One record at a time, each acknowledged, so that they spread over the whole deploy."""
    producer = cluster(platform.env).producer()
    pause = threading.Event()
    for number, pnfsid in enumerate(pnfsids):
        producer.send(TOPIC, value=json.dumps(written("/demo/in/flow/a.csv", pnfsid=pnfsid)).encode()).get(timeout=10)
        if number == 5:
            begun.set()
        pause.wait(0.05)  # the rate of the stream, nothing is waited for
    producer.close(timeout=5)
    done.set()
