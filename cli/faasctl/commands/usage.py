"""`faasctl usage`: who used how much."""

from __future__ import annotations

import csv
import sys
from typing import Any

import click
import msgspec
from rich.filesize import decimal

from faasctl import history
from faasctl.environment import Environment
from faasctl.options import Since, env_option
from faasctl.usage import BY, By, Usage, usage

EPILOG = """\b
Examples:
  faasctl usage --since 7d
  faasctl usage --by group --since 2026-09-01T00:00:00Z -o csv > september.csv
"""


@click.command(name="usage", epilog=EPILOG)
@click.option("--by", type=click.Choice(BY), default="function", show_default=True, help="What is summed up.")
@click.option("--since", type=Since(), default="24h", show_default=True, help="From when on: 2h, or RFC 3339.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    envvar="FAASCTL_OUTPUT",
    help="How data is printed.",
)
@env_option
def command(by: By, since: float, output: str, env: Environment) -> None:
    """Sum up events, jobs, success, wall and core hours, bytes in and out, queue and run times, from the topic of
    outcomes.

    Hours are those of the pool's own record of each job: wall time of all its starts, times its cores. Bytes are those
    that its last start read from the storage and wrote there, as its runner told the pool.
    """
    found = usage(history.read(env, since), by)
    rows = [_row(one) for one in found]
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    elif output == "csv":
        writer = csv.DictWriter(sys.stdout, [*Usage.__struct_fields__, "success"])
        writer.writeheader()
        writer.writerows(rows)
    elif not found:
        click.echo("nothing happened since then", err=True)
    else:
        _table(by, found)


def _row(one: Usage) -> dict[str, Any]:
    return {**msgspec.to_builtins(one), "success": one.success}


def _table(by: str, found: list[Usage]) -> None:
    width = max(len(by), *(len(one.name) for one in found))
    click.echo(
        f"{by:<{width}}  {'events':>8} {'jobs':>8} {'success':>8} {'wall h':>9} {'core h':>9} {'in':>9} {'out':>9}"
        f" {'queued s (p95)':>17} {'ran s (p95)':>17}"
    )
    for one in found:
        success = "-" if one.success is None else f"{one.success:.1%}"
        click.echo(
            f"{one.name:<{width}}  {one.events:>8} {one.jobs:>8} {success:>8} {one.wall_hours:>9.2f}"
            f" {one.core_hours:>9.2f} {decimal(one.bytes_in):>9} {decimal(one.bytes_out):>9}"
            f" {_times(one.queued_median, one.queued_p95):>17} {_times(one.ran_median, one.ran_p95):>17}"
        )


def _times(median: float | None, p95: float | None) -> str:
    return "-" if median is None or p95 is None else f"{median:.1f} ({p95:.1f})"
