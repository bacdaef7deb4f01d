"""`faasctl dlq`: what could not be done, why, and once more."""

from __future__ import annotations

import base64
import functools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import click

from eventflow.errors import UsageError
from faasctl.environment import Environment
from faasctl.kafka import cluster, topics
from faasctl.options import Since, env_option, output
from faasfeeds.kafka import dead
from faasfeeds.kafka.dead import Dead, Filter
from faasfeeds.outcomes import utc

EPILOG = """\b
Examples:
  faasctl dlq list --since 1d
  faasctl dlq show 5f0d2c1e-.../belle.calibrate
  faasctl dlq redrive --function belle.calibrate --code policy --dry-run
"""

Command = Callable[..., Any]


def filters(command: Command) -> Command:
    """Options that say which dead letters; the command gets a `Filter` as ``wanted``."""

    @click.option("--function", help="Those of one function (NAMESPACE.NAME).")
    @click.option("--code", help="Those that failed with this code.")
    @click.option("--trigger", help="Those of one trigger (/namespace/name).")
    @click.option("--since", type=Since(), help="Those that died since: 2h, or RFC 3339.")
    @functools.wraps(command)
    def with_filter(
        *args: Any, function: str | None, code: str | None, trigger: str | None, since: float | None, **kwargs: Any
    ) -> Any:
        wanted = Filter(keys=tuple(kwargs.pop("keys", ())), function=function, code=code, trigger=trigger, since=since)
        return command(*args, wanted=wanted, **kwargs)

    return with_filter


@click.group(name="dlq", epilog=EPILOG)
def command() -> None:
    """Look at dead letters, and send them on their way again."""


@command.command(name="list", epilog=EPILOG)
@filters
@click.option("--all", "everything", is_flag=True, help="Also those that were done after all.")
@env_option
@output
def list_command(wanted: Filter, everything: bool, env: Environment, output: str) -> None:
    """List dead letters, the oldest first: one line per key, with the newest reason."""
    found = [one for one in dead.read(cluster(env), topics(env), wanted) if everything or one.state != "done"]
    if output == "json":
        click.echo(json.dumps([_row(one) for one in found], indent=2))
        return
    for one in found:
        letter = one.letter
        state = {"dead": "", "done": "done since  ", "cut": "cut  "}[one.state]
        click.echo(f"{utc(one.at)}  {letter.key}  {letter.stage}: {letter.code}  {state}{letter.why}")
    if not found:
        click.echo("there are no dead letters", err=True)


@command.command(epilog=EPILOG)
@click.argument("key")
@env_option
@output
def show(key: str, env: Environment, output: str) -> None:
    """Show the dead letter of KEY whole, with the original record."""
    found = dead.read(cluster(env), topics(env), Filter(keys=(key,)))
    if not found:
        raise UsageError(f"there is no dead letter {key!r}", hint="faasctl dlq list prints the keys there are")
    if output == "json":
        click.echo(json.dumps([{**_row(one), **_original(one)} for one in found], indent=2))
        return
    for one in found:
        for name, value in {**_row(one), **_original(one)}.items():
            click.echo(f"{name + ':':<12} {value}")


@command.command(epilog=EPILOG)
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@filters
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@env_option
@output
def redrive(wanted: Filter, dry_run: bool, yes: bool, env: Environment, output: str) -> None:
    """Send dead letters on their way again: those of the KEYs, or those that the options name.

    Each goes only to the function that it failed for, with fresh tokens. What got a job meanwhile gets no second one.
    """
    if wanted == Filter():
        raise UsageError("which dead letters?", hint="name keys, or use --function, --code, --trigger or --since")
    found = dead.read(cluster(env), topics(env), wanted)
    count = Counter(one.state for one in found)
    if not dry_run and not yes and count["dead"]:
        click.confirm(f"send {count['dead']} dead letters on their way again?", abort=True, err=True)
    sent = 0 if dry_run else dead.redrive(cluster(env), topics(env), found)
    if output == "json":
        keys = [one.letter.key for one in found if one.state == "dead"]
        click.echo(json.dumps({"keys": keys, "sent": sent, "done": count["done"], "cut": count["cut"]}, indent=2))
        return
    for (code, function), number in sorted(_reasons(found).items()):
        click.echo(f"{number:>6}  {code:<20} {function}")
    click.echo(f"{count['dead']} would be sent" if dry_run else f"{sent} sent")
    if count["done"]:
        click.echo(f"{count['done']} were done after all and are left alone", err=True)
    if count["cut"]:
        click.echo(f"{count['cut']} were too large to be kept whole: write them to their topic again", err=True)


def _reasons(found: Sequence[Dead]) -> Counter[tuple[str, str]]:
    return Counter((one.letter.code, ",".join(one.letter.functions)) for one in found if one.state == "dead")


def _row(one: Dead) -> dict[str, Any]:
    letter = one.letter
    return {
        "key": letter.key,
        "state": one.state,
        "at": utc(one.at),
        "function": ",".join(letter.functions) or None,
        "stage": letter.stage,
        "code": letter.code,
        "why": letter.why,
        "destination": letter.destination or None,
        "attempts": letter.message.attempt,
        "times": one.times,
        "trigger": letter.trigger,
        "rule": letter.rule.name if letter.rule else None,
        "origin": str(letter.message.origin),
    }


def _original(one: Dead) -> dict[str, Any]:
    message = one.letter.message
    value = message.value
    if message.value_b64 is not None:
        value = base64.b64decode(message.value_b64).decode(errors="backslashreplace")
    return {
        "written": utc(message.timestamp / 1000),
        "headers": dict(message.headers or ()),
        "cut": one.letter.cut or None,
        "value": value,
    }
