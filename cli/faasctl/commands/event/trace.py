"""`faasctl event trace`: what happened to an event, step by step."""

from __future__ import annotations

import click
import msgspec

from faasctl.environment import Environment
from faasctl.options import Since, env_option, output
from faasctl.tracing import Trace, trace

EPILOG = """\b
Examples:
  faasctl event trace /pnfs/desy.de/belle/raw/42/f.root
  faasctl event trace 118.0 --since 7d
  faasctl event trace 6f1c2e4a-3b1d-5c5e-9d54-0d6f8b0a7c11 -o json
"""


@click.command(name="trace", epilog=EPILOG)
@click.argument("wanted", metavar="EVENT|PATH|JOB")
@click.option("--since", type=Since(), default="24h", show_default=True, help="How far back: 2h, or RFC 3339.")
@env_option
@output
def command(wanted: str, since: float, env: Environment, output: str) -> None:
    """Say what happened to an event, and how things stand: filtered, parked, submitted, ended, or on its way.

    It is named by its id, its path, the key of its job, or the job's id (CLUSTER.PROC).
    """
    found = trace(env, wanted, since)
    if output == "json":
        rows = [{**msgspec.to_builtins(one), "steps": [_row(step) for step in one.steps]} for one in found]
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    for one in found:
        _show(one)


def _row(step: object) -> dict[str, object]:
    return {"time": getattr(step, "time", None), **msgspec.to_builtins(step)}


def _show(one: Trace) -> None:
    click.echo(f"{one.event}  {one.subject or ''}")
    for step in one.steps:
        function = f"{step.function}  " if step.function else ""
        click.echo(f"  {step.time}  {step.what:<14} {function}{step.note}")
    click.echo(f"  = {one.state}\n")
