"""The provider of an environment's feeds: the one place that wires it together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.seal import SealError, keys_from_text, unseal
from faasctl import services
from faasctl.environment import Environment
from faasctl.kafka import cluster, registrations, sieve, topics
from faasctl.monitor import Monitor
from faasfeeds import outcomes
from faasfeeds.kafka import letters
from faasfeeds.kafka.connecting import patiently
from faasfeeds.kafka.feed import TriggerFeed
from faasfeeds.kafka.journal import Journal
from faasfeeds.kafka.memory import Memory
from faasfeeds.kafka.provider import Provider
from faasfeeds.kafka.registration import FeedError, Registration
from faasfeeds.kafka.state import lacking
from faasfeeds.kafka.watermarks import Watermarks
from faasfeeds.meters import OutcomeMeters
from faasfeeds.metrics import FeedMetrics

OPENWHISK_TIMEOUT_S = 20.0


@contextmanager
def kafka_feed(env: Environment, monitor: Monitor, stop: threading.Event) -> Iterator[Provider]:
    """The provider service of an environment; its own topics are made when they are missing.

    Brokers that are away are waited for until ``stop`` is set. Raises `Unreachable` when waiting would not help.
    """
    brokers = cluster(env)
    own = topics(env)
    made = {own.outcomes: outcomes.SETTINGS, own.dead_letters: letters.SETTINGS, own.parked: letters.SETTINGS}
    keys = keys_from_text(env.keys.feed.reveal())
    memory = Memory(brokers, own.outcomes)

    def feed(registration: Registration) -> TriggerFeed:
        try:
            auth = str(unseal(registration.auth, name=registration.trigger, keys=keys))
        except SealError:
            raise FeedError(
                "its key was sealed with another keys.feed than this environment's",
                where=f"trigger {registration.trigger}",
                hint="run faasctl deploy to register it anew, or give the environment the old key",
            ) from None
        namespace = registration.trigger.strip("/").partition("/")[0]
        site = env.openwhisk
        return TriggerFeed(
            registration,
            brokers,
            connect=lambda: OpenWhisk(site.apihost, auth, namespace=namespace, ca=site.ca, timeout=OPENWHISK_TIMEOUT_S),
            sieve=sieve(env, prefilter=registration.settings.prefilter),
            journal=journal,
            memory=memory,
            parked=own.parked,
        )

    with (
        closing(registrations(env)) as store,
        closing(Journal(brokers, own, OutcomeMeters(monitor.registry).written)) as journal,
    ):
        provider = Provider(store, feed)
        watermarks = Watermarks(
            brokers, own.outcomes, lambda: (place for one in provider.state.feeds for place in one.committed)
        )
        monitor.watch_kafka(watermarks)
        monitor.registry.register(FeedMetrics(lambda: provider.state, watermarks, own.parked))
        monitor.needs(lambda: lacking(provider.state, time.time()))
        patiently(lambda: brokers.ensure_topics(made), stop, monitor.beat)
        with services.followed(outcomes=memory.follow, watermarks=watermarks.follow):
            yield provider
