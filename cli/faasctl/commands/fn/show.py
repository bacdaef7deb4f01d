"""`faasctl fn show`: one function as the registry has it."""

from __future__ import annotations

import json

import click
import yaml

from eventflow.errors import FaasError
from faasctl.commands.fn.list import row
from faasctl.functions.access import registry_option
from faasctl.functions.client import Registry
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl fn show belle.calibrate
  faasctl fn show belle.calibrate -o json | jq .spec.resources
"""


@click.command(name="show", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@registry_option
@output
def command(name: str, registry: Registry, output: str) -> None:
    """Show a registered function: its specification with every default, its version, and who pushed it."""
    found = registry.function(name)
    if output == "json":
        click.echo(json.dumps({**row(found), "spec": found.spec}, indent=2))
        return
    if found.spec is None:
        raise FaasError(f"does not count as a function: {found.problem}", where=found.name, hint="push it again")
    pushed = found.pushed
    click.echo(f"# {found.name} {found.version}, pushed by {pushed.by or 'unknown'} at {pushed.at or 'unknown'}")
    click.echo(f"# commit {pushed.commit or 'unknown'}{f' of {pushed.project}' if pushed.project else ''}")
    click.echo(f"# code {found.code}")
    if found.paused:
        click.echo(f"# paused: its events are {'dropped' if found.paused == 'drop' else 'parked'}")
    click.echo(yaml.safe_dump(found.spec, sort_keys=False, allow_unicode=True, width=110), nl=False)
