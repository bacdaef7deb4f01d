"""`faasctl fn list`: the functions there are."""

from __future__ import annotations

import json
from typing import Any

import click

from eventflow.catalogue import Entry
from faasctl.functions.access import registry_option
from faasctl.functions.client import Registry
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl fn list
  faasctl fn list belle --env desy
  faasctl fn list -o json | jq -r '.[].name'
"""


@click.command(name="list", epilog=EPILOG)
@click.argument("namespace", required=False)
@registry_option
@output
def command(namespace: str | None, registry: Registry, output: str) -> None:
    """List the registered functions, of NAMESPACE or all."""
    found = list(registry.functions(namespace))
    if output == "json":
        click.echo(json.dumps([row(entry) for entry in found], indent=2))
        return
    width = max((len(entry.name) for entry in found), default=0)
    for entry in found:
        what = ", ".join(entry.spec["when"]["path"]) if entry.spec else f"does not count: {entry.problem}"
        state = {None: "", "park": "paused  ", "drop": "paused, dropping  "}[entry.paused]
        click.echo(f"{entry.name:<{width}}  {entry.version:<7}  {entry.pushed.at or '':<20}  {state}{what}")
    if not found:
        click.echo("there are no functions", err=True)


def row(entry: Entry) -> dict[str, Any]:
    """One function as JSON-able data."""
    return {
        "name": entry.name,
        "version": entry.version,
        "path": entry.spec["when"]["path"] if entry.spec else None,
        "contact": entry.spec["contact"] if entry.spec else None,
        "code": entry.code,
        "by": entry.pushed.by,
        "commit": entry.pushed.commit,
        "project": entry.pushed.project,
        "at": entry.pushed.at,
        "paused": entry.paused,
        "problem": entry.problem,
    }
