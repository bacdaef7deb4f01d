"""`faasctl feed`: the services that watch the outside world."""

from __future__ import annotations

from pathlib import Path

import click

from faasctl import services, watcher
from faasctl.commands.feed_xrootd import xrootd
from faasctl.kafka import kafka_feed
from faasctl.local import announce
from faasctl.options import env_options
from faasctl.sd_notify import Systemd

KAFKA_FEED_NEEDS = ("kafka.security.password", "keys.feed", "openwhisk.functions.auth")


@click.group(name="feed", epilog="\b\nExample:\n  faasctl feed kafka --env production")
def command() -> None:
    """Run a feed: a service that fires triggers, or tells of changes."""


command.add_command(xrootd)


@command.command(epilog="\b\nExample:\n  faasctl feed kafka --env production")
@env_options
def kafka(environment_name: str | Path) -> None:
    """Feed every registered trigger from Kafka, until SIGTERM; what is under way then is settled first.

    Of the environment's secrets it needs kafka.security.password, keys.feed and openwhisk.functions.auth.
    """
    stop = services.begin()
    env = services.service_environment(environment_name, *KAFKA_FEED_NEEDS)
    supervisor = Systemd()
    with kafka_feed(env) as provider:
        announce.ready()
        supervisor.ready("feeding triggers")
        provider.run(stop, beat=supervisor.alive)
        supervisor.stopping()


@command.command(epilog="\b\nExample:\n  faasctl feed condor --env production")
@env_options
@click.option("--tick", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, help="Seconds between looks.")
def condor(environment_name: str | Path, tick: float) -> None:
    """Tell what became of the jobs, until SIGTERM: one query per tick and schedd.

    Ends and holds go to the topic of outcomes, each once; what failed for good to the dead letters. A function whose
    jobs keep failing is paused (failure_budget in its policy). Of the environment's secrets it needs
    kafka.security.password, pool.token and registry.admin_key. Run one of it.
    """
    stop = services.begin()
    env = services.service_environment(environment_name, *watcher.NEEDS)
    supervisor = Systemd()
    with watcher.watcher(env, tick=tick) as service:
        announce.ready()
        supervisor.ready("watching jobs")
        service.run(stop, beat=supervisor.alive)
        supervisor.stopping()
