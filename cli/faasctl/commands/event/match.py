"""`faasctl event match`: which functions records would fire, which not, and why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click
import msgspec

from eventflow import function as functions
from eventflow.errors import FaasError, UsageError
from faasctl import environment
from faasctl.deploy.template import identities
from faasctl.functions import access, matching
from faasctl.functions.access import registry_address
from faasctl.functions.client import Registry
from faasctl.functions.file import load
from faasctl.functions.matching import EXPLAINED, Answer, Candidate, Told
from faasctl.options import output

EPILOG = """\b
Examples:
  faasctl event match record.json
  faasctl event match capture.jsonl --name belle.calibrate
  faasctl event match capture.jsonl --function calibrate -o json
"""

MOST = 1 << 30


@click.command(name="match", epilog=EPILOG)
@click.argument("file", type=click.File("rb"))
@click.option("--name", "names", multiple=True, metavar="NAMESPACE.NAME", help="Only this registered function.")
@click.option(
    "--function",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="A function in a folder, instead of those that are registered.",
)
@registry_address
@output
def command(
    file: IO[bytes],
    names: tuple[str, ...],
    folders: tuple[Path, ...],
    url: str | None,
    environment_name: str | Path,
    output: str,
) -> None:
    """Say which functions the records in FILE would fire, which not and why not, and what it would cost.

    FILE holds billing records or events, one JSON document a line (- for standard input): a single one, or a capture of
    thousands, of which the first are told one by one. Nothing is sent.
    """
    if names and folders:
        raise UsageError("--name and --function name two sources of functions", hint="give one of them")
    content = file.read(MOST + 1)
    if len(content) > MOST:
        raise FaasError("has more than 1 GiB", where=file.name, hint="split it")
    own: frozenset[str] = frozenset()
    if folders:
        candidates = [Candidate(load(folder)) for folder in folders]
    else:
        if url is None:
            own = frozenset(identities(environment.load(environment_name, partial=True)))
        candidates = list(_registered(access.connect(url, environment_name), names))
    answer = matching.match(matching.lines(content), candidates, own)
    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins(answer), indent=2))
        return
    _show(answer)
    for one in candidates:
        if one.paused:
            click.echo(f"{one.function.full_name} is paused: its events would wait", err=True)


def _registered(registry: Registry, names: tuple[str, ...]) -> Iterator[Candidate]:
    entries = map(registry.function, names) if names else registry.functions()
    for entry in entries:
        if entry.spec is None:
            click.echo(f"warning: {entry.name} does not count: {entry.problem}", err=True)
        elif entry.paused != "drop":
            yield Candidate(functions.decode(entry.spec), entry.paused)


def _show(answer: Answer) -> None:
    for told in answer.told:
        _tell(told)
    total = sum(answer.records.values())
    if total > EXPLAINED:
        click.echo(f"(and {total - len(answer.told)} further records)")
    what = ", ".join(f"{count} {name}" for name, count in sorted(answer.records.items()))
    click.echo(f"{total} {'record' if total == 1 else 'records'}: {what or 'none'}")
    if total < 2:
        return
    for function in answer.functions:
        kept = ", ".join(f"{key} {count}" for key, count in sorted(function.not_fired.items()))
        hours = f"{function.core_hours:g} core-hours at most"
        click.echo(f"{function.name}: {function.fired} times, {function.bytes} bytes, {hours}")
        if kept:
            click.echo(f"  not fired because of: {kept}")


def _tell(told: Told) -> None:
    click.echo(f"{told.line}: {told.subject}" if told.subject else f"{told.line}: {told.filtered}")
    for name, directory in told.fires.items():
        click.echo(f"  fires {name}" + (f" -> {directory}" if directory else ""))
    for name, reasons in told.others.items():
        for reason in reasons:
            click.echo(f"  not {name}: {reason.key}: {reason.why}")
