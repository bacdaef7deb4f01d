"""`faasctl fn remove`: a function out of the registry."""

from __future__ import annotations

import json

import click

from faasctl.commands.fn.list import row
from faasctl.functions.access import registry_option
from faasctl.functions.client import Registry
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl fn remove belle.calibrate
  faasctl fn remove belle.calibrate --yes
"""


@click.command(name="remove", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@registry_option
@output
def command(name: str, yes: bool, registry: Registry, output: str) -> None:
    """Remove a function: no event fires it any more. Jobs that are in the queue already still run."""
    found = registry.function(name)
    if not yes:
        click.confirm(f"remove {found.name} {found.version}?", abort=True, err=True)
    registry.remove(name)
    if output == "json":
        click.echo(json.dumps({**row(found), "outcome": "removed"}, indent=2))
    else:
        click.echo(f"{found.name} {found.version} removed")
