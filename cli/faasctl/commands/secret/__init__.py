"""`faasctl secret`: which credential is where, and how a changed one gets there."""

from __future__ import annotations

import click

from faasctl.commands.secret import list, rotate

EPILOG = """\b
Examples:
  faasctl secret list --env desy
  faasctl secret rotate storages.main --env desy
  faasctl secret rotate --all --dry-run --env desy
"""


@click.group(name="secret", epilog=EPILOG)
def command() -> None:
    """See which credential is used where, and bring changed ones there. No value is ever shown."""


command.add_command(list.command)
command.add_command(rotate.command)
