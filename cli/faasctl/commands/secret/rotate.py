"""`faasctl secret rotate`: bring changed secrets to the actions that hold them."""

from __future__ import annotations

import time
from collections import Counter
from typing import get_args

import click
import msgspec

from eventflow.errors import FaasError, UsageError
from faasctl.deploy import sources
from faasctl.deploy.session import Session
from faasctl.environment import Environment
from faasctl.options import env_option, output
from faasctl.secrets import deployed, rotation
from faasctl.secrets.deployed import Rows
from faasctl.secrets.inventory import Named, chosen, inventory
from faasctl.secrets.places import Place, places
from faasctl.secrets.registrations import reseal
from faasctl.secrets.rotation import Outcome, Step

EPILOG = """\b
Examples:
  faasctl secret rotate storages.main --env desy
  faasctl secret rotate pool.token registry.admin_key --env desy
  faasctl secret rotate --all --dry-run --env desy
A key of the platform's own, here keys.seal, in two steps:
  (umask 077; echo "$(openssl rand -base64 32) $(cat seal-key)" > new) && mv new seal-key
  faasctl secret rotate keys.seal
  (umask 077; cut -d' ' -f1 seal-key > new) && mv new seal-key          # twelve minutes later
  faasctl secret rotate keys.seal
"""

FEED_KEY = "keys.feed"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one place."""

    name: str
    action: str
    parameter: str
    outcome: Outcome


@click.command(name="rotate", epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every secret that is not deployed as the environment has it.")
@click.option("--dry-run", is_flag=True, help="Write nothing, and say what would be written.")
@env_option
@output
def command(names: tuple[str, ...], everything: bool, dry_run: bool, env: Environment, output: str) -> None:
    """Write secrets that changed in the environment into the actions that hold them, and change nothing else.

    NAME is a secret as in faasctl secret list, or what several begin with (storages.main). What is the same already is
    not written. Activations that begin afterwards use the new one. A key of the platform's own has both in force
    while it is changed: the environment holds the new one, a blank, and the old one, until twelve minutes later.
    """
    if bool(names) == everything:
        raise UsageError("name secrets, or give --all", hint="faasctl secret list names them")
    secrets = inventory(env)
    several = secrets if everything else chosen(secrets, names)
    where = _where(several, places(env, secrets), everything)
    session = sources.session_of(env)
    rows = deployed.read(session, [place.action for place in where])
    steps = rotation.steps(where, rows, time.time())
    if not dry_run:
        _write(session, [step.place for step in steps if step.is_due], rows)
    _tell(_rows(steps, several, dry_run), output)
    feeds = [step for step in steps if FEED_KEY in step.place.names and step.refusal is None]
    if feeds and not dry_run and (count := reseal(env)):
        click.echo(f"{count} triggers' keys sealed anew", err=True)
    for step in steps:
        if step.refusal is not None:
            raise step.refusal
    if any(step.state == "missing" for step in steps):
        raise FaasError("not all of it is deployed", hint="faasctl deploy")


def _write(session: Session, due: list[Place], rows: Rows) -> None:
    for action in dict.fromkeys(place.action for place in due):
        row = rows[action]
        assert row is not None
        rotation.write(session, action, [place for place in due if place.action == action], row)


def _where(several: list[Named], known: list[Place], everything: bool) -> list[Place]:
    wanted = {one.name for one in several}
    homeless = wanted.difference(*(place.names for place in known))
    if homeless and not everything:
        raise FaasError(
            f"no action holds {', '.join(sorted(homeless))}",
            hint="services take theirs by themselves, and faasctl deploy tells the feed the platform namespace's key",
        )
    return [place for place in known if wanted.intersection(place.names)]


def _rows(steps: list[Step], several: list[Named], dry_run: bool) -> list[Row]:
    """What became of each secret in each parameter; of a certificate and its key the one that was not the same."""
    found: dict[tuple[str, str, str], Outcome] = {}
    for step in steps:
        place = step.place
        name = next(one.name for one in several if one.name in place.names)
        key = (name, place.action, place.parameter)
        if found.get(key, "same") == "same":
            found[key] = step.outcome(dry_run)
    return [
        Row(name=name, action=action, parameter=parameter, outcome=outcome)
        for (name, action, parameter), outcome in found.items()
    ]


def _tell(rows: list[Row], output: str) -> None:
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    for row in rows:
        if row.outcome != "same":
            click.echo(f"{row.action:<20} {row.parameter:<16} {row.name}: {row.outcome}")
    counts = Counter(row.outcome for row in rows)
    click.echo(", ".join(f"{counts[word]} {word}" for word in get_args(Outcome) if counts[word]))
