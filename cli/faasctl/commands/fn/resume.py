"""`faasctl fn resume`: a paused function goes on."""

from __future__ import annotations

import json

import click

from faasctl.commands.fn.list import row
from faasctl.functions.access import registry_option
from faasctl.functions.client import Registry
from faasctl.options import output

EPILOG = """\b
Example:
  faasctl fn resume belle.calibrate
"""


@click.command(name="resume", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@registry_option
@output
def command(name: str, registry: Registry, output: str) -> None:
    """Let a paused function go on, also with the events that were parked."""
    found = registry.resume(name)
    if output == "json":
        click.echo(json.dumps(row(found), indent=2))
    else:
        click.echo(f"{found.name} goes on")
