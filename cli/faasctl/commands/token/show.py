"""`faasctl token show`: a token in words."""

from __future__ import annotations

import json
import time
from typing import IO

import click

from faasctl.options import output
from faasctl.tokens import show

MOST = 65_536


@click.command(
    name="show", epilog="\b\nExamples:\n  faasctl token show < token\n  faasctl token show token.txt -o json"
)
@click.argument("file", type=click.File("r"), default="-")
@output
def command(file: IO[str], output: str) -> None:
    """Say what the token in FILE (default: standard input) allows, and never its signature.

    A token is not given as an argument: those are seen by everybody on the machine, and kept in the shell's history.
    """
    shown = show(file.read(MOST), time.time())
    if output == "json":
        says = [{"caveat": caveat, "means": means} for caveat, means in shown.says]
        click.echo(json.dumps({"kind": shown.kind, "identifier": shown.identifier, "says": says}, indent=2))
        return
    click.echo(f"{shown.kind} {shown.identifier or ''}".rstrip())
    width = min(60, max((len(caveat) for caveat, _ in shown.says), default=0))
    for caveat, means in shown.says:
        click.echo(f"  {caveat:{width}}  {means}")
