"""Applying a plan from a command: ask, show progress, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from eventflow.errors import FaasError, UsageError
from faasctl.deploy.execute import Result, execute
from faasctl.deploy.model import Desired
from faasctl.deploy.plan import Plan
from faasctl.deploy.session import Session
from faasctl.deploy.show import plan_lines, result_line, summary


class Incomplete(FaasError):
    """Some steps of a plan did not work."""


def confirm_deletes(plan: Plan, yes: bool) -> None:
    """Ask before anything is deleted; without a terminal to ask on, ``yes`` must have been given."""
    count = plan.count("delete")
    if yes or not count:
        return
    if not sys.stdin.isatty():
        names = ", ".join(str(step.id) for step in plan.steps if step.verb == "delete")
        raise UsageError(f"this would delete {names}", hint="look at faasctl plan, then give --yes")
    for line in plan_lines(plan):
        click.echo(line, err=True)
    click.confirm(f"Delete {count} entities?", abort=True, err=True)


def apply(plan: Plan, desired: Desired, session: Session, output: str) -> None:
    """Carry out a plan, with progress on stderr and the results on stdout. Raises `Incomplete`."""
    with _progress(len(plan.steps)) as tell:
        results = execute(plan, desired, session, tell)
    if output == "json":
        rows = [{"verb": r.step.verb, "entity": str(r.step.id), "outcome": r.outcome, "why": r.why} for r in results]
        document = {"results": rows, "unchanged": plan.unchanged}
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
    else:
        click.echo(summary(results, plan.unchanged))
    failed = [result for result in results if not result.worked]
    if failed:
        names = ", ".join(str(result.step.id) for result in failed[:5])
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        raise Incomplete(
            f"{len(failed)} of {len(results)} steps did not work: {names}{more}",
            hint="the reasons are above; run the same command again to go on from here",
        )


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Result], None]]:
    """Calls for each result: a bar on a terminal, lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal or not total:
        yield lambda result: click.echo(result_line(result), err=True)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)

        def tell(result: Result) -> None:
            bar.update(task, advance=1, description=str(result.step.id))
            if result.outcome != "done":
                bar.console.print(result_line(result), markup=False, highlight=False)

        yield tell
