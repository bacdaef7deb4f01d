"""The platform with a real Kafka under its feed, and everything in it that can be killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kafka import TopicPartition
from kafka.errors import KafkaError

from eventflow.exactly_once import Job
from faasctl.environment.model import ProcessPool
from faasctl.local.folder import write_private
from faasctl.local.parts import TREE
from faasctl.local.process import Service
from faasctl.local.stack import TOPIC, Stack
from faasfeeds.kafka.accounts import Account, account
from faasfeeds.kafka.ledger import Books, books
from tests.parts import kafka
from tests.parts.platform import FUNCTIONS, TRIGGER, Platform, wait
from tests.unit.test_dcache import SAMPLE

FUNCTION = "demo.calibrate"
BLOCKER = "blocker"
"""The job that has the pool's only slot, so that no other starts."""

MORE_TOPICS = tuple(f"billing-{number}" for number in range(13))
"""Topics of one partition, for triggers of their own."""

UNBORN = "billing-unborn"
"""A topic of the environment's that the broker has not."""

FAR = "/far"
"""What the second storage holds, where there is one."""

QUICK: dict[str, Any] = {"topics": TOPIC, "deadline_s": 8, "park_s": 1, "max_attempts": 3}
"""Settings of the trigger, so that outages do not take a test's time."""


class Site:
    """A platform whose jobs wait in a pool that starts none, fed from a real Kafka by providers of one's own."""

    def __init__(self, platform: Platform, broker: kafka.Kafka, folder: Path) -> None:
        self.platform = platform
        self.kafka = broker
        self.folder = folder
        self.providers: list[Service] = []
        self.mortals: list[Service] = []
        self.function = folder
        self._host_options: tuple[str, ...] = ("--port", platform.env.openwhisk.apihost.rpartition(":")[2])
        pool = platform.env.pool
        assert isinstance(pool, ProcessPool)
        self.pool_options = ("--port", pool.url.rpartition(":")[2], "--slots", "1")

    def dying(self, step: str, trigger: str) -> Service:
        """Start a provider that feeds one trigger and dies at a step (`tests.parts.dying`)."""
        command = ("tests.parts.dying", step, trigger, "--env-file", str(self.platform.stack.environment_file))
        service = Service(step, command, self.folder / f"{step}.log")
        self.mortals.append(service)
        return service

    def dead(self, service: Service) -> None:
        """Wait until a service has ended by itself."""
        wait(lambda: service.ended or None, f"the end of {service.name}", 90)

    def provider(self) -> Service:
        """Start one more provider."""
        number = len(self.providers)
        command = ("faasctl", "feed", "kafka", "--env-file", str(self.platform.stack.environment_file))
        service = Service(f"feed-{number}", command, self.folder / f"feed-{number}.log")
        self.providers.append(service)
        service.ready()
        return service

    def account(self, trigger: str = TRIGGER, topic: str = TOPIC) -> Account:
        """A trigger's books."""
        return account(self.kafka.cluster, trigger, [topic], self.platform.env.kafka.parked)

    def worked_off(self, trigger: str, topic: str, timeout: float) -> None:
        """Wait until everything on a topic is final for a trigger."""
        wait(lambda: self.account(trigger, topic).lag == 0 or None, f"{trigger} to work {topic} off", timeout)

    def books_of(self, topic: str, partition: int, trigger: str = TRIGGER) -> Books:
        """The committed books of one partition."""
        consumer = self.kafka.cluster.consumer(trigger)
        try:
            held = consumer.committed(TopicPartition(topic, partition), metadata=True)
            return books({(topic, partition): (held.offset, held.metadata)}, self.platform.env.kafka.parked)
        finally:
            consumer.close()

    def said(self, text: str) -> None:
        """Wait until a provider has said something in its log."""
        logs = [self.folder / f"feed-{number}.log" for number in range(len(self.providers))]
        wait(lambda: any(text in log.read_text() for log in logs) or None, f"a provider to say: {text}", 120)

    def settled_group(self, members: int, trigger: str = TRIGGER) -> None:
        """Wait until so many providers share a trigger's partitions, and nobody comes or goes."""

        def look() -> bool | None:
            admin = self.kafka.cluster.admin()
            try:
                group = admin.describe_groups([trigger])[trigger]
            except KafkaError:  # the group has no coordinator before its first member
                return None
            finally:
                admin.close()
            state = "Stable" if members else "Empty"
            return (group["group_state"], len(group["members"])) == (state, members) or None

        wait(look, f"{members} providers to share the partitions")

    def committed(self, trigger: str, topic: str = TOPIC) -> bool:
        """Whether a trigger's feed has said of every partition where it goes on."""
        consumer = self.kafka.cluster.consumer(trigger)
        try:
            partitions = consumer.partitions_for_topic(topic) or ()
            return all(consumer.committed(TopicPartition(topic, number)) is not None for number in partitions)
        finally:
            consumer.close()

    def fed_trigger(self, name: str, source: str, **settings: Any) -> None:
        """A trigger of its own with a rule to an action of its own."""
        openwhisk, env = self.platform.openwhisk, self.platform.env
        action = f"{name}-action"
        openwhisk.put("actions", action, {"exec": {"kind": env.openwhisk.kind, "code": source}})
        self.feed_to(name, f"/_/{action}", **settings)

    def feed_to(self, name: str, action: str, **settings: Any) -> None:
        """A trigger of its own with a rule to an action."""
        openwhisk = self.platform.openwhisk
        openwhisk.put("triggers", name, {})
        openwhisk.put("rules", f"{name}-rule", {"trigger": f"/_/{name}", "action": action})
        lifecycle(self.platform, "CREATE", f"/guest/{name}", **{**QUICK, **settings})

    def drained(self, timeout: float = 60.0, *, trigger: str = TRIGGER, topic: str = TOPIC) -> Account:
        """Wait until everything is final for a trigger and nothing is parked; the books then."""

        def look() -> Account | None:
            found = self.account(trigger, topic)
            return found if found.lag == found.parked_lag == found.books.parked == 0 else None

        return wait(look, "everything to become final", timeout)

    def job_keys(self) -> Counter[str]:
        """How many jobs each key has."""
        return Counter(row["key"] for row in self.platform.jobs() if row["key"] != BLOCKER)

    def topic(self, name: str) -> list[dict[str, Any]]:
        """Everything on a topic, as {key, value, headers}."""
        reader = self.kafka.cluster.reader()
        try:
            partitions = [TopicPartition(name, number) for number in reader.partitions_for_topic(name) or ()]
            reader.assign(partitions)
            reader.seek_to_beginning(*partitions)
            ends = reader.end_offsets(partitions)
            found: list[dict[str, Any]] = []
            while any(reader.position(partition) < end for partition, end in ends.items()):
                for records in reader.poll(timeout_ms=200).values():
                    found += [{"key": r.key, "value": r.value, "headers": dict(r.headers)} for r in records]
            return found
        finally:
            reader.close()

    def dead_letters(self) -> dict[bytes, dict[str, bytes]]:
        """The headers of the dead letters, by key: after a crash one may have been written twice."""
        return {one["key"]: one["headers"] for one in self.topic("faas.dead-letters")}

    def outcomes(self) -> list[dict[str, Any]]:
        """What the feed said became of items, in order."""
        return [json.loads(one["value"]) for one in self.topic("faas.outcomes")]

    def kill(self, service: Service) -> None:
        """End a service with -9."""
        os.kill(service.pid, signal.SIGKILL)

    def kill_host(self) -> Callable[[], object]:
        """End the OpenWhisk host with -9; returns what starts it again where it was."""
        host = self.platform.service("openwhisk")
        self.kill(host)
        return lambda: host.restart(*self._host_options)

    def throttle(self, on: bool) -> None:
        """Start the OpenWhisk host again where it was, with OpenWhisk's default limits or without any."""
        self._host_options = (*self._host_options[:2], "--throttle" if on else "--no-throttle")
        self.platform.service("openwhisk").restart(*self._host_options)

    def kill_broker(self) -> Callable[[], object]:
        """End the broker with -9; returns what starts it again."""
        self.kafka.kill()
        return self.kafka.start

    def kill_provider(self, which: int) -> Callable[[], object]:
        """End a provider with -9; returns what starts it again."""
        service = self.providers[which]
        self.kill(service)
        return service.restart


@contextmanager
def running(
    folder: Path,
    *,
    partitions: int = 6,
    settings: dict[str, Any] = QUICK,
    providers: int = 1,
    far: bool = False,
) -> Iterator[Site]:
    """Start everything, and with ``far`` a second storage; all of it is gone at the end."""
    with kafka.running(folder / "kafka") as broker, Stack(folder / "stack") as stack:
        site = None
        try:
            broker.create(TOPIC, partitions=partitions)
            for topic in MORE_TOPICS:
                broker.create(topic)
            _move_to(stack, broker)
            if far:
                _add_storage(stack)
            site = Site(Platform(stack), broker, folder)
            _start_no_jobs(site)
            site.platform.faasctl("deploy", "--yes")
            _feed_with(site.platform, settings)
            site.function = _function(folder)
            site.platform.faasctl("fn", "push", str(site.function))
            for _ in range(providers):
                site.provider()
            yield site
        finally:
            for provider in (*site.providers, *site.mortals) if site is not None else ():
                provider.stop()


def matching(number: int, run: str = "r", tree: str = TREE) -> dict[str, Any]:
    """A record that fires the function; with another ``tree`` one like it."""
    path = f"{tree}/in/{run}/{number}.csv"
    return {**SAMPLE, "isWrite": "write", "transferPath": path, "billingPath": path, "pnfsid": _pnfsid()}


def other(chance: random.Random) -> dict[str, Any]:
    """A record that fires nothing, of one of the kinds that a storage writes most."""
    path = f"/demo/elsewhere/{chance.randrange(10**6)}"
    paths = {"transferPath": path, "billingPath": path, "pnfsid": _pnfsid()}
    return chance.choice(
        [
            {**SAMPLE, **paths},
            {**SAMPLE, **paths, "isWrite": "write"},
            {**SAMPLE, **paths, "isWrite": "write", "status": {"code": 10006, "msg": "cut"}},
            {**SAMPLE, "pnfsid": _pnfsid()},
            {**SAMPLE, **paths, "msgType": "remove"},
        ]
    )


def load(chance: random.Random, count: int, *, share: float = 0.02) -> tuple[list[bytes], int]:
    """``count`` records of which a share fire the function, and how many of these are different events; some come
    twice, as a storage's do."""
    records: list[bytes] = []
    events = 0
    while len(records) < count:
        if chance.random() < share:
            events += 1
            record = json.dumps(matching(events)).encode()
            records += [record] * (2 if chance.random() < 0.05 else 1)
        else:
            records.append(json.dumps(other(chance)).encode())
    chance.shuffle(records)
    return records, events


def produce(site: Site, records: Sequence[bytes | None], topic: str = TOPIC) -> None:
    """Write records, spread over the partitions, and wait until the broker has them."""
    site.kafka.produce(topic, *records)


def lifecycle(platform: Platform, event: str, trigger: str, **settings: Any) -> dict[str, Any]:
    """Call the feed action as OpenWhisk's clients do."""
    key = platform.env.openwhisk.platform.auth.reveal()
    arguments = {"lifecycleEvent": event, "triggerName": trigger, "authKey": key, **settings}
    return platform.openwhisk.invoke("faas/kafka_feed", arguments)


def _pnfsid() -> str:
    return uuid.uuid4().hex.upper() + "0000"


def _move_to(stack: Stack, broker: kafka.Kafka) -> None:
    """Let the stack's environment name the real broker; the stack's own feed has nothing to do then."""
    next(service for service in stack.services if service.name == "feed").stop()
    environment = yaml.safe_load(stack.environment_file.read_text())
    section = environment["kafka"]
    del section["api_version"]
    section["bootstrap_servers"] = [broker.server]
    section["topics"] |= {topic: dict(section["topics"][TOPIC]) for topic in (*MORE_TOPICS, UNBORN)}
    section["registrations"] = {"topic": "faas.registrations"}
    stack.environment_file.write_text(yaml.safe_dump(environment, sort_keys=False))


def _add_storage(stack: Stack) -> None:
    """A storage of its own for `FAR`, with the accounts of the first; it announces nothing."""
    home = stack.folder / "far"
    home.mkdir(mode=0o700)
    accounts = (stack.folder / "storage" / "config.json").read_text()
    config = write_private(home / "config.json", accounts.replace(TREE, FAR))
    facts = stack.launch("far", "faasctl.local.storage", "--dir", str(home), "--config", str(config)).ready()
    environment = yaml.safe_load(stack.environment_file.read_text())
    first = environment["storages"][0]
    place = {"read": facts["endpoint"], "write": facts["endpoint"], "ca": facts["ca"]}
    environment["storages"].append({**first, "name": "far", "prefixes": [FAR], **place})
    stack.environment_file.write_text(yaml.safe_dump(environment, sort_keys=False))
    policy = stack.folder / "policies" / "demo.yaml"
    rules = yaml.safe_load(policy.read_text())
    rules["read"].append(f"{FAR}/in")
    rules["write"].append(f"{FAR}/out")
    policy.write_text(yaml.safe_dump(rules))


def _start_no_jobs(site: Site) -> None:
    platform = site.platform
    platform.service("pool").restart(*site.pool_options)
    files = {"events.jsonl": b"{}\n", "runner.py": b"import time\ntime.sleep(3600)\n"}
    expires = time.time() + 3600
    blocker = Job(
        key=BLOCKER,
        function="test.blocker",
        namespace="test",
        version="1",
        code="sha256:0",
        origin="",
        expires=expires,
        files=files,
    )
    (id,) = platform.pool.submit([blocker])
    platform.pool.spool({id: blocker})
    wait(lambda: [row for row in platform.jobs() if row["state"] == "running"] or None, "the only slot to be taken")


def _feed_with(platform: Platform, settings: dict[str, Any]) -> None:
    lifecycle(platform, "UPDATE", TRIGGER, **settings)


def _function(folder: Path) -> Path:
    """`calibrate`, but for the bound on its idle jobs: none is ever started."""
    copy = shutil.copytree(FUNCTIONS / "calibrate", folder / "calibrate")
    with (copy / "function.yaml").open("a") as file:
        file.write("limits: {max_idle: 1000000, max_running: 1}\n")
    return copy
