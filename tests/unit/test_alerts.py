"""Each alert fires on the fault that it names, and on no other; judged by Prometheus's own promtool.

A scene is two hours in the life of the services, scraped every two minutes: what their own code would show is what
promtool evaluates the rules on. Its clock begins at 0.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from faasctl import bundle
from faasfeeds.condor.state import ScheddState
from faasfeeds.xrootd.forwarder import ForwarderState
from tests.parts.prometheus import promtool
from tests.unit import scrapes
from tests.unit.scrapes import BILLING, BOOKS, PARKED, TRIGGER, Scraped, feed, page

RULES = bundle.manifests() / "prometheus" / "alerts.yaml"
PAGE = Path(__file__).parents[2] / "docs" / "running.md"
MINUTES = 120
STEP = 2
AT = 60
"""The minute in which things go wrong."""

DAY_S = 86_400.0
PLACE = {"trigger": TRIGGER, "topic": "billing", "partition": "0"}
SHOWN = ("alertname", "trigger", "topic", "partition", "schedd", "stage", "credential", "kind", "instance")
"""The labels that a person is told."""

rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]

NAMED = {name for rule in rules for name in re.findall(r"faas_\w+", rule["expr"])}
"""The metrics that the rules look at."""


class Scene:
    """Two replicas of the feed, a watcher and a forwarder; a fault changes what they are in some minute."""

    def __init__(self) -> None:
        self.feed = scrapes.Feed()
        self.other = scrapes.Feed()
        self.watcher = scrapes.Watcher(environment=scrapes.env(pool_token_ends=90 * DAY_S))
        self.forwarder = scrapes.Forwarder(ForwarderState(topic="xrootd"))

    def well(self, minute: int) -> None:
        """All is as it should be: records come, are matched, and become jobs; a partition moves at half past."""
        now = 60.0 * minute
        for one in (self.feed, self.other, self.watcher):
            one.watermarks.answered = now
        mine, theirs = (self.feed, self.other) if minute < 30 else (self.other, self.feed)
        mine.feeds = (feed(now, committed={BILLING: page(10 * (minute + 1), times(minute + 1))}, again=minute),)
        theirs.feeds = (feed(now, committed={PARKED: page(minute, {"other": minute})}),)
        for one in (mine, theirs):
            one.watermarks.ends = {BILLING: 10 * (minute + 1) + 500, PARKED: minute}
        jobs = {"idle": 40, "running": 10, "held": 0}
        self.watcher.schedds = (ScheddState(name="bird", looked=now, jobs=jobs),)

    def services(self) -> dict[str, Scraped]:
        """Who is scraped, by instance."""
        return {"a": self.feed, "b": self.other, "c": self.watcher, "d": self.forwarder}


Fault = Callable[[Scene, int], "set[str] | None"]
"""What is changed in a minute when all was well; the instances that cannot be scraped."""


def times(count: int, **more: int) -> dict[str, int]:
    """The usual books, so many times over."""
    return {word: number * count for word, number in BOOKS.items()} | {
        word.replace("items_", "items:").replace("_", "-"): number for word, number in more.items()
    }


def holder(scene: Scene) -> scrapes.Feed:
    """The replica that has the partition in the second hour."""
    return scene.other


def change(scene: Scene, **changes: Any) -> None:
    """Change the state of that replica's feed."""
    one = holder(scene)
    one.feeds = (msgspec.structs.replace(one.feeds[0], **changes),)


def no_feed(scene: Scene, minute: int) -> set[str] | None:
    return {"a", "b"} if minute >= AT else None


def no_watcher(scene: Scene, minute: int) -> set[str] | None:
    return {"c"} if minute >= AT else None


def no_kafka(scene: Scene, minute: int) -> set[str] | None:
    """Kafka is away for everybody; a feed that starts cannot begin, turns slowly, and the watcher can tell nothing."""
    if minute >= AT:
        for one in (scene.feed, scene.other, scene.watcher):
            one.watermarks.answered = 60.0 * AT
        change(scene, turned=60.0 * AT)
        scene.feed.feeds = (msgspec.structs.replace(scene.feed.feeds[0], turned=None),)
        schedd = scene.watcher.schedds[0]
        scene.watcher.schedds = (msgspec.structs.replace(schedd, looked=60.0 * AT),)
    return None


def no_openwhisk(scene: Scene, minute: int) -> set[str] | None:
    if minute >= AT:
        change(scene, waiting="OpenWhisk does not answer")
    return None


def unassigned(scene: Scene, minute: int) -> set[str] | None:
    """A feed that turns and turns, and is not let into its group."""
    if minute >= AT:
        change(scene, joined=False, committed={})
        holder(scene).watermarks.ends = {}
    return None


def hanging(scene: Scene, minute: int) -> set[str] | None:
    if minute >= AT:
        change(scene, turned=60.0 * AT)
    return None


def too_slow(scene: Scene, minute: int) -> set[str] | None:
    if minute >= AT:
        holder(scene).watermarks.ends = {BILLING: 10 * (minute + 1) + 100 * (minute - AT)}
    return None


def burst(scene: Scene, minute: int) -> set[str] | None:
    """Many records at once, which are worked off: no reason to wake anybody."""
    if minute >= AT:
        holder(scene).watermarks.ends = {BILLING: 10 * (minute + 1) + max(0, 100_000 - 1000 * (minute - AT))}
    return None


def unbalanced(word: str) -> Fault:
    def fault(scene: Scene, minute: int) -> set[str] | None:
        if minute >= AT:
            counts = times(minute + 1)
            counts[word] -= 1
            change(scene, committed={BILLING: page(10 * (minute + 1), counts)})
        return None

    return fault


def with_lost(scene: Scene, minute: int, lost: int) -> None:
    change(scene, committed={BILLING: page(10 * (minute + 1) + lost, times(minute + 1, lost=lost))})


def losing(scene: Scene, minute: int) -> set[str] | None:
    if minute >= MINUTES - 30:
        with_lost(scene, minute, 5)
    return None


def lost_while_no_feed_ran(scene: Scene, minute: int) -> set[str] | None:
    if minute >= 110:
        with_lost(scene, minute, 5)
    return {"a", "b"} if 40 <= minute < 110 else None


def lost_long_ago(scene: Scene, minute: int) -> set[str] | None:
    """Records were lost before anything was scraped, and after an hour that is no news."""
    if minute >= 30:
        with_lost(scene, minute, 5)
    else:
        scene.feed.feeds = (feed(60.0 * minute, committed={BILLING: page(15, times(1, lost=5))}),)
    return None


def dead(stage: str) -> Fault:
    def fault(scene: Scene, minute: int) -> set[str] | None:
        if minute == MINUTES - 4:
            (scene.watcher if stage == "job" else scene.feed).meters.written([], [scrapes.letter(stage)])
        return None

    return fault


def dead_long_ago(scene: Scene, minute: int) -> set[str] | None:
    if minute == AT:
        scene.feed.meters.written([], [scrapes.letter("mint")])
    return None


def parked(until: int) -> Fault:
    """Two items are parked; both replicas have a part of their books."""

    def fault(scene: Scene, minute: int) -> set[str] | None:
        if minute >= 45:
            counts = times(minute + 1, matched=3 * minute + 5, items_parked=2)
            counts["items:fan-out"] += 2
            change(scene, committed={BILLING: page(10 * (minute + 1) + 2, counts)})
            back = {"items:unparked": 2, "items:submitted": 2} if minute >= until else {}
            scene.feed.feeds = (feed(60.0 * minute, committed={PARKED: page(minute, back)}),)
        return None

    return fault


def throttled(scene: Scene, minute: int) -> set[str] | None:
    change(scene, batches={"passed": minute, "throttled": 3 * max(0, minute - AT)})
    return None


def no_schedd(scene: Scene, minute: int) -> set[str] | None:
    if minute >= AT:
        scene.watcher.schedds = (msgspec.structs.replace(scene.watcher.schedds[0], looked=60.0 * AT),)
    return None


def never_a_schedd(scene: Scene, minute: int) -> set[str] | None:
    scene.watcher.schedds = (*scene.watcher.schedds, ScheddState(name="new"))
    return None


def held(scene: Scene, minute: int) -> set[str] | None:
    if minute >= AT:
        jobs = {"idle": 0, "running": 10, "held": 2}
        scene.watcher.schedds = (msgspec.structs.replace(scene.watcher.schedds[0], jobs=jobs),)
    return None


def ending(days: float) -> Fault:
    def fault(scene: Scene, minute: int) -> set[str] | None:
        if minute == 0:
            scene.watcher = scrapes.Watcher(environment=scrapes.env(pool_token_ends=days * DAY_S))
            scene.well(0)
        return None

    return fault


def unannounced(scene: Scene, minute: int) -> set[str] | None:
    if minute >= AT:
        scene.forwarder.state = ForwarderState(topic="xrootd", waiting=7)
    return None


POOL = {"credential": "pool", "kind": "idtoken", "instance": "c"}

FAULTS: list[tuple[str, Fault | None, list[dict[str, str]]]] = [
    ("nothing", None, []),
    ("no feed", no_feed, [{"alertname": "FaasFeedAbsent"}]),
    ("no watcher", no_watcher, [{"alertname": "FaasWatcherAbsent"}]),
    ("no kafka", no_kafka, [{"alertname": "FaasKafkaAway", "instance": name} for name in "abc"]),
    ("no openwhisk", no_openwhisk, [{"alertname": "FaasFeedWaiting", "trigger": TRIGGER, "instance": "b"}]),
    ("a feed hangs", hanging, [{"alertname": "FaasFeedNotTurning", "trigger": TRIGGER, "instance": "b"}]),
    ("no partitions", unassigned, [{"alertname": "FaasNotReady", "instance": "b"}]),
    ("too slow", too_slow, [{"alertname": "FaasLagGrows", "trigger": TRIGGER}]),
    ("a burst", burst, []),
    ("records missing", unbalanced("matched"), [{"alertname": "FaasBooksDoNotBalance", **PLACE, "instance": "b"}]),
    (
        "items missing",
        unbalanced("items:submitted"),
        [{"alertname": "FaasBooksDoNotBalance", **PLACE, "instance": "b"}],
    ),
    ("records lost", losing, [{"alertname": "FaasRecordsLost", **PLACE}]),
    ("lost while no feed ran", lost_while_no_feed_ran, [{"alertname": "FaasRecordsLost", **PLACE}]),
    ("lost long ago", lost_long_ago, []),
    ("dead letters", dead("mint"), [{"alertname": "FaasDeadLetters", "stage": "mint"}]),
    ("dead jobs", dead("job"), [{"alertname": "FaasDeadLetters", "stage": "job"}]),
    ("dead letters long ago", dead_long_ago, []),
    ("parked", parked(MINUTES + 1), [{"alertname": "FaasItemsParked", "trigger": TRIGGER}]),
    ("parked for a while", parked(90), []),
    ("throttled", throttled, [{"alertname": "FaasThrottled", "trigger": TRIGGER}]),
    ("no schedd", no_schedd, [{"alertname": "FaasScheddNotAnswering", "schedd": "bird", "instance": "c"}]),
    ("never a schedd", never_a_schedd, [{"alertname": "FaasScheddNotAnswering", "schedd": "new", "instance": "c"}]),
    ("held jobs", held, [{"alertname": "FaasJobsHeld", "schedd": "bird"}]),
    ("a credential ends", ending(6.9), [{"alertname": "FaasCredentialEnds", **POOL}]),
    ("a credential ends in a while", ending(7.5), []),
    ("a credential ended", ending(0.01), [{"alertname": "FaasCredentialEnded", **POOL}]),
    (
        "files are not announced",
        unannounced,
        [{"alertname": "FaasAnnouncementsWait", "topic": "xrootd", "instance": "d"}],
    ),
]


def test_every_alert_has_a_fault_on_which_it_fires() -> None:
    assert {one["alertname"] for _, _, fired in FAULTS for one in fired} == {rule["alert"] for rule in rules}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What promtool says of all the scenes in one run."""
    tests = [
        {
            "name": name,
            "interval": f"{STEP}m",
            "input_series": series(fault),
            "promql_expr_test": [
                {
                    "expr": f"max by ({', '.join(SHOWN)}) (ALERTS{{alertstate='firing'}})",
                    "eval_time": f"{MINUTES}m",
                    "exp_samples": [{"labels": selector("", labels), "value": 1} for labels in fired],
                }
            ],
        }
        for name, fault, fired in FAULTS
    ]
    file = tmp_path_factory.mktemp("alerts") / "tests.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": f"{STEP}m", "tests": tests}))
    done = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True)
    return done.stdout + done.stderr


def test_each_alert_fires_on_its_fault_and_on_no_other(judged: str) -> None:
    assert judged.split() == ["Unit", "Testing:", judged.split()[2], "SUCCESS"], judged


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    sections = set(re.findall(r"^### (\w+)$", PAGE.read_text(), re.MULTILINE))
    assert sections == {rule["alert"] for rule in rules}
    firing = {one["alertname"]: set(one) for _, _, fired in FAULTS for one in fired}
    for rule in rules:
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]
        named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        assert named <= firing[rule["alert"]], rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")
    assert max(Counter(rule["alert"] for rule in rules).values()) == 1


def series(fault: Fault | None) -> list[dict[str, str]]:
    """What a scene's scrapes come to."""
    scene, found = Scene(), dict[str, list[str]]()
    for number, minute in enumerate(range(0, MINUTES + 1, STEP)):
        scene.well(minute)
        away = (fault(scene, minute) if fault is not None else None) or set()
        for instance, service in scene.services().items():
            if instance in away:
                continue
            for (name, labels), value in service.samples().items():
                if name in NAMED:
                    key = selector(name, {**dict(labels), "job": "faasctl", "instance": instance})
                    values = found.setdefault(key, [])
                    values += ["_"] * (number - len(values)) + [format(value, ".12g")]
    return [{"series": key, "values": " ".join(values)} for key, values in found.items()]


def selector(name: str, labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{label}="{text}"' for label, text in sorted(labels.items()))
    return f"{name}{{{inner}}}"
