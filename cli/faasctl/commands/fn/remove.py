"""`faasctl fn remove`: a function out of the registry."""

from __future__ import annotations

import json

import click

from faasctl.commands.fn.list import row
from faasctl.environment import Environment
from faasctl.functions import registry
from faasctl.functions.access import open_registry
from faasctl.options import env_option, output

EPILOG = """\b
Examples:
  faasctl fn remove belle.calibrate
  faasctl fn remove belle.calibrate --yes
"""


@click.command(name="remove", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@env_option
@output
def command(name: str, yes: bool, env: Environment, output: str) -> None:
    """Remove a function: no event fires it any more. Jobs that are in the queue already still run."""
    client = open_registry(env)
    found = registry.entry(client, name)
    if not yes:
        click.confirm(f"remove {found.name} {found.version} from {env.name}?", abort=True, err=True)
    registry.remove(client, name)
    if output == "json":
        click.echo(json.dumps({**row(found), "outcome": "removed"}, indent=2))
    else:
        click.echo(f"{found.name} {found.version} removed")
