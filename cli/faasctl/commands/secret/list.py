"""`faasctl secret list`: which credential is used where, until when, and whether what is deployed is the same."""

from __future__ import annotations

import click
import msgspec

from eventflow.macaroon import instant
from faasctl.deploy import sources
from faasctl.environment import Environment
from faasctl.options import env_option, output
from faasctl.secrets import deployed
from faasctl.secrets.deployed import State, Use
from faasctl.secrets.inventory import inventory
from faasctl.secrets.places import places
from faasctl.secrets.services import given

EPILOG = """\b
Examples:
  faasctl secret list --env desy
  faasctl secret list -o json | jq -r '.[] | select(any(.uses[]; .state == "differs")) | .name'
"""

_COLOURS = {"same": None, "differs": "yellow", "missing": "red"}


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """An action's parameter that holds a secret, how what is deployed there compares, and its end (RFC 3339)."""

    action: str
    parameter: str
    state: State
    ends: str | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One secret: where it comes from, a keyed fingerprint, its end (RFC 3339), the actions that hold it, and the
    services that are given it."""

    name: str
    origin: str
    fingerprint: str
    ends: str | None
    uses: list[Holder]
    services: list[str]


@click.command(name="list", epilog=EPILOG)
@env_option
@output
def command(env: Environment, output: str) -> None:
    """List every secret of the environment, without its value.

    Fingerprints are keyed with the platform namespace's key: equal ones are equal secrets, and nobody can try out
    passwords against them. "differs" is a secret that was changed in the environment and is not deployed yet.
    """
    rows = _rows(env)
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    for row in rows:
        ends = f"  ends {row.ends}" if row.ends else ""
        click.echo(f"{click.style(row.name, bold=True)}  {row.origin}  {row.fingerprint}{ends}")
        for use in row.uses:
            place = f"action {use.action}, {use.parameter}"
            click.echo(f"  {place:<45} {click.style(_words(row, use), fg=_COLOURS[use.state])}")
        for service in row.services:
            click.echo(f"  {service}")


def _rows(env: Environment) -> list[Row]:
    secrets = inventory(env)
    where = places(env, secrets)
    rows = deployed.read(sources.session_of(env), [place.action for place in where])
    key = env.openwhisk.platform.auth.reveal()
    return [
        Row(
            name=one.name,
            origin=one.origin,
            fingerprint=one.fingerprint(key),
            ends=_instant(one.ends),
            uses=[_holder(use) for use in deployed.uses(one.name, where, rows)],
            services=given(one.name),
        )
        for one in secrets
    ]


def _holder(use: Use) -> Holder:
    return Holder(action=use.action, parameter=use.parameter, state=use.state, ends=_instant(use.ends))


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else instant(seconds)


def _words(row: Row, use: Holder) -> str:
    if use.state == "same":
        return "deployed"
    if use.state == "missing":
        return "not deployed: faasctl deploy"
    ends = f", and ends {use.ends}" if use.ends else ""
    return f"another is deployed{ends}: faasctl secret rotate {row.name}"
