"""`faasctl fn test`: a function on a file of this machine, run by the job's own runner."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import msgspec

from eventflow.errors import UsageError
from eventflow.function import Function
from faasctl.commands.fn.check import text
from faasctl.functions import events, rehearsal
from faasctl.functions.code import check_code
from faasctl.functions.file import load
from faasctl.functions.rehearsal import Outcome
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl fn test calibrate run1.csv
  faasctl fn test calibrate run1.csv --path /pnfs/belle/in/r1/run1.csv
  faasctl fn test calibrate run1.csv --input constants=c.json --output-dir /tmp/out
  faasctl fn test calibrate run1.csv --event event.json -o json
"""


@click.command(name="test", epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--path", help="The path in the storage that FILE stands for.  [default: one that matches]")
@click.option(
    "--event",
    "event_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The event that FILE is the content of, as JSON: a normalised event or a dCache billing record.",
)
@click.option("--input", "inputs", multiple=True, metavar="NAME=FILE", help="A further input of the function.")
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fn-test"),
    show_default=True,
    help="Where the output goes.",
)
@output
def command(
    folder: Path,
    file: Path,
    path: str | None,
    event_file: Path | None,
    inputs: tuple[str, ...],
    output_dir: Path,
    output: str,
) -> None:
    """Run the function in FOLDER on FILE, as a job would: match, stage in, run, stage out.

    It runs on this machine's Python and without the image that it may name. Exit code 1 when it fails.
    """
    if path and event_file:
        raise UsageError("--path and --event both say what FILE stands for", hint="give one of them")
    function = load(folder)
    named = _named(inputs, function)
    for finding in check_code(folder, function):
        click.echo(text(finding), err=True)
    _say_differences(function)
    event = events.read(event_file) if event_file else rehearsal.event_for(function, file, path)
    outcome = rehearsal.run(folder, function, event, file, named, output_dir)
    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins(outcome), indent=2))
    else:
        _show(outcome, event.subject)
    sys.exit(1 if outcome.exit else 0)


def _named(inputs: tuple[str, ...], function: Function) -> dict[str, Path]:
    found = {}
    for entry in inputs:
        name, equals, file = entry.partition("=")
        if not equals or name not in function.inputs:
            known = ", ".join(function.inputs) or "none"
            raise UsageError(f"--input {entry!r} is not NAME=FILE of an input", hint=f"inputs of the function: {known}")
        if not Path(file).is_file():
            raise UsageError(f"--input {name}: there is no file {file}")
        found[name] = Path(file)
    return found


def _say_differences(function: Function) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if function.run.python not in (None, here):
        click.echo(f"note: runs on Python {here} here, on {function.run.python} as a job", err=True)
    if function.run.image:
        click.echo(f"note: runs without the image {function.run.image}", err=True)


def _show(outcome: Outcome, subject: str) -> None:
    click.echo(outcome.stdout, nl=False)
    click.echo(outcome.stderr, nl=False, err=True)
    if outcome.exit:
        click.echo(f"{subject}: exit {outcome.exit}: {outcome.reason}", err=True)
        return
    click.echo(f"{subject}: done")
    if outcome.result is not None:
        click.echo(f"result: {json.dumps(outcome.result)}")
    for file in outcome.outputs:
        click.echo(f"{file['size']:>12}  {file['file']}")
