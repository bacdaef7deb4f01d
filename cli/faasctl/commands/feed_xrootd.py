"""`faasctl feed xrootd`: announce the files of an XRootD server."""

from __future__ import annotations

from pathlib import Path

import click

from eventflow.errors import UsageError
from faasctl import services
from faasctl.exposition import Address
from faasctl.kafka import cluster
from faasctl.monitor import Monitor
from faasctl.options import env_options
from faasctl.secrets.services import FEED_XROOTD
from faasctl.service_log import Format
from faasfeeds.metrics import ForwarderMetrics
from faasfeeds.xrootd.forwarder import Forwarder

EPILOG = """\b
In the server's configuration:
  ofs.persist auto hold 0
  ofs.notify closew rm >/run/xrootd/changes
\b
Example:
  faasctl feed xrootd --env production --topic xrootd --changes /run/xrootd/changes --root /data
"""


@click.command(name="xrootd", epilog=EPILOG)
@click.option("--topic", required=True, help="The topic, one of the environment's in the format cloudevents.")
@click.option(
    "--changes",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The pipe that ofs.notify names.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="The folder that oss.localroot names.",
)
@services.service_options
@env_options
def xrootd(
    environment_name: str | Path,
    topic: str,
    changes: Path,
    root: Path,
    metrics: Address | None,
    log_format: Format,
) -> None:
    """Put an event on a topic for every file that this host's XRootD has written, until SIGTERM.

    A cut upload is none. While Kafka is away events wait in memory, and are lost with this process.
    Of the environment's secrets it needs kafka.security.password.
    """
    env, stop = services.begin(environment_name, *FEED_XROOTD, log_format=log_format)
    known = env.kafka.topics.get(topic)
    if known is None or known.format != "cloudevents":
        fitting = [name for name, one in env.kafka.topics.items() if one.format == "cloudevents"]
        raise UsageError(
            f"--topic {topic} is no topic of the environment in the format cloudevents",
            hint=f"it has: {', '.join(fitting) or 'none'}",
        )
    if not changes.is_fifo():
        raise UsageError(f"--changes {changes} is no pipe", hint="make it with: mkfifo -m 600")
    forwarder = Forwarder(changes, root, topic, f"xrootd:{known.instance}", cluster(env).producer)
    monitor = Monitor("feed xrootd", env, stop)
    monitor.registry.register(ForwarderMetrics(lambda: forwarder.state))
    monitor.needs(lambda: ["Kafka does not take the events"] if forwarder.state.waiting else [])
    with monitor.told(metrics, "announcing files"):
        forwarder.run(stop, beat=monitor.beat)
