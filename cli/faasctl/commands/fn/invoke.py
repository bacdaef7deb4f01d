"""`faasctl fn invoke`: one function on one file, by hand."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import click
import msgspec

from eventflow import function as functions
from eventflow.batch import SCHEMA, Delivery, Message, Report
from eventflow.clients.openwhisk import OpenWhisk, OpenWhiskError
from eventflow.errors import FaasError, UsageError
from eventflow.event import Data, Event
from eventflow.filtering import BY_HAND
from eventflow.function import Function
from eventflow.registry import IN_FORCE_MS
from faasctl.environment import Environment
from faasctl.functions import access, events, outputs, rehearsal, site
from faasctl.functions.outputs import Outputs
from faasctl.functions.policies import policies_of
from faasctl.options import env_option, output

EPILOG = """\b
Examples:
  faasctl fn invoke belle.calibrate /pnfs/belle/raw/r7/a.root
  faasctl fn invoke belle.calibrate --event record.json
"""

SEQUENCE = "faas/process"
PATIENCE_S = 60


@click.command(name="invoke", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@click.argument("path", required=False)
@click.option(
    "--event",
    "event_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The event, as JSON: a normalised event or a dCache billing record.",
)
@env_option
@output
def command(name: str, path: str | None, event_file: Path | None, env: Environment, output: str) -> None:
    """Run a function once on the file at PATH, or on an event, past Kafka but through all of the platform's steps.

    Every call is a run of its own, also for a file that the function was run on before. For the platform team, since it
    needs the platform's own key.
    """
    if (path is None) == (event_file is None):
        raise UsageError("say what to run on: PATH, or --event FILE")
    function = _registered(env, name)
    event = events.read(event_file) if event_file else _event(env, function, path or "")
    rehearsal.matched(function, event)
    report = _process(env, name, msgspec.structs.replace(event, id=str(uuid.uuid4())))
    if report.failed:
        failed = report.failed[0]
        raise FaasError(failed.message, where=f"{failed.stage} ({failed.code})")
    if not report.done:
        raise FaasError("nothing was run: " + ", ".join(report.filtered), where=name)
    done = report.done[0]
    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins(done)))
    elif done.job:
        click.echo(f"{name} {done.version}: job {done.job} at {done.destination}")
    else:
        click.echo(f"{name} {done.version}: done")


def _registered(env: Environment, name: str) -> Function:
    entry = access.of_environment(env).function(name)
    if entry.spec is None:
        raise FaasError(f"does not count as a function: {entry.problem}", where=name, hint="push it again")
    return functions.decode(entry.spec)


def _event(env: Environment, function: Function, path: str) -> Event:
    """The event of a file that is there, with its size."""
    rehearsal.check_path(function, path)
    rules = policies_of(env).get(function.namespace)
    names = rules.credentials if rules else {}
    token = outputs.tokens(lambda storage: names.get(storage.name, "default"))
    found = Outputs(site.storages(env), token, path).entry(path)
    if found is None or found.directory:
        raise FaasError("there is no such file" if found is None else "is a directory", where=path)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    data = Data(path=path, size=found.size)
    return Event(id="", source="//faasctl/invoke", type=function.when.type, subject=path, time=now, data=data)


def _process(env: Environment, name: str, event: Event) -> Report:
    """Hand the event to the platform's sequence; its report."""
    platform = env.openwhisk.platform
    client = OpenWhisk(env.openwhisk.apihost, platform.auth.reveal(), namespace=platform.namespace, ca=env.openwhisk.ca)
    now = int(time.time() * 1000)
    message = Message(
        topic=BY_HAND,
        partition=0,
        offset=now,
        timestamp=now + IN_FORCE_MS,  # whatever is registered at this moment counts
        value=msgspec.json.encode(event).decode(),
        only=(name,),
    )
    delivery = Delivery(schema=SCHEMA, deadline=now + PATIENCE_S * 1000, messages=(message,))
    try:
        answer = client.invoke(SEQUENCE, msgspec.to_builtins(delivery))
        return msgspec.convert(answer["report"], Report)
    except (KeyError, msgspec.ValidationError):
        raise OpenWhiskError("answered without a report", where=f"action {SEQUENCE}", hint="faasctl deploy") from None
