"""The watcher on a real Kafka and a real HTCondor: each job's end is told once, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventflow.batch import Origin
from eventflow.clients import condor
from eventflow.clients.condor import HTCondorPool
from eventflow.exactly_once import Job, PoolUnavailable, submit_exactly_once
from eventflow.function import Resources
from faasctl import status
from faasctl.local.process import Service
from faasctl.usage import usage
from faasfeeds import outcomes
from faasfeeds.kafka import letters
from faasfeeds.kafka.journal import Journal, Topics
from faasfeeds.outcomes import JOB_ENDS, Outcome
from tests.parts import htcondor, kafka
from tests.parts.faulty_storage import faulty_storage
from tests.parts.jobs import job
from tests.parts.kafka import Kafka
from tests.parts.scraping import get, total

JOBS = int(os.environ.get("FAAS_WATCHED_JOBS", "60"))
"""`FAAS_WATCHED_JOBS=1000` for the whole of it."""

FAILING = max(6, JOBS * 3 // 100)
"""How many of them fail, spread evenly."""

TRIGGER = "/faas/storage-events"
TOPICS = Topics(outcomes="faas.outcomes", dead_letters="faas.dead-letters", parked="faas.parked")


class Site:
    """Kafka, a pool, and a watcher that can be killed."""

    def __init__(self, folder: Path, broker: Kafka, pool: htcondor.Pool) -> None:
        self.broker = broker
        self.pool = pool
        self.schedd: HTCondorPool = condor.schedds(pool.collector, pool.token(), [pool.schedd])[pool.schedd]
        self._folder = folder
        self._file = folder / "environment.yaml"
        key = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlYyE="
        account = {"namespace": "faas", "auth": "uuid:key"}
        environment = {
            "name": "test",
            "openwhisk": {"apihost": "http://127.0.0.1:1", "platform": account, "functions": account},
            "kafka": {
                "bootstrap_servers": [broker.server],
                "topics": {"billing": {"instance": "test"}},
                "registrations": {"topic": "faas.registrations"},
            },
            "storages": [],
            "pool": {"kind": "htcondor", "collector": pool.collector, "schedds": [pool.schedd], "token": pool.token()},
            "policies": [{"namespace": "ns", "read": ["/data"], "write": ["/data"], "failure_budget": 0}],
            "registry": {"admin_key": "k" * 32},
            "keys": {"seal": key, "submit": key, "feed": key},
        }
        self._file.write_text(yaml.safe_dump(environment))
        self._file.chmod(0o600)
        broker.create("billing")
        broker.create(TOPICS.outcomes, partitions=3)
        broker.create(TOPICS.dead_letters, partitions=3)
        broker.create(TOPICS.parked)
        self.start()

    def start(self) -> None:
        options = ("--tick", "0.5", "--metrics", "0", "--env-file", str(self._file))
        self.watcher = Service("watcher", ("faasctl", "feed", "condor", *options), self._folder / "watcher.log")
        self.url: str = self.watcher.ready()["metrics"]

    def kill_watcher(self) -> None:
        os.kill(self.watcher.pid, signal.SIGKILL)
        self.watcher.stop()

    def kill_schedd(self) -> None:
        """As a lack of memory would; its master starts it again."""
        os.kill(self._schedd_pid(), signal.SIGKILL)

    @contextmanager
    def slow_schedd(self) -> Iterator[None]:
        """A schedd that takes connections meanwhile and does not answer."""
        pid = self._schedd_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _schedd_pid(self) -> int:
        lines = (line.split() for line in self.pool.run("condor_who", "-daemons").splitlines())
        (pid,) = (int(words[2]) for words in lines if words[:2] == ["Schedd", "yes"])
        return pid

    def change_token(self, token: str) -> None:
        """Give the environment another token, as whatever renews it does."""
        environment = yaml.safe_load(self._file.read_text())
        environment["pool"]["token"] = token
        fresh = self._file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(environment))
        fresh.chmod(0o600)
        fresh.replace(self._file)

    @property
    def log(self) -> str:
        """What the watcher said."""
        return (self._folder / "watcher.log").read_text()

    def submit_foreign(self) -> None:
        """Queue a job that is none of the platform's."""
        file = self.pool.home / "foreign.sub"
        file.write_text("executable = /bin/true\nhold = true\nqueue\n")
        self.pool.run("condor_submit", str(file))

    def history(self) -> list[tuple[int, float]]:
        """Exit code and wall time of every job of the platform that the schedd's history has."""
        words = ("-constraint", "FaasKeys isnt undefined", "-af", "ExitCode", "RemoteWallClockTime")
        lines = self.pool.run("condor_history", *words).splitlines()
        return [(int(exit), float(wall)) for exit, wall in map(str.split, lines)]

    def submit(self, jobs: list[Job]) -> None:
        """Queue jobs as the sequence does, and tell of it as the feed does."""
        try:
            submitted = submit_exactly_once(self.schedd, jobs, now=time.time())
        except PoolUnavailable:  # a schedd that was restarted knows no session of before
            submitted = submit_exactly_once(self.schedd, jobs, now=time.time())
        assert {one.outcome for one in submitted} == {"submitted"}
        journal = Journal(self.broker.cluster, TOPICS)
        journal.write(
            [
                Outcome(
                    key=one.key,
                    outcome="submitted",
                    time=outcomes.utc(time.time()),
                    trigger=TRIGGER,
                    origin=origin_of(mine),
                    id=one.key.partition("/")[0],
                    function="ns.f",
                    destination=one.schedd,
                    job=one.id,
                )
                for one, mine in zip(submitted, jobs, strict=True)
            ]
        )
        journal.close()

    def read(self, topic: str) -> list[Any]:
        """Every record of a topic."""
        reader = self.broker.cluster.reader()
        try:
            from kafka import TopicPartition

            partitions = [TopicPartition(topic, number) for number in reader.partitions_for_topic(topic) or ()]
            reader.assign(partitions)
            reader.seek_to_beginning(*partitions)
            ends = reader.end_offsets(partitions)
            found: list[Any] = []
            while any(reader.position(one) < end for one, end in ends.items()):
                for records in reader.poll(timeout_ms=200).values():
                    found += records
            return found
        finally:
            reader.close()

    def ends(self) -> list[Outcome]:
        told = (outcomes.decode(record) for record in self.read(TOPICS.outcomes))
        return [one for one in told if one.outcome in JOB_ENDS]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("watcher")
    with kafka.running(folder / "kafka") as broker, htcondor.condor() as pool:
        found = Site(folder, broker, pool)
        try:
            yield found
        finally:
            found.watcher.stop()


def origin_of(one: Job) -> Origin:
    topic, partition, offset = one.origin.rsplit("/", 2)
    return Origin(topic=topic, partition=int(partition), offset=int(offset))


def fails(number: int) -> bool:
    return (number + 1) * FAILING // JOBS != number * FAILING // JOBS


def until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.2)


@pytest.mark.timeout(900)
def test_each_end_is_told_once_though_the_watcher_and_the_schedd_are_killed(site: Site) -> None:
    site.broker.produce("billing", *(json.dumps({"number": number}).encode() for number in range(JOBS)))
    with faulty_storage() as storage:
        jobs = []
        for number in range(JOBS):
            exit = 20 if fails(number) else 0
            one = job(f"{uuid.uuid4()}/ns.f", storage, origin=f"billing/0/{number}")
            one.files["runner.py"] = f"import sys\nopen('result.json', 'w').write('{{}}')\nsys.exit({exit})\n".encode()
            jobs.append(one)
        site.submit_foreign()
        site.submit(jobs[: JOBS // 2])
        until(lambda: len(site.ends()) > JOBS // 10, 300)
        site.kill_watcher()
        site.submit(jobs[JOBS // 2 :])
        site.kill_schedd()
        site.start()
        until(lambda: len(site.ends()) > JOBS * 2 // 3, 600)
        with site.slow_schedd():
            site.kill_watcher()
            site.start()
        until(lambda: len({one.key for one in site.ends()}) == JOBS, 600)

    failed = {one.key for number, one in enumerate(jobs) if fails(number)}
    assert len(failed) == FAILING
    told = site.ends()
    assert Counter(one.key for one in told) == dict.fromkeys((one.key for one in jobs), 1)
    assert {one.key for one in told if one.outcome == "failed"} == failed
    assert {one.outcome for one in told} == {"completed", "failed"}

    dead = [letters.decode(record) for record in site.read(TOPICS.dead_letters)]
    assert sorted(one.key for one in dead) == sorted(f"{key}#1" for key in failed)
    assert {(one.code, one.why) for one in dead} == {("exit_20", "exit 20: the function failed")}
    for letter in dead:
        assert json.loads(letter.message.value or "") == {"number": letter.message.offset}
        assert letter.trigger == TRIGGER

    site.pool.run("condor_qedit", "-constraint", "FaasKeys isnt undefined", "LeaveJobInQueue", "false")
    until(lambda: len(site.history()) == JOBS, 300)
    assert Counter(exit for exit, _ in site.history()) == {0: JOBS - len(failed), 20: len(failed)}
    everything = [outcomes.decode(record) for record in site.read(TOPICS.outcomes)]
    (used,) = usage(everything, "function")
    assert (used.events, used.jobs, used.failed) == (JOBS, JOBS, FAILING)
    (state,) = status.functions(everything, {}, time.time())
    assert state.day == {"submitted": JOBS, "completed": JOBS - FAILING, "failed": FAILING}
    wall = sum(seconds for _, seconds in site.history())
    assert used.wall_hours == pytest.approx(wall / 3600, abs=10 / 3600)  # a schedd counts whole seconds
    until(lambda: get(f"{site.url}/health/ready")[0] == 200, 60)
    assert total(site.url, "faas_watcher_last_look_timestamp_seconds", schedd=site.pool.schedd) > time.time() - 60
    assert total(site.url, "faas_jobs") == 0
    ended = [total(site.url, "faas_outcomes_total", outcome=word, function="ns.f") for word in ("completed", "failed")]
    assert total(site.url, "faas_job_queue_seconds_count") == sum(ended)
    runs = [one.run for one in told]
    assert all(run is not None and run.started is not None and run.queued <= run.started for run in runs)


def test_a_job_that_waited_too_long_goes_through_minting_again(site: Site) -> None:
    offset = len(site.read("billing"))
    site.broker.produce("billing", b"the record")
    before = {one.key for one in site.ends()}
    with faulty_storage() as storage:
        huge = Resources(cpus=1000, memory=2**40)
        one = job(
            f"{uuid.uuid4()}/ns.f", storage, origin=f"billing/0/{offset}", expires=time.time() + 4, resources=huge
        )
        site.submit([one])
        until(lambda: {end.key for end in site.ends()} - before == {one.key}, 90)

    (told,) = (end for end in site.ends() if end.key == one.key)
    assert (told.outcome, told.code) == ("expired", "renewed")
    (again,) = (letters.decode(record) for record in site.read(TOPICS.parked))
    assert (again.key, again.redriven, again.message.value) == (f"{one.key}#1", True, "the record")
    assert again.functions == ("ns.f",)


def test_a_renewed_token_is_taken_without_a_person(site: Site) -> None:
    """Given a watcher, when its pool's token is replaced in the environment, then it goes on with the new one: the same
    process, and nothing told twice."""
    pid, told = site.watcher.pid, len(site.ends())
    site.change_token(site.pool.token())
    until(lambda: "starting again: pool.token changed" in site.log, 60)
    with faulty_storage() as storage:
        storage.files["/data/raw/f"] = b"some bytes"
        one = job(f"{uuid.uuid4()}/ns.f", storage)
        site.submit([one])
        until(lambda: len(site.ends()) > told, 90)
    (end,) = (end for end in site.ends() if end.key == one.key)
    assert (end.outcome, end.bytes_in, end.bytes_out) == ("completed", 10, 10)
    assert len(site.ends()) == told + 1
    assert site.watcher.pid == pid
    assert not site.watcher.ended
