"""`faasctl fn check`: everything that can be said of a function without running it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import msgspec

from eventflow.errors import FaasError
from eventflow.function import Function
from eventflow.policy import check_function
from faasctl import environment
from faasctl.environment import variables
from faasctl.functions import policies
from faasctl.functions.code import Finding, check_code
from faasctl.functions.file import load, load_policy
from faasctl.functions.package import check_folder
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl fn check calibrate
  faasctl fn check calibrate --policy policies/belle.yaml
  faasctl fn check calibrate --env desy -o json
"""


@click.command(name="check", epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, exists=True), default=".")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path, dir_okay=False), help="A policy to keep to.")
@click.option("--env", metavar="NAME", envvar="FAASCTL_ENV", help="An environment whose policies to keep to.")
@output
def command(folder: Path, policy_file: Path | None, env: str | None, output: str) -> None:
    """Check function.yaml and the code in FOLDER: errors that would come up only when it runs.

    Exit code 1 when something is wrong that would make it fail; warnings do not count.
    """
    findings: list[Finding] = []
    try:
        function = load(folder)
        here = folder if folder.is_dir() else folder.parent
        findings += check_code(here, function)
        check_folder(here)
        _check_policies(function, policy_file, env)
    except FaasError as error:
        findings.insert(0, Finding(where=error.where, why=error.why, hint=error.hint))
    fatal = any(finding.fatal for finding in findings)
    if output == "json":
        click.echo(json.dumps({"ok": not fatal, "findings": msgspec.to_builtins(findings)}, indent=2))
    else:
        for finding in findings:
            click.echo(text(finding))
        if not fatal:
            click.echo(f"{function.full_name} is fine" + (", apart from the warnings" if findings else ""))
    sys.exit(1 if fatal else 0)


def text(finding: Finding) -> str:
    """A finding for people: one line, and one for what to do."""
    kind = "error" if finding.fatal else "warning"
    line = f"{kind}: {finding.where}: {finding.why}" if finding.where else f"{kind}: {finding.why}"
    return f"{line}\n  hint: {finding.hint}" if finding.hint else line


def _check_policies(function: Function, policy_file: Path | None, env: str | None) -> None:
    if policy_file is not None:
        check_function(load_policy(policy_file), function)
    if env is not None:
        policies.check(environment.load(env, look_up=variables.unresolved), function)
