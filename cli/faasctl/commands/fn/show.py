"""`faasctl fn show`: one function as the registry has it."""

from __future__ import annotations

import json

import click
import yaml

from eventflow import function
from eventflow.errors import FaasError
from faasctl.commands.fn.list import row
from faasctl.environment import Environment
from faasctl.functions.access import open_registry
from faasctl.functions.registry import entry
from faasctl.options import env_option, output

EPILOG = """\b
Examples:
  faasctl fn show belle.calibrate
  faasctl fn show belle.calibrate -o json | jq .spec.resources
"""


@click.command(name="show", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@env_option
@output
def command(name: str, env: Environment, output: str) -> None:
    """Show a registered function: its specification with every default, its version, and who pushed it."""
    found = entry(open_registry(env), name)
    spec = function.encode(found.spec) if found.spec else None
    if output == "json":
        click.echo(json.dumps({**row(found), "spec": spec}, indent=2))
        return
    if spec is None:
        raise FaasError(f"does not count as a function: {found.problem}", where=found.name, hint="push it again")
    click.echo(f"# {found.name} {found.version}, pushed by {found.by or 'unknown'} at {found.at or 'unknown'}")
    click.echo(f"# commit {found.commit or 'unknown'}, code {found.code}")
    click.echo(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=110), nl=False)
