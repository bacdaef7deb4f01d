"""A provider that is looked at: its metrics, its health through an outage, and what it says to the end."""

from __future__ import annotations

import json
import time
from functools import partial

from faasctl.environment.secret import secrets_in
from faasctl.local.stack import TOPIC
from tests.parts import feed
from tests.parts.feed import Site, matching
from tests.parts.platform import TRIGGER, wait
from tests.parts.scraping import get, samples, scraped_all_the_time, total

LAG = "faas_feed_lag_records"
UNACCOUNTED = ("faas_feed_unaccounted_records", "faas_feed_unaccounted_items")


def test_metrics_and_health_through_an_outage_and_to_the_end(site: Site) -> None:
    """Given a provider that is scraped all the time, its metrics are the committed books; while Kafka is away it lives
    and is not ready; at its end scrapes are answered or refused; and nothing of all that holds a secret."""
    provider, log = site.providers[0], site.folder / "feed-0.log"
    provider.stop()
    before = log.stat().st_size
    url = provider.restart("--metrics", "0", "--log-format", "json")["metrics"]
    site.settled_group(2)  # whose partitions they are stays as it is then
    wait(lambda: get(f"{url}/health/ready")[0] == 200 or None, "the provider to be ready")
    with scraped_all_the_time(url) as said:
        for number in range(6):
            site.kafka.produce(TOPIC, *_matching("..", 1), *_matching("scraped", 5), partition=number)
        wait(lambda: total(url, "faas_feed_batches_total", result="passed") or None, "a batch to pass")
        site.drained()
        for topic, partition in wait(lambda: _places(url) or None, "the ends of the partitions to be known"):
            books = site.books_of(topic, int(partition))
            place = {"topic": topic, "partition": partition, "trigger": TRIGGER}
            wait(partial(_shown, url, place, books.received), "the last commit to be shown")
            assert total(url, LAG, **place) == 0
            dead = total(url, "faas_feed_records_total", outcome="dead-lettered", **place)
            submitted = total(url, "faas_feed_items_total", outcome="submitted", **place)
            assert (dead, submitted) == (books.records["dead-lettered"], books.items["submitted"])
        assert [total(url, name) for name in UNACCOUNTED] == [0, 0]
        submitted = total(url, "faas_outcomes_total", outcome="submitted", function=feed.FUNCTION)
        assert total(url, "faas_delivery_seconds_count", outcome="submitted") == submitted > 0
        assert total(url, "faas_feed_minted_tokens_total") >= 2 * submitted
        assert total(url, "faas_dead_letters_total", stage="filter") > 0

        start_again = site.kill_broker()
        wait(lambda: get(f"{url}/health/ready") == (503, "Kafka does not answer\n") or None, "the outage to be noticed")
        assert get(f"{url}/health/live") == (200, "ok\n")
        assert total(url, "faas_kafka_last_answer_timestamp_seconds") < time.time() - 5
        start_again()
        wait(lambda: get(f"{url}/health/ready")[0] == 200 or None, "the provider to be ready again")
        shown = get(f"{url}/metrics")[1]
        provider.stop()
        wait(lambda: said[-1] is None or None, "the end of it")
    assert set(said) == {200, None}
    assert said.index(None) >= len(said) - said.count(None)  # once refused, always refused
    lines = log.read_bytes()[before:].decode()
    told = [json.loads(line) for line in lines.splitlines()]
    assert "error" not in set().union(*told)
    letters = [one for one in told if "is a dead letter" in one["message"]]
    assert {(one["code"], one["trigger"], one["level"]) for one in letters} == {("bad_path", TRIGGER, "warning")}
    for secret in secrets_in(site.platform.env):
        assert secret.reveal() not in lines + shown
    provider.restart()


def _matching(run: str, count: int) -> list[bytes]:
    return [json.dumps(matching(number, run)).encode() for number in range(count)]


def _places(url: str) -> set[tuple[str, str]]:
    """The partitions whose lag is told."""
    return {(dict(has)["topic"], dict(has)["partition"]) for name, has in samples(url) if name == LAG}


def _shown(url: str, place: dict[str, str], received: int) -> bool | None:
    return total(url, "faas_feed_records_total", **place) == received or None
