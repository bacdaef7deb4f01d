"""`faasctl feed`: the services that watch the outside world."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from eventflow.errors import UsageError
from faasctl import services, watcher
from faasctl.commands.feed_xrootd import xrootd
from faasctl.kafka import kafka_feed, shadow
from faasctl.local import announce
from faasctl.options import env_options
from faasctl.sd_notify import Systemd

KAFKA_FEED_NEEDS = ("kafka.security.password", "keys.feed", "openwhisk.functions.auth")

EPILOG = """\b
Examples:
  faasctl feed kafka --env production
  faasctl feed kafka --env production --shadow --earliest
"""

TELL_S = 10.0
"""Seconds between two lines of a shadow."""


@click.group(name="feed", epilog="\b\nExample:\n  faasctl feed kafka --env production")
def command() -> None:
    """Run a feed: a service that fires triggers, or tells of changes."""


command.add_command(xrootd)


@command.command(epilog=EPILOG)
@click.option("--shadow", "as_shadow", is_flag=True, help="Fire nothing; count what would be, in lines of JSON.")
@click.option("--earliest", is_flag=True, help="With --shadow: from the oldest record, not from now on.")
@env_options
def kafka(environment_name: str | Path, as_shadow: bool, earliest: bool) -> None:
    """Feed every registered trigger from Kafka, until SIGTERM; what is under way then is settled first.

    Of the environment's secrets it needs kafka.security.password, keys.feed and openwhisk.functions.auth.
    """
    if earliest and not as_shadow:
        raise UsageError("--earliest goes with --shadow", hint="where a trigger starts is its own parameter: start")
    stop = services.begin()
    env = services.service_environment(environment_name, *KAFKA_FEED_NEEDS)
    supervisor = Systemd()
    if as_shadow:
        shadow(env).run(
            stop, earliest=earliest, every_s=TELL_S, tell=lambda tally: click.echo(msgspec.json.encode(tally))
        )
        return
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
