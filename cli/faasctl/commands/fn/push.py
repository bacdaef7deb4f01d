"""`faasctl fn push`: a function into the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from eventflow.errors import FaasError
from eventflow.function import Function
from faasctl.build import Target
from faasctl.build.archive import megabytes
from faasctl.commands.fn.check import text
from faasctl.functions import provenance
from faasctl.functions.access import registry_option
from faasctl.functions.client import Answer, Registry
from faasctl.functions.code import check_code
from faasctl.functions.file import load
from faasctl.functions.package import Package, pack, worker_target
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl fn push calibrate
  faasctl fn push calibrate --plan
  faasctl fn push calibrate --env desy -o json
"""


@click.command(name="push", epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@click.option("--plan", is_flag=True, help="Only say what would change.")
@registry_option
@output
def command(folder: Path, plan: bool, registry: Registry, output: str) -> None:
    """Check the function in FOLDER, pack it with its requirements, and register it.

    Every file written from two seconds after this command on, and matching, fires it. What is registered just so
    already is left alone.
    """
    function = load(folder)
    _check(folder, function)
    package = pack(folder, function, _target(folder, function, registry))
    answer = registry.push(function, package, plan=plan, by=provenance.pusher(), commit=provenance.commit(folder))
    if output == "json":
        click.echo(
            json.dumps({**msgspec.to_builtins(answer), "code": package.code, "changes": _rows(answer)}, indent=2)
        )
    else:
        _show(answer, package, plan)
    for circle in answer.circles:
        click.echo(f"warning: functions fire each other in a circle: {circle}", err=True)


def _check(folder: Path, function: Function) -> None:
    findings = check_code(folder, function)
    for finding in findings:
        click.echo(text(finding), err=True)
    if any(finding.fatal for finding in findings):
        raise FaasError("the code would not run; nothing was pushed", where=str(folder))


def _target(folder: Path, function: Function, registry: Registry) -> Target:
    """What requirements are vendored for: a worker node, or OpenWhisk's runtime for a light function."""
    if function.run.backend != "openwhisk":
        return worker_target(folder, function)
    target = Target.of_kind(registry.whoami()["kind"])
    if function.run.python not in (None, target.python):
        raise FaasError(
            f"run.python is {function.run.python}, and light functions run on {target.python} there",
            where=str(folder),
            hint="leave run.python out, or use run.backend: htcondor",
        )
    return target


def _show(answer: Answer, package: Package, plan: bool) -> None:
    size = megabytes(len(package.data))
    if plan:
        verb = {"created": "would be created", "updated": "would be updated", "unchanged": "would stay as it is"}
        click.echo(f"{answer.name} {answer.version or ''} {verb[answer.outcome]} ({size} of code)".replace("  ", " "))
    else:
        click.echo(f"{answer.name} {answer.version} {answer.outcome} ({size} of code)")
    for key, before, after in answer.changes:
        click.echo(f"  {key}: {_short(before)} -> {_short(after)}")
    if answer.paused:
        click.echo(f"{answer.name} is paused: faasctl fn resume {answer.name}", err=True)


def _rows(answer: Answer) -> list[dict[str, Any]]:
    return [{"key": key, "before": before, "after": after} for key, before, after in answer.changes]


def _short(value: Any) -> str:
    """A value on one line; ``none`` for one that is not there."""
    if value is None:
        return "none"
    shown = value if isinstance(value, str) else json.dumps(value)
    return shown[:19] + "..." if shown.startswith("sha256:") else shown[:200]
