"""`faasctl undeploy`: remove what a deploy made."""

from __future__ import annotations

import click

from faasctl.deploy.apply import apply, confirm_deletes
from faasctl.deploy.options import Chosen, options
from faasctl.deploy.plan import removal
from faasctl.deploy.remote import read_state
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl undeploy --env desy
  faasctl undeploy --manifest manifest.yaml --yes
"""


@click.command(name="undeploy", epilog=EPILOG)
@options
@click.option("-y", "--yes", is_flag=True, help="Delete without asking.")
@output
def command(chosen: Chosen, yes: bool, output: str) -> None:
    """Delete all that the project owns: rules, triggers with their feeds, actions, packages.

    What is gone already is no error, what cannot be deleted is reported, and everything else goes.
    """
    desired, session = chosen.open_for_removal()
    state = read_state(session, desired)
    plan = removal(
        state,
        set(desired.by_id()),
        apihost=session.apihost,
        namespace=session.namespace,
        project=desired.project,
    )
    confirm_deletes(plan, yes)
    apply(plan, desired, session, output)
