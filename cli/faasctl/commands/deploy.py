"""`faasctl deploy`: make OpenWhisk what the manifest says."""

from __future__ import annotations

from pathlib import Path

import click

from faasctl.deploy import saved
from faasctl.deploy.apply import apply, confirm_deletes
from faasctl.deploy.options import Chosen, options, planned
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl deploy
  faasctl deploy --env desy --yes
  faasctl plan --env desy --out plan.json && faasctl deploy --env desy plan.json
  faasctl deploy --manifest manifest.yaml --deployment deployment.yaml
"""


@click.command(name="deploy", epilog=EPILOG)
@click.argument("plan_file", metavar="[PLAN]", type=click.Path(path_type=Path, exists=True), required=False)
@options
@click.option("-y", "--yes", is_flag=True, help="Delete without asking.")
@output
def command(plan_file: Path | None, chosen: Chosen, yes: bool, output: str) -> None:
    """Create and change what differs, delete what left the manifest, and touch nothing that is not its own.

    PLAN is a file from `faasctl plan --out`: exactly that is applied, or nothing when OpenWhisk or the manifest have
    changed since. A deploy that was interrupted is finished by the next one.
    """
    desired, session = chosen.open()
    plan = planned(desired, session)
    if plan_file is not None:
        saved.check(saved.load(plan_file), plan, plan_file)
    else:
        confirm_deletes(plan, yes)
    apply(plan, desired, session, output)
