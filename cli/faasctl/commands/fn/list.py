"""`faasctl fn list`: the functions there are."""

from __future__ import annotations

import json
from typing import Any

import click

from faasctl.environment import Environment
from faasctl.functions.access import open_registry
from faasctl.functions.registry import Entry, entries
from faasctl.options import env_option, output

EPILOG = """\b
Examples:
  faasctl fn list
  faasctl fn list belle --env desy
  faasctl fn list -o json | jq -r '.[].name'
"""


@click.command(name="list", epilog=EPILOG)
@click.argument("namespace", required=False)
@env_option
@output
def command(namespace: str | None, env: Environment, output: str) -> None:
    """List the registered functions, of NAMESPACE or all."""
    found = [entry for entry in entries(open_registry(env)) if namespace in (None, entry.name.partition(".")[0])]
    if output == "json":
        click.echo(json.dumps([row(entry) for entry in found], indent=2))
        return
    width = max((len(entry.name) for entry in found), default=0)
    for entry in found:
        what = ", ".join(entry.spec.when.path) if entry.spec else f"does not count: {entry.problem}"
        click.echo(f"{entry.name:<{width}}  {entry.version:<7}  {entry.at or '':<20}  {what}")
    if not found:
        click.echo("there are no functions", err=True)


def row(entry: Entry) -> dict[str, Any]:
    """One function as JSON-able data."""
    return {
        "name": entry.name,
        "version": entry.version,
        "path": list(entry.spec.when.path) if entry.spec else None,
        "contact": entry.spec.contact if entry.spec else None,
        "code": entry.code,
        "by": entry.by,
        "commit": entry.commit,
        "at": entry.at,
        "problem": entry.problem,
    }
