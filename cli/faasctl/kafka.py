"""The Kafka cluster of an environment, and what is read from it: the one place that wires them together."""

from __future__ import annotations

import time

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.filtering import Topic
from eventflow.registry import Registry
from faasctl.deploy.template import identities
from faasctl.environment import Environment
from faasfeeds.kafka.cluster import Cluster, Security
from faasfeeds.kafka.directory import DirectoryRegistrations
from faasfeeds.kafka.journal import Topics
from faasfeeds.kafka.registration import Registrations
from faasfeeds.kafka.shadow import Shadow
from faasfeeds.kafka.sieve import Sieve
from faasfeeds.kafka.topic import TopicRegistrations

REGISTRY_TIMEOUT_S = 5.0
"""The registry is read between two polls of Kafka, which must not be long."""


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
