"""What the outside may know of a service while it runs: its metrics, its pulse, and what it is not ready for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from prometheus_client import CollectorRegistry, Gauge, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from faasctl import __version__
from faasctl.environment import Environment
from faasctl.environment.ends import ends
from faasctl.exposition import Address, exposed
from faasctl.local import announce
from faasctl.sd_notify import Systemd
from faasfeeds.kafka.watermarks import Watermarks
from faasfeeds.metrics import KafkaMetrics

LIVE_S = 120.0
"""Seconds without a turn of the service's loop after which it counts as dead: as long as systemd's watchdog waits."""


class Monitor:
    """One service's. ``registry`` holds its metrics; whatever it consists of adds to it, and to what it `needs`."""

    def __init__(self, service: str, env: Environment, stop: threading.Event) -> None:
        self.registry = CollectorRegistry()
        Info("faas_service", "Which service this is.", registry=self.registry).info(
            {"service": service, "version": __version__}
        )
        Gauge("faas_ready", "1 while nothing keeps the service from its work.", registry=self.registry).set_function(
            lambda: not self.unready()
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(Credentials(env))
        self._stop = stop
        self._lacking: list[Callable[[], Iterable[str]]] = []
        self._turned = time.monotonic()
        self._supervisor = Systemd()

    def needs(self, lacking: Callable[[], Iterable[str]]) -> None:
        """Count as ready only while nothing is ``lacking``."""
        self._lacking.append(lacking)

    def watch_kafka(self, watermarks: Watermarks) -> None:
        """Show whether Kafka answers, and count as ready only while it does."""
        self.registry.register(KafkaMetrics(watermarks))
        self.needs(lambda: ["Kafka does not answer"] if watermarks.silent(time.time()) else [])

    def beat(self) -> None:
        """The service's loop has turned; call it often."""
        self._turned = time.monotonic()
        self._supervisor.alive()

    @contextmanager
    def told(self, address: Address | None, status: str) -> Iterator[None]:
        """Tell whoever started the service that it works; show metrics and health at an address, if one is given."""
        with ExitStack() as stack:
            facts = {}
            if address is not None:
                shown = exposed(address, self.registry, dead=self.dead, unready=self.unready)
                facts["metrics"] = f"http://{stack.enter_context(shown)}"
            announce.ready(**facts)
            self._supervisor.ready(status)
            yield
            self._supervisor.stopping()

    def dead(self) -> list[str]:
        """What is wrong with the process itself. It never asks Kafka, nor anybody else."""
        silence = time.monotonic() - self._turned
        return [f"the loop has not turned for {silence:.0f} s"] if silence > LIVE_S else []

    def unready(self) -> list[str]:
        """What keeps the service from its work."""
        if self._stop.is_set():
            return ["it was told to end"]
        return [phrase for lacking in self._lacking for phrase in lacking()]


class Credentials(Collector):
    """When the credentials end that this process can read."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    def collect(self) -> Iterator[Metric]:
        """The families of one scrape."""
        family = GaugeMetricFamily(
            "faas_credential_expiry_timestamp_seconds", "When a credential ends.", labels=("credential", "kind")
        )
        due = GaugeMetricFamily(
            "faas_credential_due_timestamp_seconds",
            "When a credential should have been renewed, by itself or by a person.",
            labels=("credential", "kind"),
        )
        for one in ends(self._env):
            if one.at is not None and one.due is not None:
                family.add_metric((one.name, one.kind), one.at)
                due.add_metric((one.name, one.kind), one.due)
        yield from (family, due)
