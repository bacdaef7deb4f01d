"""`faasctl fn logs`: what the runs of a function said."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from eventflow import function as functions
from eventflow.errors import FaasError, UsageError
from eventflow.function import Function
from eventflow.pattern import Template
from faasctl import environment
from faasctl.environment import Environment
from faasctl.functions import access, outputs, runs, site
from faasctl.functions.access import registry_address
from faasctl.functions.client import Registry
from faasctl.functions.outputs import Outputs
from faasctl.functions.policies import policies_of
from faasctl.functions.runs import Run
from faasctl.options import Since, output

EPILOG = """\b
Examples:
  faasctl fn logs belle.calibrate
  faasctl fn logs belle.calibrate --event /pnfs/belle/raw/r7/a.root
  faasctl fn logs belle.calibrate --since 2h -o json | jq 'select(.exit != 0)'
  faasctl fn logs belle.calibrate --follow
"""

PAUSE = 2.0
"""Seconds between two looks of --follow."""

HOUR = 3600.0


@click.command(name="logs", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@click.option("--event", "subject", metavar="PATH", help="Only the run on this file.")
@click.option(
    "--since", type=Since(), help="Runs that ended since: 2h, or RFC 3339.  [default: 1h, with --follow from now on]"
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what ends, until interrupted.")
@registry_address
@output
def command(
    name: str,
    subject: str | None,
    since: float | None,
    follow: bool,
    url: str | None,
    environment_name: str | Path,
    output: str,
) -> None:
    """Show the runs of a function with what they printed (! on stderr) and wrote (>), oldest first.

    What a job printed stands in _faas/ beside its output, and is read from the storage with the environment's
    credential, or with a token of your own in FAASCTL_STORAGE_TOKEN; what a light function printed is with its
    activations.
    """
    if subject and follow:
        raise UsageError("--event and --follow do not go together", hint="a file has one run")
    registry = access.connect(url, environment_name)
    look = _looking(registry, name, subject, environment_name)
    begin = time.time() - (0 if follow else HOUR) if since is None else since
    shown: set[str] = set()
    try:
        while True:
            for run in look(begin):
                if run.id not in shown:
                    shown.add(run.id)
                    _show(run, output)
            if not follow:
                break
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        return
    if not shown:
        click.echo(f"no run of {name} has ended there" if subject else f"no run of {name} since then", err=True)


def _looking(
    registry: Registry, name: str, subject: str | None, environment_name: str | Path
) -> Callable[[float], list[Run]]:
    """How the runs since a time are found."""
    entry = registry.function(name)
    if entry.spec is None:
        raise FaasError(f"does not count as a function: {entry.problem}", where=name, hint="push it again")
    function = functions.decode(entry.spec)
    if function.run.backend == "openwhisk":

        def activations(begin: float) -> list[Run]:
            return runs.of_activations(registry.activations(name, int(begin * 1000)), subject)

        return activations
    reader = _reader(function, environment.load(environment_name, partial=True))
    if subject:
        return lambda begin: runs.of_event(function, subject, reader)
    return lambda begin: runs.since(function, begin, reader)


def _reader(function: Function, env: Environment) -> Outputs:
    assert function.write is not None
    rules = policies_of(env).get(function.namespace)
    names = rules.credentials if rules else {}
    token = outputs.tokens(lambda storage: names.get(storage.name, "default"))
    return Outputs(site.storages(env), token, Template(function.write).literal_directory)


def _show(run: Run, output: str) -> None:
    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins(run)))
        return
    at = datetime.fromtimestamp(run.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    end = "" if run.exit is None else f"  exit {run.exit}"
    click.echo(click.style(f"{at}  {run.subject or run.id}{end}{f': {run.reason}' if run.reason else ''}", bold=True))
    for text, mark in ((run.stdout, "  "), (run.stderr, "! ")):
        for line in text.splitlines():
            click.echo(f"{mark}{line}")
    for path in run.outputs:
        click.echo(f"> {path}")
