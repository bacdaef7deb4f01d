"""The submit token: *the bearer can submit 1 job with 1 core and 2 GB, for this key, until then*.

A macaroon of the platform's own. `mint_tokens` issues it for each item, `faasctl token mint --submit` for somebody
outside; whoever is about to submit verifies it before anything else, and removes it before anything reaches a sandbox.
Every caveat must hold exactly: an unknown one refuses the token, so that whoever narrows it locally is understood or
refused, never ignored. It is spent by the job's key, which stands in the queue for longer than the token lives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymacaroons import Macaroon, Verifier
from pymacaroons.exceptions import MacaroonException

from eventflow.errors import ItemError
from eventflow.function import Function
from eventflow.macaroon import instant

LIFE = 600
"""Seconds that a submit token lives at most: less than a key stays in the queue, so that it cannot be spent twice."""

SKEW = 300
"""Seconds that the clocks of who mints and who verifies may differ; a token that ends later than that allows was not
made by this module."""

LOCATION = "faasctl"


def mint(key: str, spec: Function, *, now: float, secret: bytes, life: float = LIFE) -> str:
    """The token to submit one job for ``key`` with the resources of its function, within ``life`` seconds."""
    token = Macaroon(location=LOCATION, identifier=key, key=secret)
    for name, value in _claims(key, spec).items():
        token.add_first_party_caveat(f"{name}:{value}")
    token.add_first_party_caveat(f"before:{instant(now + min(life, LIFE))}")
    return str(token.serialize())


def verify(text: str, key: str, spec: Function, *, now: float, secrets: Sequence[bytes]) -> None:
    """Check that the token allows this job, now; raises `ItemError` (``submit_token``) with the reason.

    ``secrets`` are the keys that are in force: one, or two while they are changed.
    """
    claims = _claims(key, spec)
    for name, value in opened(text, now=now, secrets=secrets):
        if name not in claims:
            raise _refused(f"{name} does not hold")
        if value != str(claims[name]):
            raise _refused(f"{name} does not hold: it is for {value[:200]}, and this is {claims[name]}")


def opened(text: str, *, now: float, secrets: Sequence[bytes]) -> list[tuple[str, str]]:
    """The caveats but ``before`` of a token that this platform signed, that is whole and in time; raises `ItemError`
    (``submit_token``)."""
    try:
        token = Macaroon.deserialize(text)
        given = [caveat.caveat_id.partition(":")[::2] for caveat in token.caveats]
    except Exception:  # whatever the decoder met; its message may hold the token
        raise _refused("it cannot be read") from None
    if not any(_signed(token, secret) for secret in secrets):
        raise _refused("its signature is not this platform's")
    if missing := {*NAMES, "before"} - {name for name, _ in given}:
        raise _refused(f"it names no {', '.join(sorted(missing))}")
    for end in (_end(value) for name, value in given if name == "before"):
        if now >= end:
            raise _refused(f"before does not hold: it ended at {instant(end)}")
    if min(_end(value) for name, value in given if name == "before") > now + LIFE + SKEW:
        raise _refused(f"it lives longer than {LIFE} s")
    return [(name, value) for name, value in given if name != "before"]


NAMES = ("key", "function", "cpus", "memory", "gpus", "runtime")
"""What every token must speak of: a bare one, though signed, allows nothing."""


def _claims(key: str, spec: Function) -> Mapping[str, Any]:
    resources = spec.resources
    values = (key, spec.full_name, resources.cpus, resources.memory, resources.gpus, resources.runtime)
    return dict(zip(NAMES, values, strict=True))


def _signed(token: Macaroon, secret: bytes) -> bool:
    signature = Verifier()
    signature.satisfy_general(lambda caveat: True)
    try:
        return bool(signature.verify(token, secret))
    except MacaroonException:
        return False


def _refused(why: str) -> ItemError:
    return ItemError(f"the submit token is refused: {why}", code="submit_token")


def _end(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise _refused("before holds no instant") from None
