"""`make soak`: the feed's promises at full size, with everything killed again and again. Prints its figures.

python -m tests.soak [--records N] [--kills N] [--seed N] [--memory-minutes N] [--backlog N]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.parts import feed
from tests.parts.feed import Site, load, other, produce

BACKLOG_PART = 10_000
LONGEST_BETWEEN_KILLS_S = 60.0


def main() -> int:
    """Run all parts; 0 when every promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--memory-minutes", type=float, default=10.0, help="at 1,000 records a second; 0: none")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="records that wait at the start; 0: none")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell in the background has SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder, feed.running(Path(folder), providers=2) as site:
        chance = random.Random(options.seed)
        figures = killed(site, chance, options.records, options.kills)
        print(json.dumps(figures, indent=2), flush=True)
        if options.memory_minutes:
            print(json.dumps({"steady": steady(site, chance, options.memory_minutes)}, indent=2), flush=True)
        if options.backlog:
            print(json.dumps({"backlog": backlog(site, chance, options.backlog)}, indent=2), flush=True)
    return 0 if figures["held"] else 1


def killed(site: Site, chance: random.Random, count: int, kills: int) -> dict[str, Any]:
    """Records while providers, OpenWhisk host and broker are killed at random, the middle third of them throttled."""
    records, events = load(chance, count)
    victims = [lambda: site.kill_provider(0), lambda: site.kill_provider(1), site.kill_host, site.kill_broker]
    order = [victims[number % len(victims)] for number in range(kills)]
    chance.shuffle(order)
    part = -(-count // kills)
    begin = time.monotonic()
    for number, kill in enumerate(order):
        if number in (kills // 3, 2 * kills // 3):
            site.throttle(number == kills // 3)
        produce(site, records[number * part : (number + 1) * part])
        _handled(site, round(part * (number + chance.random())))  # the random point
        start_again = kill()
        time.sleep(chance.uniform(0.0, 2.0))
        start_again()
        print(f"kill {number + 1} of {kills}: {site.account()}", file=sys.stderr)
    account = site.drained(1800)
    jobs = site.job_keys()
    dead = site.dead_letters()
    figures: dict[str, Any] = {
        "records": len(records),
        "events": events,
        "kills": kills,
        "seconds": round(time.monotonic() - begin, 1),
        "jobs": len(jobs),
        "keys_with_several_jobs": sum(1 for number in jobs.values() if number > 1),
        "dead_letters": len(dead),
        "received": account.books.received,
        "books": account.books.records,
        "items": account.books.items,
        "imbalance": account.books.imbalance(),
        "outcomes": Counter(one["outcome"] for one in site.outcomes()),
    }
    figures["held"] = (
        len(jobs) + len(dead) == events
        and figures["keys_with_several_jobs"] == 0
        and account.books.received == len(records)
        and account.books.imbalance() == (0, 0)
        and not {"lost", "absent"} & account.books.records.keys()
    )
    return figures


def _handled(site: Site, records: int) -> None:
    """Wait until so many records were received and committed, but not for ever: the next kill may be what it takes."""
    end = time.monotonic() + LONGEST_BETWEEN_KILLS_S
    while site.account().books.received < records and time.monotonic() < end:
        time.sleep(0.1)


def steady(site: Site, chance: random.Random, minutes: float) -> dict[str, Any]:
    """A provider's memory while 1,000 records a second go by, sampled every second."""
    part = [json.dumps(other(chance)).encode() for _ in range(1000)]
    end = time.monotonic() + 60 * minutes
    samples: list[int] = []
    while time.monotonic() < end:
        due = time.monotonic() + 1.0
        produce(site, part)
        samples.append(_memory(site))
        time.sleep(max(0.0, due - time.monotonic()))
    site.drained(600)
    return _course(samples)


def backlog(site: Site, chance: random.Random, count: int) -> dict[str, Any]:
    """Providers that were away while so many records were written: how they work it off, sampled every second."""
    for provider in site.providers:
        provider.stop()
    before = site.account()
    for _ in range(count // BACKLOG_PART):
        produce(site, [json.dumps(other(chance)).encode() for _ in range(BACKLOG_PART)])
    for provider in site.providers:
        provider.restart()
    begin = time.monotonic()
    samples: list[int] = []
    while (account := site.account()).lag:
        samples.append(_memory(site))
        print(f"backlog: {account.lag} records wait", file=sys.stderr)
        time.sleep(1.0)
    rate = round(count / (time.monotonic() - begin))
    return {**_course(samples), "records": account.books.received - before.books.received, "records_per_s": rate}


def _course(samples: list[int]) -> dict[str, Any]:
    tenth = max(1, len(samples) // 10)
    return {
        "samples": len(samples),
        "first_tenth_mb": round(sum(samples[:tenth]) / tenth / 2**20, 1),
        "last_tenth_mb": round(sum(samples[-tenth:]) / tenth / 2**20, 1),
        "most_mb": round(max(samples) / 2**20, 1),
    }


def _memory(site: Site) -> int:
    """Bytes that all providers hold together."""
    return sum(_resident(service.pid) for service in site.providers)


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    sys.exit(main())
