"""`faasctl feed`: the services that watch the outside world."""

from __future__ import annotations

import logging
import signal
import threading

import click

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.seal import key_from_text, unseal
from faasctl.environment import Environment
from faasctl.kafka import cluster
from faasctl.local import announce, lifeline
from faasctl.options import env_option
from faasfeeds.kafka.directory import DirectoryRegistrations
from faasfeeds.kafka.feed import TriggerFeed
from faasfeeds.kafka.outcomes import Outcomes
from faasfeeds.kafka.provider import Provider
from faasfeeds.kafka.registration import Registration


@click.group(name="feed", epilog="\b\nExample:\n  faasctl feed kafka --env production")
def command() -> None:
    """Run a feed: a service that fires triggers."""


@command.command(epilog="\b\nExample:\n  faasctl feed kafka --env production")
@env_option
def kafka(env: Environment) -> None:
    """Feed every registered trigger from Kafka, until SIGTERM; what is under way then is settled first."""
    lifeline.watch()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    broker = cluster(env)
    feed_key = key_from_text(env.keys.feed.reveal())
    assert env.kafka.registrations.directory is not None

    def feed(registration: Registration) -> TriggerFeed:
        auth = unseal(registration.auth, name=registration.trigger, key=feed_key)
        namespace = registration.trigger.strip("/").partition("/")[0]
        client = OpenWhisk(env.openwhisk.apihost, auth, namespace=namespace, ca=env.openwhisk.ca, timeout=20)
        outcomes = Outcomes(broker, env.kafka.outcomes, env.kafka.dead_letters)
        return TriggerFeed(registration, broker, client, outcomes)

    provider = Provider(DirectoryRegistrations(env.kafka.registrations.directory), feed)
    announce.ready()
    provider.run(stop)
