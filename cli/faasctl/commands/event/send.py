"""`faasctl event send`: records onto a topic."""

from __future__ import annotations

import sys
from typing import IO

import click
import msgspec

from eventflow.errors import FaasError, UsageError
from faasctl.environment import Environment
from faasctl.kafka import cluster
from faasctl.options import env_option, output

MAX_RECORD = 1_000_000


EPILOG = """\b
Examples:
  faasctl event send records.jsonl
  faasctl event send - --topic billing < one.json
"""


@click.command(name="send", epilog=EPILOG)
@click.argument("file", type=click.File("rb"))
@click.option("--topic", help="The topic, when the environment has several.")
@env_option
@output
def command(file: IO[bytes], topic: str | None, env: Environment, output: str) -> None:
    """Put raw records from FILE (one JSON document a line, - for standard input) on a topic.

    Lines go as they are: one that is no JSON reaches the filter and becomes a failed item, as it would from outside.
    """
    topics = env.kafka.topics
    if topic is None and len(topics) != 1:
        raise UsageError("the environment has several topics", hint=f"--topic {' | '.join(sorted(topics))}")
    name = topic or next(iter(topics))
    if name not in topics:
        raise UsageError(f"the environment has no topic {name!r}", hint=f"it has: {', '.join(sorted(topics))}")
    producer = cluster(env).producer()
    sent = []
    try:
        for number, line in enumerate(file, 1):
            record = line.rstrip(b"\r\n")
            if not record:
                continue
            if len(record) > MAX_RECORD:
                raise FaasError("is longer than 1 MB, which Kafka does not take", where=f"{file.name}:{number}")
            sent.append(producer.send(name, value=record))
        where = [future.get(timeout=30) for future in sent]
    except FaasError:
        raise
    except Exception as error:  # kafka-python's errors have no common root that would leave out bugs
        raise FaasError(
            f"Kafka did not take the records: {error}",
            where=", ".join(env.kafka.bootstrap_servers),
            hint="is the broker up?",
        ) from None
    finally:
        producer.close(timeout=5)
    if output == "json":
        rows = [{"topic": at.topic, "partition": at.partition, "offset": at.offset} for at in where]
        click.echo(msgspec.json.encode(rows).decode())
    else:
        click.echo(f"sent {len(where)} records to {name}", file=sys.stdout)
