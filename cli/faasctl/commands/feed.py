"""`faasctl feed`: the services that watch the outside world."""

from __future__ import annotations

import logging
import signal
import threading

import click

from faasctl.commands.feed_xrootd import xrootd
from faasctl.environment import Environment
from faasctl.kafka import kafka_feed
from faasctl.local import announce, lifeline
from faasctl.options import env_option


@click.group(name="feed", epilog="\b\nExample:\n  faasctl feed kafka --env production")
def command() -> None:
    """Run a feed: a service that fires triggers, or tells of changes."""


command.add_command(xrootd)


@command.command(epilog="\b\nExample:\n  faasctl feed kafka --env production")
@env_option
def kafka(env: Environment) -> None:
    """Feed every registered trigger from Kafka, until SIGTERM; what is under way then is settled first."""
    lifeline.watch()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    client = logging.getLogger("kafka")  # what matters of it, the feed says itself
    client.setLevel(logging.WARNING)
    client.propagate = False
    client.addHandler(logging.NullHandler())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with kafka_feed(env) as provider:
        announce.ready()
        provider.run(stop)
