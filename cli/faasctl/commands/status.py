"""`faasctl status`: the whole pipeline on one screen."""

from __future__ import annotations

import time

import click
import msgspec

from faasctl.environment import Environment
from faasctl.options import env_option, output
from faasctl.status import Status, lines
from faasctl.survey import survey

EPILOG = """\b
Examples:
  faasctl status
  faasctl status --watch 5
  faasctl status -o json | jq '.feeds[].lag'
"""


@click.command(name="status", epilog=EPILOG)
@click.option(
    "--watch",
    type=click.FloatRange(0.5, 3600),
    is_flag=False,
    flag_value=5.0,
    metavar="SECONDS",
    help="Show it again and again, every 5 seconds unless said otherwise, until Ctrl-C.",
)
@env_option
@output
def command(watch: float | None, env: Environment, output: str) -> None:
    """Show feeds, lag and books, what is parked and dead, schedds, functions, credentials, and what needs a person.

    Exit code 1 when something does.
    """
    found = survey(env)
    while watch is not None:
        if output == "text":
            click.clear()
        _show(found, output)
        try:
            time.sleep(watch)
        except KeyboardInterrupt:
            break
        found = survey(env)
    if watch is None:
        _show(found, output)
    if found.needs:
        raise click.exceptions.Exit(1)


def _show(found: Status, output: str) -> None:
    if output == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    for line in lines(found):
        click.echo(line)
