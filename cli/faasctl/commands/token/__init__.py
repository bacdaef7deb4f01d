"""`faasctl token`: what tokens say, and tokens as the pipeline would make them."""

from __future__ import annotations

import click

from faasctl.commands.token import mint, show

EPILOG = """\b
Examples:
  faasctl token show < token
  faasctl token mint --for demo.calibrate --path /demo/in/run1/a.csv
  faasctl token mint --submit --for demo.calibrate --path /demo/in/run1/a.csv > event.json
"""


@click.group(name="token", epilog=EPILOG)
def command() -> None:
    """Look at tokens, and make them as the pipeline would."""


command.add_command(mint.command)
command.add_command(show.command)
