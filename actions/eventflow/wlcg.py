"""Storage tokens of an issuer: the scopes of the WLCG JWT profile, and what an issued token says of itself.

Such a token cannot be narrowed by its bearer, so the issuer is asked for each path; nothing wider is ever asked for.
Signatures are the storage's business: a token is looked at here only to be sure that it will do, and no more.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import msgspec

from eventflow.errors import ItemError

SCOPES = {"DOWNLOAD": ("storage.read",), "UPLOAD": ("storage.create",), "DELETE": ("storage.modify",)}
"""``storage.modify`` because ``storage.create`` alone cannot replace what a broken upload left behind."""


def claims(token: str) -> dict[str, Any]:
    """What a JWT says of itself, unverified. Empty when it is none."""
    try:
        text = token.split(".")[1]
        found = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def scope(path: str, activities: frozenset[str]) -> str:
    """The scopes for some activities on one path, whose special characters are escaped as in a URL."""
    where = quote(path.rstrip("/"))
    return " ".join(f"{name}:{where}" for activity in sorted(activities) for name in SCOPES[activity])


def check(token: str, wanted: str, *, storage: str, audience: str | None) -> float:
    """The end (unix seconds) of a token that allows ``wanted`` and nothing else.

    Raises `ItemError` (``token_refused``): an issuer may answer with fewer scopes than it was asked for (RFC 6749
    3.3), or with all that the client is registered for.
    """
    said = claims(token)
    granted, asked = frozenset(str(said.get("scope", "")).split()), frozenset(wanted.split())
    audiences = said.get("aud", ())
    why = None
    if not said:
        why = "no JWT"
    elif missing := asked - granted:
        why = f"a token without {', '.join(sorted(missing))}"
    elif more := {one for one in granted - asked if one.startswith("storage.")}:
        why = f"a token that also allows {', '.join(sorted(more))[:200]}"
    elif audience is not None and audience not in ([audiences] if isinstance(audiences, str) else audiences):
        why = f"a token that is not for {audience}"
    elif not isinstance(said.get("exp"), int | float):
        why = "a token without an end"
    if why is not None:
        raise ItemError(
            f"the issuer of storage {storage} gives {why}",
            code="token_refused",
            destination=f"storage:{storage}",
            hint="the platform's client must be allowed these scopes, and get those that it asks for",
        )
    return float(said["exp"])
