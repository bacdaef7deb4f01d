"""Asks a service for its metrics and its health, as Prometheus and Kubernetes do."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """Nobody answers: the connection was refused, or closed before a word was said."""


def get(url: str) -> tuple[int, str]:
    """Status and text of an answer; raises `Refused`."""
    try:
        answer = DIRECT.open(url, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    except ConnectionError as error:
        raise Refused from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionError):
            raise Refused from error
        raise
    with answer:
        return answer.status, answer.read().decode()


def samples(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a scrape finds, by name and labels."""
    code, text = get(f"{url}/metrics")
    assert code == 200, text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(url: str, name: str, **labels: str) -> float:
    """The sum of all samples of a name with these labels."""
    found = samples(url).items()
    return sum(value for (one, has), value in found if one == name and labels.items() <= dict(has).items())


@contextmanager
def scraped_all_the_time(url: str) -> Iterator[list[int | None]]:
    """Scrape again and again in a thread of its own: the statuses, None for a connection that was refused, 0 for an
    answer that was cut off."""
    stop, said = threading.Event(), list[int | None]()

    def scrape() -> None:
        while not stop.is_set():
            try:
                said.append(get(f"{url}/metrics")[0])
            except Refused:
                said.append(None)
            except (OSError, http.client.HTTPException):
                said.append(0)
            time.sleep(0.01)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join()
