"""`faasctl fn pause`: a function stops, and nothing is lost."""

from __future__ import annotations

import json

import click

from faasctl.commands.fn.list import row
from faasctl.functions.access import registry_option
from faasctl.functions.client import Registry
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl fn pause belle.calibrate
  faasctl fn pause belle.calibrate --drop
"""


@click.command(name="pause", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@click.option("--drop", is_flag=True, help="Let go of the events that come meanwhile.")
@registry_option
@output
def command(name: str, drop: bool, registry: Registry, output: str) -> None:
    """Pause a function. Its events are parked and come back when it is resumed; with --drop they count as filtered.

    It is in force for what is written from two seconds after this command on. Jobs that are in the queue already still
    run: faasctl fn cancel takes out those that wait.
    """
    found = registry.pause(name, drop=drop)
    if output == "json":
        click.echo(json.dumps(row(found), indent=2))
    else:
        click.echo(f"{found.name} is paused, its events are {'dropped' if drop else 'parked'}")
