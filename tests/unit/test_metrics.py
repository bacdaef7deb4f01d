"""What the services tell Prometheus: true, bounded, and as its conventions want it."""

from __future__ import annotations

import subprocess

import pytest
from kafka import TopicPartition
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from faasfeeds.condor.state import ScheddState, WatcherState
from faasfeeds.condor.state import lacking as watcher_lacks
from faasfeeds.kafka.state import LOOKED_S, FeedState, ProviderState, lacking
from faasfeeds.meters import OTHER, Names, OutcomeMeters
from faasfeeds.xrootd.forwarder import ForwarderState
from tests.parts.prometheus import promtool
from tests.unit import scrapes
from tests.unit.scrapes import BILLING, BOOKS, PARKED, TRIGGER, WRITTEN, feed, outcome, page

SERVICES = ("feed kafka", "feed condor", "feed xrootd")
WHERE = {"trigger": TRIGGER, "topic": "billing", "partition": "0"}


def everything(service: str) -> str:
    """A service's exposition with something in every family."""
    if service == "feed xrootd":
        return scrapes.Forwarder(ForwarderState(topic="xrootd", sent=3)).text()
    schedd = ScheddState(name="one", looked=WRITTEN, jobs={"idle": 2})
    told = scrapes.Feed() if service == "feed kafka" else scrapes.Watcher(schedd, environment=scrapes.env(WRITTEN))
    ended = outcome("completed", run=scrapes.run(queued=100, started=107))
    told.meters.written([outcome("submitted"), ended], [scrapes.letter("mint")])
    return told.text()


def test_the_committed_books_are_told_as_they_are() -> None:
    told = scrapes.Feed(ends={BILLING: 12})
    record = {**WHERE, "outcome": "filtered", "reason": "no_match"}
    assert told["faas_feed_records_total", record] == 6
    assert told["faas_feed_records_total", {**WHERE, "outcome": "matched", "reason": ""}] == 3
    assert told["faas_feed_items_total", {**WHERE, "outcome": "submitted"}] == 3
    assert told["faas_feed_lag_records", WHERE] == 2
    assert told["faas_feed_unaccounted_records", WHERE] == 0
    assert told["faas_feed_unaccounted_items", WHERE] == 0


def test_what_never_happened_is_told_as_0_so_that_the_first_time_is_a_rise() -> None:
    told = scrapes.Feed(feed(committed={BILLING: page(0, {})}))
    for word in ("lost", "dead-lettered"):
        assert told["faas_feed_records_total", {**WHERE, "outcome": word, "reason": ""}] == 0
    for word in ("dead-lettered", "parked", "unparked"):
        assert told["faas_feed_items_total", {**WHERE, "outcome": word}] == 0
    assert told["faas_dead_letters_total", {"stage": "mint"}] == 0
    assert told["faas_feed_batches_total", {"trigger": TRIGGER, "result": "throttled"}] == 0


def test_books_that_do_not_balance_are_told_of_each_partition() -> None:
    """Given two partitions whose errors would cancel out, each is told."""
    other = TopicPartition("billing", 1)
    short, long = {**BOOKS, "matched": 2}, {**BOOKS, "items:submitted": 5}
    told = scrapes.Feed(feed(committed={BILLING: page(10, short), other: page(9, {**long, "matched": 3})}))
    assert told["faas_feed_unaccounted_records", WHERE] == 1
    assert told["faas_feed_unaccounted_records", {**WHERE, "partition": "1"}] == -1
    assert told["faas_feed_unaccounted_items", {**WHERE, "partition": "1"}] == -2


def test_what_returns_from_parking_balances_and_counts_as_no_record() -> None:
    parked = {"other": 4, "items:unparked": 2, "items:submitted": 1, "items:parked": 1}
    place = {**WHERE, "topic": PARKED.topic}
    told = scrapes.Feed(feed(committed={PARKED: page(6, parked)}), ends={PARKED: 20})
    assert told["faas_feed_unaccounted_items", place] == 0
    assert told["faas_feed_unaccounted_records", place] == 0
    assert told["faas_feed_items_total", {**place, "outcome": "unparked"}] == 2
    assert told["faas_feed_records_total", {**place, "outcome": "other", "reason": ""}] is None
    assert told["faas_feed_lag_records", place] is None


def test_a_feed_that_waits_says_so() -> None:
    trigger = {"trigger": TRIGGER}
    assert scrapes.Feed()["faas_feed_waiting", trigger] == 0
    assert scrapes.Feed(feed(waiting="OpenWhisk is away"))["faas_feed_waiting", trigger] == 1
    begins = scrapes.Feed(FeedState(trigger=TRIGGER))
    assert begins["faas_feed_waiting", trigger] == 1
    assert begins["faas_feed_last_turn_timestamp_seconds", trigger] is None


def test_outcomes_are_counted_with_their_times() -> None:
    ended = outcome("completed", took=90, run=scrapes.run(queued=100, started=107))
    never_ran = outcome("failed", code="exit_11", run=scrapes.run(queued=100, started=None))
    skewed = outcome("submitted", took=-120)
    dead = outcome("dead-lettered", took=70, code="policy")
    told = scrapes.Feed()
    told.meters.written([outcome("submitted"), skewed, dead], [scrapes.letter("mint")])
    labels = {"outcome": "submitted", "function": "demo.calibrate", "reason": ""}
    assert told["faas_outcomes_total", labels] == 2
    assert told["faas_outcomes_total", {**labels, "outcome": "dead-lettered", "reason": "policy"}] == 1
    assert told["faas_delivery_seconds_count", {"outcome": "submitted"}] == 2
    assert told["faas_delivery_seconds_sum", {"outcome": "submitted"}] == 0.5
    assert told["faas_delivery_seconds_bucket", {"outcome": "dead-lettered", "le": "60.0"}] == 0
    assert told["faas_dead_letters_total", {"stage": "mint"}] == 1

    jobs = scrapes.Watcher()
    jobs.meters.written([ended, never_ran], [scrapes.letter("job")])
    assert (jobs["faas_job_queue_seconds_count", {}], jobs["faas_job_queue_seconds_sum", {}]) == (1, 7)
    assert jobs["faas_delivery_seconds_count", {"outcome": "completed"}] is None
    assert jobs["faas_dead_letters_total", {"stage": "job"}] == 1


def test_what_a_foreign_action_reports_makes_no_more_series_than_are_allowed() -> None:
    names = Names(most=2)
    assert [names.known(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]
    meters = OutcomeMeters(registry := CollectorRegistry())
    meters.written([outcome("submitted", function=f"x.f{number}") for number in range(2000)], [])
    (counted,) = (family for family in registry.collect() if family.name == "faas_outcomes")
    functions = {sample.labels["function"] for sample in counted.samples}
    assert len(functions) <= 501
    assert sum(one.value for one in counted.samples if one.name.endswith("_total")) == 2000


def test_jobs_and_looks_are_told_by_schedd() -> None:
    told = scrapes.Watcher(
        ScheddState(name="one", looked=WRITTEN, jobs={"idle": 2, "running": 1, "held": 0}), ScheddState(name="two")
    )
    assert told["faas_jobs", {"schedd": "one", "state": "idle"}] == 2
    assert told["faas_watcher_last_look_timestamp_seconds", {"schedd": "one"}] == WRITTEN
    assert told["faas_watcher_last_look_timestamp_seconds", {"schedd": "two"}] == 0


@pytest.mark.parametrize("service", SERVICES)
def test_a_scrape_is_what_prometheus_reads(service: str) -> None:
    families = {family.name: family for family in text_string_to_metric_families(everything(service))}
    assert {"process_resident_memory_bytes", "faas_service_info"} <= set(families)
    assert all(family.documentation for family in families.values())
    assert all(family.type != "unknown" for family in families.values())


@pytest.mark.parametrize("service", SERVICES)
def test_prometheus_finds_nothing_to_complain_of(service: str) -> None:
    judged = subprocess.run([promtool(), "check", "metrics"], input=everything(service), capture_output=True, text=True)
    assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")


def test_a_provider_says_what_it_is_not_ready_for() -> None:
    begun = ProviderState(looked=WRITTEN, feeds=(feed(),))
    assert list(lacking(begun, WRITTEN + 1)) == []
    assert list(lacking(begun, WRITTEN + LOOKED_S + 1)) == ["the registrations cannot be read"]
    assert list(lacking(ProviderState(looked=None, feeds=()), WRITTEN)) == ["the registrations are not known yet"]
    feeds = (feed(joined=False), FeedState(trigger="/faas/other"))
    assert list(lacking(ProviderState(looked=WRITTEN, feeds=feeds), WRITTEN)) == [
        f"{TRIGGER}: its partitions are not assigned",
        "/faas/other: its feed has not begun",
    ]


def test_a_watcher_is_ready_after_its_first_look() -> None:
    blind = WatcherState(is_whole=False, schedds=(ScheddState(name="one"),))
    assert list(watcher_lacks(blind)) == ["the outcomes are not read yet", "schedd one has not been looked at yet"]
    assert list(watcher_lacks(WatcherState(is_whole=True, schedds=(ScheddState(name="one", looked=WRITTEN),)))) == []
