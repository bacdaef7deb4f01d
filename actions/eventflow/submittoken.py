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
    refused: list[str] = []
    claims = frozenset(_claims(key, spec))

    def holds(caveat: str) -> bool:
        name, _, value = caveat.partition(":")
        good = _in_time(value, now) if name == "before" else caveat in claims
        if not good:
            refused.append(f"{name} does not hold")
        return good

    verifier = Verifier()
    verifier.satisfy_general(holds)
    try:
        token = Macaroon.deserialize(text)
        given = {caveat.caveat_id.partition(":")[0] for caveat in token.caveats}
        missing = {claim.partition(":")[0] for claim in claims} | {"before"}
        if not missing <= given:
            refused.append(f"it names no {', '.join(sorted(missing - given))}")
        verified = token.identifier == key and verifier.verify(token, secret) and not refused
    except MacaroonException:
        verified = False
    except Exception:  # whatever the decoder met; its message may hold the token
        verified = False
        refused.append("it cannot be read")
    if not verified:
        why = "; ".join(refused) or "its signature is not this platform's"
        raise ItemError(f"the submit token is refused: {why}", code="submit_token")


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
