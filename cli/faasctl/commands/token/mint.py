"""`faasctl token mint`: the tokens of one job, as the pipeline would make them."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import click
import msgspec

from eventflow import catalogue, envelope, function, minting, outside, submittoken
from eventflow.batch import Item, Origin, Registered
from eventflow.clients.openwhisk import OpenWhisk
from eventflow.errors import FaasError, UsageError
from eventflow.event import Data, Event, normal_path
from eventflow.parents import Parents
from eventflow.seal import keys_from_text
from faasctl.environment import Environment
from faasctl.functions import site
from faasctl.functions.policies import policies_of
from faasctl.options import env_option, output

EPILOG = """\b
Examples:
  faasctl token mint --for demo.calibrate --path /demo/in/run1/a.csv
  faasctl token mint --for demo.calibrate --path /demo/in/run1/a.csv -o json | jq -r .read.macaroon
  faasctl token mint --submit --for demo.calibrate
  faasctl token mint --submit --for demo.calibrate --path /demo/in/run1/a.csv > event.json
  curl --json @event.json https://openwhisk.example.org/api/v1/web/faas/faas/submit
"""


@click.command(name="mint", epilog=EPILOG)
@click.option("--for", "name", metavar="NAMESPACE.NAME", required=True, help="The function that a job would run.")
@click.option("--path", metavar="PATH", help="The file that it would read.")
@click.option(
    "--submit", is_flag=True, help="A submit token; with --path a whole event that whoever holds it can submit."
)
@env_option
@output
def command(name: str, path: str | None, submit: bool, env: Environment, output: str) -> None:
    """Make the tokens of one job as the pipeline would: asked of the storage, narrowed, and after the policy.

    A submit token lets its bearer submit one job of the function, with the function's resources, within ten minutes,
    at the platform's web action faas/submit. With --path it comes in an event that holds everything its job needs.
    What is printed is as good as a password for as long as it lives.
    """
    if path is None and not submit:
        raise UsageError("there is nothing to make a token for", hint="--path PATH, or --submit")
    account = env.openwhisk.functions
    found = catalogue.entry(
        OpenWhisk(env.openwhisk.apihost, account.auth.reveal(), namespace=account.namespace, ca=env.openwhisk.ca), name
    )
    if found.spec is None or found.code is None:
        raise FaasError(f"does not count as a function: {found.problem}", where=name, hint="push it again")
    registered = Registered(spec=found.spec, version=found.version, code=found.code)
    spec = function.decode(registered.spec)
    now = time.time()
    id = f"{outside.KEYS}{uuid.uuid4()}"
    secret = keys_from_text(env.keys.submit.reveal())[0]
    if path is None:
        key = f"{id}/{name}"
        token = submittoken.mint(key, spec, now=now, secret=secret)
        _print({"key": key, "exec": {"function": name}, "submit": {"macaroon": token}}, output)
        return
    storages = site.storages(env)
    policies = policies_of(env)
    item = _item(id, spec, path)
    tokens = minting.mint(item, spec, policies, Parents(storages, now=time.time), secret, now)
    event = envelope.complete(envelope.build(item, registered, storages, policies), msgspec.structs.asdict(tokens))
    if submit:
        _print({**event, "submit": {"macaroon": tokens.submit}}, "json")
    else:
        _print({name: event[name] for name in ("read", "inputs", "write") if event[name]}, output)


def _item(id: str, spec: function.Function, path: str) -> Item:
    """The work item of a file that was written just now; raises `FaasError` when the function waits for no such."""
    event = Event(
        id=id,
        source="urn:faasctl:outside",
        type=spec.when.type,
        subject=normal_path(path, where="--path"),
        time="",
        data=Data(path=path),
    )
    captures = outside.captures(spec, event.subject)
    if captures is None:
        raise FaasError(
            f"does not wait for {path}", where=spec.full_name, hint=f"it waits for {', '.join(spec.when.path)}"
        )
    origin = Origin("outside", 0, 0)
    return Item(origin=origin, event=event, function=spec.full_name, captures=captures)


def _print(made: dict[str, Any], output: str) -> None:
    if output == "json":
        click.echo(json.dumps(made))
        return
    if "submit" in made:
        click.echo(f"key     {made['key']}\nsubmit  {made['submit']['macaroon']}")
        return
    places = {"read": made["read"], **made.get("inputs", {}), "write": made.get("write")}
    for name, place in places.items():
        if place is not None:
            click.echo(f"{name}  {place['endpoint']}{place['path']}\n  {place['macaroon']}")
