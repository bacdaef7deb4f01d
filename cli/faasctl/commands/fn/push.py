"""`faasctl fn push`: a function into the registry."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from eventflow.errors import FaasError
from eventflow.function import Function
from faasctl.build import Target
from faasctl.build.archive import megabytes
from faasctl.commands.fn.check import text
from faasctl.environment import Environment
from faasctl.functions import policies, provenance, registry
from faasctl.functions.access import open_registry
from faasctl.functions.code import check_code
from faasctl.functions.file import FILE_NAME, load
from faasctl.functions.package import pack, worker_target
from faasctl.functions.registry import Pushed
from faasctl.options import env_option, output

EPILOG = """\b
Examples:
  faasctl fn push calibrate
  faasctl fn push calibrate --env desy -o json
"""


@click.command(name="push", epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@env_option
@output
def command(folder: Path, env: Environment, output: str) -> None:
    """Check the function in FOLDER, pack it with its requirements, and register it.

    Every file written from two seconds after this command on, and matching, fires it. What is registered just so
    already is left alone.
    """
    function = load(folder)
    _check(folder, function, env)
    target = Target.here() if env.openwhisk.runs_here else worker_target(folder, function)
    package = pack(folder, function, target)
    pushed = registry.push(
        open_registry(env),
        function,
        package,
        kind=env.openwhisk.kind,
        by=provenance.pusher(),
        commit=provenance.commit(folder),
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    if output == "json":
        click.echo(json.dumps(_row(function, package.code, pushed), indent=2))
        return
    click.echo(f"{function.full_name} {pushed.version} {pushed.outcome} ({megabytes(len(package.data))} of code)")
    for key, before, after in pushed.changes:
        click.echo(f"  {key}: {_short(before)} -> {_short(after)}")


def _check(folder: Path, function: Function, env: Environment) -> None:
    if function.run.backend == "openwhisk":
        raise FaasError(
            "light functions (run.backend: openwhisk) cannot be pushed yet",
            where=str(folder / FILE_NAME),
            hint="use run.backend: htcondor",
        )
    findings = check_code(folder, function)
    for finding in findings:
        click.echo(text(finding), err=True)
    if any(finding.fatal for finding in findings):
        raise FaasError("the code would not run; nothing was pushed", where=str(folder))
    policies.check(env, function)


def _row(function: Function, code: str, pushed: Pushed) -> dict[str, Any]:
    changes = [{"key": key, "before": before, "after": after} for key, before, after in pushed.changes]
    return {
        "name": function.full_name,
        "version": pushed.version,
        "outcome": pushed.outcome,
        "code": code,
        "changes": changes,
    }


def _short(value: Any) -> str:
    """A value on one line; ``none`` for one that is not there."""
    if value is None:
        return "none"
    shown = value if isinstance(value, str) else json.dumps(value)
    return shown[:19] + "..." if shown.startswith("sha256:") else shown[:200]
