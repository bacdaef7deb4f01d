"""Macaroons: narrowing a parent token locally, and saying what a token allows.

A child is made from its parent by adding caveats, without a request to the storage: every caveat can only
narrow. The two flavours write the same wish in different words:

- **dcache** (`org.dcache.macaroons.CaveatValues`, `PathPrefixes`): `path` caveats are chained, each relative
  to what stands; a later `activity` list must be a subset of the earlier one, or the whole token is dead.
- **xrootd** (`XrdMacaroonsAuthz.cc`): `path` is absolute and a plain string prefix before 5.9.1; `name`
  makes the connection *become* that user, so a child always gets a name that no authorization knows;
  `before` has no fractions; `ip` is unknown and would make the token useless.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from pymacaroons import Macaroon

from eventflow.errors import FaasError
from eventflow.event import covers
from eventflow.storages import Flavour

ANONYMOUS = "faas-job"
"""The `name` of every XRootD child: it must stand in no authorization database."""


class MacaroonError(FaasError):
    """A token that cannot be read, or that does not allow what was asked for."""


class Grant(msgspec.Struct, frozen=True):
    """What a token allows, as far as its caveats tell: its path, activities, and end (unix seconds)."""

    path: str | None
    activities: frozenset[str] | None
    expires: float | None


def caveats(token: str) -> list[str]:
    """The first-party caveats of a token, in order; raises `MacaroonError` when it is none."""
    return [caveat.caveat_id for caveat in _parse(token).caveats]


def grant(token: str) -> Grant:
    """Read what a freshly minted token allows. Caveats that a minter does not send are not interpreted."""
    path: str | None = None
    activities: frozenset[str] | None = None
    expires: float | None = None
    for caveat in caveats(token):
        key, _, value = caveat.partition(":")
        if key == "path":  # a storage's own, and there is one
            path = value
        elif key == "activity":
            listed = frozenset(item.strip() for item in value.split(","))
            activities = listed if activities is None else activities & listed
        elif key == "before":
            end = _unix_time(value)
            expires = end if expires is None else min(expires, end)
    return Grant(path=path, activities=activities, expires=expires)


def narrow(
    parent: str,
    flavour: Flavour,
    *,
    prefix: str,
    path: str,
    activities: Iterable[str],
    expires: float,
    subnets: Iterable[str] = (),
) -> str:
    """Make the token for one path from a parent that covers ``prefix``.

    ``activities`` is the parent's own set (dCache refuses a list that names one more); ``expires`` is in unix
    seconds; ``subnets`` (dcache only) are the worker nodes' networks, in both families where both are used.
    Raises `MacaroonError` when ``path`` is not under ``prefix``, since the chained caveat would name another
    place.
    """
    if not covers(prefix, path.rstrip("/")):
        raise MacaroonError(f"{path} is not under the parent token's path {prefix}")
    child = _parse(parent)
    if flavour == "dcache":
        relative = path.rstrip("/").removeprefix(prefix.rstrip("/"))
        if relative:
            child.add_first_party_caveat(f"path:{relative}")
        child.add_first_party_caveat(f"activity:{','.join(sorted(activities))}")
        if networks := ",".join(subnets):
            child.add_first_party_caveat(f"ip:{networks}")
    else:
        child.add_first_party_caveat(f"path:{path}")
        child.add_first_party_caveat(f"activity:{','.join(sorted(activities))}")
        child.add_first_party_caveat(f"name:{ANONYMOUS}")
    child.add_first_party_caveat(f"before:{instant(expires)}")
    return str(child.serialize())


def instant(when: float) -> str:
    """Unix seconds as the ISO 8601 instant that both flavours read: UTC, whole seconds, `Z`."""
    return datetime.fromtimestamp(int(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unix_time(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise MacaroonError(f"the caveat before:{text[:40]} holds no instant") from None


def _parse(token: str) -> Macaroon:
    try:
        macaroon = Macaroon.deserialize(token)
        if not macaroon.signature or not macaroon.identifier:
            raise ValueError("cut off")
        if not macaroon.location.isascii():
            # pymacaroons 0.13 writes a packet's length in characters: a path with an umlaut in dCache's
            # "Optional[/path]" would break the token. The location is a hint that no signature covers.
            macaroon.location = ""
        return macaroon
    except Exception:  # pymacaroons raises whatever its decoder met; the token must not be in the message
        raise MacaroonError("the storage's answer holds no macaroon that can be read") from None
