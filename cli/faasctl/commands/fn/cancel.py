"""`faasctl fn cancel`: take a function's waiting jobs out of the queue."""

from __future__ import annotations

import json

import click

from eventflow.exactly_once import Pool
from faasctl.environment import Environment
from faasctl.functions import site
from faasctl.options import env_option, output

EPILOG = """\b
Examples:
  faasctl fn pause belle.calibrate && faasctl fn cancel belle.calibrate
  faasctl fn cancel belle.calibrate --yes -o json
"""

REASON = "cancelled with faasctl fn cancel"


@click.command(name="cancel", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@env_option
@output
def command(name: str, yes: bool, env: Environment, output: str) -> None:
    """Remove the jobs of a function that wait in the queue; those that run go on.

    Their events count as done and do not come back; faasctl fn invoke runs one again. For the platform team,
    since it needs the environment's access to the batch system.
    """
    waiting = {schedd: ids for schedd, pool in site.pools(env).items() if (ids := _idle(pool, name))}
    count = sum(map(len, waiting.values()))
    if count and not yes:
        click.confirm(f"remove {count} waiting jobs of {name}?", abort=True, err=True)
    for schedd, pool in site.pools(env).items():
        if schedd in waiting:
            pool.remove(waiting[schedd], REASON)
    if output == "json":
        click.echo(json.dumps([{"schedd": schedd, "job": id} for schedd, ids in waiting.items() for id in ids]))
    else:
        click.echo(f"{count} waiting jobs of {name} removed")


def _idle(pool: Pool, name: str) -> list[str]:
    return [job.id for job in pool.lookup((), idle_of=(name,)) if job.function == name and job.state == "idle"]
