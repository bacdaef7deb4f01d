"""The Kafka cluster of an environment, and the feed that reads from it: the one place that wires them together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.filtering import Topic
from eventflow.registry import Registry
from eventflow.seal import SealError, key_from_text, unseal
from faasctl.deploy.template import identities
from faasctl.environment import Environment
from faasfeeds import outcomes
from faasfeeds.kafka import letters
from faasfeeds.kafka.cluster import Cluster, Security
from faasfeeds.kafka.directory import DirectoryRegistrations
from faasfeeds.kafka.feed import TriggerFeed
from faasfeeds.kafka.journal import Journal, Topics
from faasfeeds.kafka.memory import Memory
from faasfeeds.kafka.provider import Provider
from faasfeeds.kafka.registration import FeedError, Registration, Registrations
from faasfeeds.kafka.shadow import Shadow
from faasfeeds.kafka.sieve import Sieve
from faasfeeds.kafka.topic import TopicRegistrations

REGISTRY_TIMEOUT_S = 5.0
"""The registry is read between two polls of Kafka, which must not be long."""

OPENWHISK_TIMEOUT_S = 20.0


def cluster(env: Environment) -> Cluster:
    """How to connect to the environment's brokers."""
    security = env.kafka.security
    return Cluster(
        bootstrap_servers=env.kafka.bootstrap_servers,
        api_version=env.kafka.api_version,
        security=Security(
            protocol=security.protocol,
            mechanism=security.mechanism,
            username=security.username,
            password=security.password.reveal() if security.password is not None else None,
            ca=security.ca,
        ),
    )


def topics(env: Environment) -> Topics:
    """The feed's own topics."""
    return Topics(outcomes=env.kafka.outcomes, dead_letters=env.kafka.dead_letters, parked=env.kafka.parked)


def registrations(env: Environment) -> Registrations:
    """Where the environment keeps which triggers are fed."""
    place = env.kafka.registrations
    if place.directory is not None:
        return DirectoryRegistrations(place.directory)
    return TopicRegistrations(cluster(env), place.topic or "")


def sieve(env: Environment, *, prefilter: bool = True) -> Sieve:
    """A sieve for the environment's topics and functions."""
    site, account = env.openwhisk, env.openwhisk.functions
    client = OpenWhisk(
        site.apihost,
        account.auth.reveal(),
        namespace=account.namespace,
        ca=site.ca,
        timeout=REGISTRY_TIMEOUT_S,
    )
    registry = Registry(client, now_ms=lambda: int(time.time() * 1000))
    topics = {name: Topic(instance=topic.instance, format=topic.format) for name, topic in env.kafka.topics.items()}
    return Sieve(topics, registry, frozenset(identities(env)), prefilter=prefilter)


def shadow(env: Environment) -> Shadow:
    """A feed that only counts, over all of the environment's topics."""
    return Shadow(cluster(env), sieve(env), sorted(env.kafka.topics))


@contextmanager
def kafka_feed(env: Environment) -> Iterator[Provider]:
    """The provider service of an environment; its own topics are made when they are missing."""
    brokers = cluster(env)
    own = topics(env)
    brokers.ensure_topics(
        {own.outcomes: outcomes.SETTINGS, own.dead_letters: letters.SETTINGS, own.parked: letters.SETTINGS}
    )
    key = key_from_text(env.keys.feed.reveal())
    memory = Memory(brokers, own.outcomes)
    journal = Journal(brokers, own)

    def feed(registration: Registration) -> TriggerFeed:
        try:
            auth = str(unseal(registration.auth, name=registration.trigger, keys=[key]))
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

    stop = threading.Event()
    follower = threading.Thread(target=memory.follow, args=(stop,), name="outcomes", daemon=True)
    follower.start()
    with closing(registrations(env)) as store:
        try:
            yield Provider(store, feed)
        finally:
            stop.set()
            journal.close()
            follower.join(5)
