"""`faasctl plan`: what a deploy would do."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from faasctl.deploy import saved
from faasctl.deploy.options import Chosen, options, planned
from faasctl.deploy.show import plan_lines
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl plan
  faasctl plan --env desy --out plan.json && faasctl deploy --env desy plan.json
  faasctl plan --env desy --detailed-exitcode   # 0 no change, 1 error, 2 changes
  faasctl plan --manifest manifest.yaml --deployment deployment.yaml
"""


@click.command(name="plan", epilog=EPILOG)
@options
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan for faasctl deploy FILE.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@output
def command(chosen: Chosen, out: Path | None, detailed_exitcode: bool, output: str) -> None:
    """Show what a deploy would create, update and delete. Nothing is written to OpenWhisk."""
    plan = planned(*chosen.open())
    if out is not None:
        saved.save(plan, out)
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(plan), indent=2))
    else:
        for line in plan_lines(plan):
            click.echo(line)
    if detailed_exitcode and plan.steps:
        sys.exit(2)
