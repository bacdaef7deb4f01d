"""`faasctl feed xrootd`: announce the files of an XRootD server."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import click

from eventflow.errors import UsageError
from faasctl.environment import Environment
from faasctl.kafka import cluster
from faasctl.local import announce, lifeline
from faasctl.options import env_option
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
@env_option
def xrootd(env: Environment, topic: str, changes: Path, root: Path) -> None:
    """Put an event on a topic for every file that this host's XRootD has written, until SIGTERM.

    A cut upload is none. While Kafka is away events wait in memory, and are lost with this process.
    """
    lifeline.watch()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    known = env.kafka.topics.get(topic)
    if known is None or known.format != "cloudevents":
        fitting = [name for name, one in env.kafka.topics.items() if one.format == "cloudevents"]
        raise UsageError(
            f"--topic {topic} is no topic of the environment in the format cloudevents",
            hint=f"it has: {', '.join(fitting) or 'none'}",
        )
    if not changes.is_fifo():
        raise UsageError(f"--changes {changes} is no pipe", hint="make it with: mkfifo -m 600")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    forwarder = Forwarder(changes, root, topic, f"xrootd:{known.instance}", cluster(env).producer)
    announce.ready()
    forwarder.run(stop)
