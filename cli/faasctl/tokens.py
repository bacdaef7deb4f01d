"""What a token says, in words. Its signature is what makes it worth something, and is never among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from pymacaroons import Macaroon

from eventflow import wlcg
from eventflow.errors import FaasError
from eventflow.macaroon import instant

ACTIVITIES = {
    "DOWNLOAD": "read",
    "UPLOAD": "write new files",
    "DELETE": "delete",
    "LIST": "list directories",
    "MANAGE": "rename, and make and remove directories",
    "READ_METADATA": "see sizes, times and checksums",
    "UPDATE_METADATA": "change metadata",
    "STAGE": "bring files back from tape",
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A token without what makes it one: ``says`` holds each caveat or claim with what it means."""

    kind: str
    identifier: str | None
    says: tuple[tuple[str, str], ...]


def show(token: str, now: float) -> Shown:
    """Read a macaroon of dCache, XRootD or this platform, or a JWT; raises `FaasError`, which never quotes it."""
    token = token.strip()
    said = wlcg.claims(token)
    if said:
        return Shown(kind="JWT", identifier=_text(said.get("jti")), says=tuple(_claims(said, now)))
    try:
        macaroon = Macaroon.deserialize(token)
        texts = [str(caveat.caveat_id) for caveat in macaroon.caveats]
        identifier = str(macaroon.identifier)
        if not macaroon.signature or not macaroon.identifier:
            raise ValueError("cut off")
    except Exception:  # pymacaroons raises whatever its decoder met; the token must not be in the message
        hint = "give the bare token, without 'Bearer' and quotes"
        raise FaasError("is neither a macaroon nor a JWT", where="the token", hint=hint) from None
    words = [(text, _meaning(text, now)) for text in texts]
    kind = "submit token" if macaroon.location == "faasctl" else "macaroon"
    return Shown(kind=kind, identifier=identifier, says=tuple(words))


def _meaning(text: str, now: float) -> str:
    name, colon, value = text.partition(":")
    meaning = MEANINGS.get(name)
    if not colon or meaning is None:
        return "unknown: dCache and XRootD refuse the whole token"
    return meaning(value, now)


def _activities(value: str, now: float) -> str:
    return "may " + ", ".join(ACTIVITIES.get(one.strip(), f"{one.strip()} (unknown)") for one in value.split(","))


def _before(value: str, now: float) -> str:
    try:
        return _until(datetime.fromisoformat(value).timestamp(), now)
    except ValueError:
        return "no instant: the token is worth nothing"


def _until(end: float, now: float) -> str:
    left = int(abs(end - now))
    span = f"{left // 86400}d " * (left >= 86400) + f"{left % 86400 // 3600}h {left % 3600 // 60}m"
    return f"good for another {span}" if end > now else f"ended {span} ago"


MEANINGS: Mapping[str, Callable[[str, float], str]] = {
    "activity": _activities,
    "before": _before,
    "path": lambda value, now: f"only {value} and below; in dCache below the path before it",
    "root": lambda value, now: f"sees {value} as /",
    "home": lambda value, now: f"at home in {value}",
    "ip": lambda value, now: f"only from {value.replace(',', ' or ')}",
    "name": lambda value, now: f"counts as the user {value} (XRootD)",
    "iid": lambda value, now: "the token's own number, as it stands in billing records",
    "id": lambda value, now: f"acts for {value.rpartition(';')[2]} (uid;gids;name {value})",
    "max-upload": lambda value, now: f"files of at most {value} bytes; whoever sends more switches a dCache pool off",
    "key": lambda value, now: f"for the one job {value}",
    "function": lambda value, now: f"running {value}",
    "cpus": lambda value, now: f"with {value} cores",
    "memory": lambda value, now: f"and {int(value) / 1e9:g} GB of memory" if value.isdecimal() else value,
    "gpus": lambda value, now: f"and {value} GPUs",
    "runtime": lambda value, now: f"for at most {value} s",
}


def _claims(said: Mapping[str, Any], now: float) -> Iterator[tuple[str, str]]:
    for name in ("iss", "sub", "aud", "scope", "nbf", "exp"):
        value = said.get(name)
        if value is None:
            continue
        if name in ("nbf", "exp") and isinstance(value, int | float):
            at = datetime.fromtimestamp(value, UTC).timestamp()
            yield f"{name}: {instant(at)}", _until(at, now) if name == "exp" else "not before that"
        else:
            yield f"{name}: {_text(value)}", CLAIMS.get(name, "")


CLAIMS = {
    "iss": "who gave it",
    "sub": "to whom",
    "aud": "for which service",
    "scope": "what it allows, and where",
}


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
