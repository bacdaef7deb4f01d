"""`faasctl feed`: the services that watch the outside world."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from eventflow.errors import UsageError
from faasctl import feeding, services, watcher
from faasctl.commands.feed_xrootd import xrootd
from faasctl.exposition import Address
from faasctl.kafka import shadow
from faasctl.monitor import Monitor
from faasctl.options import env_options
from faasctl.renewal import renewed
from faasctl.secrets.services import FEED_CONDOR, FEED_KAFKA
from faasctl.service_log import Format

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
@services.service_options
@env_options
def kafka(
    environment_name: str | Path, as_shadow: bool, earliest: bool, metrics: Address | None, log_format: Format
) -> None:
    """Feed every registered trigger from Kafka, until SIGTERM; what is under way then is settled first.

    Of the environment's secrets it needs kafka.security.password, keys.feed and openwhisk.functions.auth; when one of
    them has changed, it starts again by itself.
    """
    if earliest and not as_shadow:
        raise UsageError("--earliest goes with --shadow", hint="where a trigger starts is its own parameter: start")
    if metrics is not None and as_shadow:
        raise UsageError("--metrics does not go with --shadow", hint="a shadow prints what it counts")
    env, stop = services.begin(environment_name, *FEED_KAFKA, log_format=log_format)
    if as_shadow:
        shadow(env).run(
            stop, earliest=earliest, every_s=TELL_S, tell=lambda tally: click.echo(msgspec.json.encode(tally))
        )
        return
    with renewed(environment_name, FEED_KAFKA, env, stop):
        monitor = Monitor("feed kafka", env, stop)
        with monitor.told(metrics, "feeding triggers"), feeding.kafka_feed(env, monitor, stop) as provider:
            provider.run(stop, beat=monitor.beat)


@command.command(epilog="\b\nExample:\n  faasctl feed condor --env production")
@click.option("--tick", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, help="Seconds between looks.")
@services.service_options
@env_options
def condor(environment_name: str | Path, tick: float, metrics: Address | None, log_format: Format) -> None:
    """Tell what became of the jobs, until SIGTERM: one query per tick and schedd.

    Ends and holds go to the topic of outcomes, each once; what failed for good to the dead letters. A function whose
    jobs keep failing is paused (failure_budget in its policy). Of the environment's secrets it needs
    kafka.security.password, pool.token and registry.admin_key; when one of them has changed, it starts again by itself.
    Run one of it.
    """
    env, stop = services.begin(environment_name, *FEED_CONDOR, log_format=log_format)
    with renewed(environment_name, FEED_CONDOR, env, stop):
        monitor = Monitor("feed condor", env, stop)
        with monitor.told(metrics, "watching jobs"), watcher.watcher(env, monitor, stop, tick=tick) as service:
            service.run(stop, beat=monitor.beat)
