"""`faasctl doctor`: is everything outside as the platform needs it?"""

from __future__ import annotations

import click
import msgspec

from faasctl.doctor import CHECKS, examine
from faasctl.doctor.finding import Finding
from faasctl.environment import Environment
from faasctl.options import env_option, output

EPILOG = """\b
Examples:
  faasctl doctor --env desy
  faasctl doctor kafka kafka-topics --env desy
  faasctl doctor -o json | jq '.[] | select(.level == "problem")'
"""

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red", "skipped": "bright_black"}


@click.command(name="doctor", epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[CHECK]...", type=click.Choice([check.name for check in CHECKS]))
@env_option
@output
def command(names: tuple[str, ...], env: Environment, output: str) -> None:
    """Look at every outside system as the platform uses it, and say what to do about what is wrong.

    It writes a small file below each prefix that jobs may write to, and sends an empty batch through the pipeline.
    Exit code 1 when something needs a person.
    """
    checks = [check for check in CHECKS if not names or check.name in names]
    found = []
    for name, finding in examine(env, checks):
        found.append((name, finding))
        if output == "text":
            _show(name, finding)
    if output == "json":
        rows = [{"check": name, **msgspec.to_builtins(finding)} for name, finding in found]
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    problems = sum(finding.level == "problem" for _, finding in found)
    click.echo(f"{len(found)} findings, {problems} of them problems", err=True)
    if problems:
        raise click.exceptions.Exit(1)


def _show(name: str, finding: Finding) -> None:
    level = click.style(f"{finding.level:<8}", fg=_COLOURS[finding.level])
    click.echo(f"{level} {name:<16}  {finding.about}: {finding.why}")
    if finding.remedy:
        click.echo(f"{'':27}-> {finding.remedy}")
