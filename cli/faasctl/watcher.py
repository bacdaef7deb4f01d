"""The watcher of an environment's jobs: the one place that wires it together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from faasctl import services
from faasctl.environment import Environment
from faasctl.functions.access import address
from faasctl.functions.client import Registry
from faasctl.functions.policies import policies_of
from faasctl.functions.site import pools
from faasctl.kafka import cluster
from faasctl.monitor import Monitor
from faasfeeds import outcomes
from faasfeeds.condor.budget import Budget
from faasfeeds.condor.ledger import Ledger
from faasfeeds.condor.state import lacking
from faasfeeds.condor.watcher import Watcher
from faasfeeds.kafka import letters
from faasfeeds.kafka.connecting import patiently
from faasfeeds.kafka.journal import Journal, Topics
from faasfeeds.kafka.watermarks import Watermarks
from faasfeeds.meters import OutcomeMeters
from faasfeeds.metrics import WatcherMetrics

DEFAULT_BUDGET = 20


@contextmanager
def watcher(env: Environment, monitor: Monitor, stop: threading.Event, *, tick: float) -> Iterator[Watcher]:
    """The service; its topics are made when they are missing.

    Brokers that are away are waited for until ``stop`` is set. Raises `Unreachable` when waiting would not help.
    """
    brokers = cluster(env)
    topics = Topics(outcomes=env.kafka.outcomes, dead_letters=env.kafka.dead_letters, parked=env.kafka.parked)
    made = {topics.outcomes: outcomes.SETTINGS, topics.dead_letters: letters.SETTINGS}
    ledger = Ledger(brokers, topics.outcomes)
    budgets = {name: policy.failure_budget for name, policy in policies_of(env).items()}
    budget = Budget(budgets, DEFAULT_BUDGET)
    with closing(Journal(brokers, topics, OutcomeMeters(monitor.registry).written)) as journal:
        service = Watcher(pools(env), brokers, journal, ledger, budget, _Pausing(env), tick=tick)
        watermarks = Watermarks(brokers, topics.outcomes)
        monitor.watch_kafka(watermarks)
        monitor.registry.register(WatcherMetrics(lambda: service.state))
        monitor.needs(lambda: lacking(service.state))
        patiently(lambda: brokers.ensure_topics(made), stop, monitor.beat)
        with services.followed(outcomes=ledger.follow, watermarks=watermarks.follow):
            yield service


class _Pausing:
    """Pauses functions through the registry, as its administrator."""

    def __init__(self, env: Environment) -> None:
        key = env.registry.admin_key
        self._registry = Registry(address(env), key.reveal() if key is not None else "", ca=env.openwhisk.ca)

    def __call__(self, function: str, version: str, count: int) -> bool:
        found = self._registry.function(function)
        if found.version != version or found.paused:
            return False
        self._registry.pause(function, drop=False)
        return True
