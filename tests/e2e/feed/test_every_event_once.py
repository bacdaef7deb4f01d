"""The feed on a real Kafka: nothing lost, nothing twice, and the books balance, whoever is killed."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter

import pytest

from faasctl.kafka import cluster, sieve
from faasctl.local.stack import TOPIC
from faasfeeds.kafka.shadow import Shadow, Tally
from tests.parts import feed
from tests.parts.dying import STEPS
from tests.parts.feed import Site, load, matching, produce
from tests.parts.platform import wait

SEED = 20261121
RECORDS = 10_000


def test_a_provider_that_is_told_to_end_hands_over_without_a_second_try(site: Site) -> None:
    site.settled_group(2)
    before = site.account().books
    produce(site, [json.dumps(matching(n, "handover")).encode() for n in range(40)])
    wait(lambda: site.account().books.received > before.received or None, "the first to be committed")
    site.providers[0].stop()
    after = site.drained()
    assert after.books.items["submitted"] - before.items.get("submitted", 0) == 40
    assert after.books.items.get("duplicate", 0) == before.items.get("duplicate", 0)
    site.providers[0].restart()


def test_a_paused_functions_events_wait_and_what_died_is_sent_again(site: Site) -> None:
    """Given a paused function, its events are parked; removed meanwhile, they are dead letters with the reason; pushed
    again, a redrive makes one job of each, and a second redrive none."""
    platform = site.platform
    platform.faasctl("fn", "pause", feed.FUNCTION)
    produce(site, [json.dumps(matching(n, "paused")).encode() for n in range(5)])
    wait(lambda: site.account().books.parked == 5 or None, "five to be parked")
    before = site.job_keys()
    platform.faasctl("fn", "remove", feed.FUNCTION, "--yes")
    site.drained()
    listed = json.loads(platform.faasctl("dlq", "list", "--function", feed.FUNCTION, "-o", "json"))
    assert [(one["code"], one["state"]) for one in listed] == [("gone", "dead")] * 5

    platform.faasctl("fn", "push", str(site.function))
    dry = json.loads(platform.faasctl("dlq", "redrive", "--code", "gone", "--dry-run", "-o", "json"))
    assert (len(dry["keys"]), dry["sent"]) == (5, 0)
    platform.faasctl("dlq", "redrive", "--code", "gone", "--yes")
    wait(lambda: len(site.job_keys() - before) == 5 or None, "five jobs")
    platform.faasctl("dlq", "redrive", "--code", "gone", "--yes")
    account = site.drained()

    assert site.job_keys() - before == Counter({one["key"]: 1 for one in listed})
    assert account.books.imbalance() == (0, 0)
    shown = json.loads(platform.faasctl("dlq", "show", listed[0]["key"], "-o", "json"))
    assert (shown[0]["state"], json.loads(shown[0]["value"])["msgType"]) == ("done", "transfer")


def test_a_poison_record_stands_alone_in_the_end(site: Site) -> None:
    """Given an action that one record of 500 makes fail, 499 go through, and few tries are made."""
    source = (
        "def main(args):\n"
        "    values = [one['value'] for one in args['messages']]\n"
        "    if any('poison' in value for value in values):\n"
        "        raise ValueError('poison')\n"
        "    return {'report': {'received': len(values), 'filtered': {'seen': len(values)}}}\n"
    )
    site.fed_trigger("poisoned", source, start="latest", batch_records=500, prefilter=False)
    records = [json.dumps(matching(n, "poison" if n == 137 else "fine")).encode() for n in range(500)]
    group = "/guest/poisoned"
    wait(lambda: site.committed(group) or None, "the new trigger to be fed")
    produce(site, records)
    site.worked_off(group, TOPIC, 90)
    books = site.account(group).books
    tries = sum(1 for row in site.platform.openwhisk.get("activations", limit=200) if row["name"] == "poisoned-action")
    assert (books.records["filtered:seen"], books.records["dead-lettered"]) == (499, 1)
    assert [one["faaserrorcode"] for one in site.dead_letters().values() if one["faastrigger"] == group.encode()] == [
        b"sequence_failed"
    ]
    assert tries <= 60
    feed.lifecycle(site.platform, "DELETE", group)


def test_a_shadow_counts_what_would_be_fired_and_fires_nothing(site: Site) -> None:
    topic = feed.MORE_TOPICS[-1]
    site.drained()
    before = site.job_keys()
    wanted = [json.dumps(matching(n, "shadow")).encode() for n in range(6)]
    produce(site, [*wanted, wanted[0], b"{", json.dumps(feed.other(random.Random(SEED))).encode()], topic)
    env = site.platform.env
    shadow, stop, told = Shadow(cluster(env), sieve(env), [topic]), threading.Event(), list[Tally]()
    thread = threading.Thread(
        target=shadow.run, args=(stop,), kwargs={"earliest": True, "every_s": 1000, "tell": told.append}
    )
    thread.start()
    wait(lambda: shadow.tally().received == 9 or None, "nine records to be counted")
    stop.set()
    thread.join()
    (tally,) = told
    assert (tally.matched, tally.duplicate, tally.functions) == (6, 1, {feed.FUNCTION: 6})
    assert (tally.dead, sum(tally.filtered.values())) == ({"unparsable": 1}, 1)
    assert site.job_keys() == before


@pytest.mark.timeout(600)
def test_wherever_it_dies_between_poll_and_commit_every_event_has_one_job(site: Site) -> None:
    """Given for each step a provider that dies there, with a trigger of its own, when others take over, then every
    event has exactly one job."""
    site.drained(180)
    for provider in site.providers:
        provider.stop()
    before = site.job_keys()
    for topic, step in zip(feed.MORE_TOPICS, STEPS, strict=False):
        produce(site, [json.dumps(matching(n, step)).encode() for n in range(5)], topic)
        site.feed_to(step, "/guest/faas/process", topics=topic)
    steps = list(STEPS)
    for several in (steps[:3], steps[3:6], steps[6:]):  # as many at once as a small machine can start
        dying = [site.dying(step, f"/guest/{step}") for step in several]
        for one in dying:
            site.dead(one)
    site.providers[0].restart()
    groups = {f"/guest/{step}": feed.MORE_TOPICS[number] for number, step in enumerate(STEPS)}
    for group, topic in groups.items():
        site.worked_off(group, topic, 240)

    assert len(site.job_keys() - before) == 5 * len(STEPS)
    assert max(site.job_keys().values()) == 1
    for group, topic in groups.items():
        books = site.account(group, topic).books
        assert books.imbalance() == (0, 0)
    for step in STEPS:
        feed.lifecycle(site.platform, "DELETE", f"/guest/{step}")
    site.providers[1].restart()


@pytest.mark.timeout(600)
def test_every_event_has_one_job_and_every_record_is_counted_whoever_is_killed(site: Site) -> None:
    """Given two providers, when provider, OpenWhisk host and broker are killed at random points under load, then
    every matching event has exactly one job, and every record is in the books."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    site.drained(120)
    before, jobs_before, dead_before = site.account().books, site.job_keys(), site.dead_letters().keys()
    records, events = load(chance, RECORDS)
    kills = [lambda: site.kill_provider(0), lambda: site.kill_provider(1), site.kill_host, site.kill_broker] * 2
    kills = kills[:6]
    chance.shuffle(kills)
    part = len(records) // len(kills) + 1
    for number, kill in enumerate(kills):
        produce(site, records[number * part : (number + 1) * part])
        time.sleep(chance.uniform(0.1, 1.0))  # the random point
        start_again = kill()
        time.sleep(chance.uniform(0.0, 0.5))
        start_again()
    account = site.drained(300)

    jobs = site.job_keys() - jobs_before
    print(account, f"events {events}, jobs {len(jobs)}")
    assert site.dead_letters().keys() == dead_before
    assert (len(jobs), set(jobs.values())) == (events, {1})
    assert (account.books.received - before.received, account.books.imbalance()) == (len(records), (0, 0))
    assert "lost" not in account.books.records
    words = Counter(one["outcome"] for one in site.outcomes())
    assert words["submitted"] + words["duplicate"] >= events
