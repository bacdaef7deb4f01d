"""The submit token: *the bearer can submit 1 job with 1 core and 2 GB, for this key, until then*.

A macaroon of the platform's own. `mint_tokens` issues it, `submit_condor` verifies it before anything else and
removes it before anything reaches a sandbox. Every caveat must hold exactly: an unknown one refuses the token, so
that whoever narrows it locally is understood or refused, never ignored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymacaroons import Macaroon, Verifier
from pymacaroons.exceptions import MacaroonException

from eventflow.errors import ItemError
from eventflow.function import Function
from eventflow.macaroon import instant

LIFE = 600
"""Seconds that a submit token lives: less than a key stays in the queue, so that it cannot be spent twice."""

LOCATION = "faasctl"


def mint(key: str, spec: Function, *, now: float, secret: bytes) -> str:
    """The token to submit one job for ``key`` with the resources of its function."""
    token = Macaroon(location=LOCATION, identifier=key, key=secret)
    for caveat in (*_claims(key, spec), f"before:{instant(now + LIFE)}"):
        token.add_first_party_caveat(caveat)
    return str(token.serialize())


def verify(text: str, key: str, spec: Function, *, now: float, secret: bytes) -> None:
    """Check that the token allows this job, now; raises `ItemError` (``submit_token``) with the reason."""
    try:
        token = Macaroon.deserialize(text)
    except Exception:  # whatever the decoder met; its message may hold the token
        raise _refused("it cannot be read") from None
    signature = Verifier()
    signature.satisfy_general(lambda caveat: True)
    try:
        signature.verify(token, secret)
    except MacaroonException:
        raise _refused("its signature is not this platform's") from None
    claims = frozenset(_claims(key, spec))
    given = [caveat.caveat_id for caveat in token.caveats]
    for caveat in given:
        name, _, value = caveat.partition(":")
        if not (_in_time(value, now) if name == "before" else caveat in claims):
            raise _refused(f"{name} does not hold")
    if missing := {*map(_name, claims), "before"} - set(map(_name, given)):
        raise _refused(f"it names no {', '.join(sorted(missing))}")


def _refused(why: str) -> ItemError:
    return ItemError(f"the submit token is refused: {why}", code="submit_token")


def _name(caveat: str) -> str:
    return caveat.partition(":")[0]


def _claims(key: str, spec: Function) -> list[str]:
    resources = spec.resources
    claims: dict[str, Any] = {
        "key": key,
        "function": spec.full_name,
        "cpus": resources.cpus,
        "memory": resources.memory,
        "gpus": resources.gpus,
        "runtime": resources.runtime,
    }
    return [f"{name}:{value}" for name, value in claims.items()]


def _in_time(text: str, now: float) -> bool:
    try:
        return now < datetime.fromisoformat(text).timestamp()
    except ValueError:
        return False
