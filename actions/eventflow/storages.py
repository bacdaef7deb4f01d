"""The storages of an environment: which one holds a path, and where its doors are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from eventflow.errors import ItemError
from eventflow.event import covers

Flavour = Literal["dcache", "xrootd"]
"""Whose rules a storage's macaroons follow."""


class Basic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user name and password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Basic({self.username})"


class X509(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client certificate and its key as PEM text; without ``key``, ``cert`` is a proxy that holds all of it."""

    cert: str
    key: str | None = None

    def __repr__(self) -> str:
        return "X509()"


class OAuth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How access tokens are had of an issuer (RFC 6749, RFC 8693): the platform's client there, and the grant.

    ``token`` is the refresh token, or the subject token that is exchanged; an issuer that replaces refresh tokens at
    every use does not suit, since no action could keep the new one. ``ca`` is PEM text.
    """

    token_endpoint: str
    client_id: str
    client_secret: str | None = None
    grant: Literal["client_credentials", "refresh_token", "token_exchange"] = "client_credentials"
    token: str | None = None
    scope: str | None = None
    audience: str | None = None
    ca: str | None = None

    def __repr__(self) -> str:
        return f"OAuth({self.grant} at {self.token_endpoint} as {self.client_id})"


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the platform asks for tokens as: exactly one of these.

    With all but ``jwt`` it logs in at the storage and asks it for macaroons (``oidc``: with an access token of an
    issuer, ``bearer``: with a token that ends some day and is then no longer good). With ``jwt`` the issuer itself
    gives each job its tokens (WLCG JWT profile, SciTokens), and the storage only checks them.
    """

    basic: Basic | None = None
    bearer: str | None = None
    x509: X509 | None = None
    oidc: OAuth | None = None
    jwt: OAuth | None = None

    def __repr__(self) -> str:
        kinds = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        return f"Credential({', '.join(kinds) or 'none'})"


LONGEST: dict[Flavour, int] = {"dcache": 7 * 86400, "xrootd": 86400}
"""Seconds that a macaroon lives at most, by the storages' defaults: `dcache.macaroons.max-lifetime`, and XRootD's
`macaroons.maxduration`."""

SKEW = 300
"""Seconds that a storage's clock may differ from ours."""


class Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One storage: the prefixes it holds, its doors (https URLs) for reading and writing, its CA (PEM text).

    ``credentials`` is empty where a step must not hold any; ``subnets`` are the worker nodes' networks that
    tokens are bound to (dcache only); ``max_token_life`` (seconds) is the site's own limit, where it is not the
    default. ``mint`` is the door where the platform itself logs in, if that is another one: on XRootD it must be, or
    the bearer of a token can append ``name:`` and be taken for the platform's user, on the connection that it uses.
    """

    name: str
    flavour: Flavour
    prefixes: tuple[str, ...]
    read: str
    write: str
    ca: str | None = None
    credentials: dict[str, Credential] = {}
    subnets: tuple[str, ...] = ()
    max_token_life: int | None = None
    mint: str | None = None

    @property
    def longest_life(self) -> int:
        """Seconds that a token of this storage can be asked for, whatever its clock says."""
        return (self.max_token_life or LONGEST[self.flavour]) - SKEW


def holding(storages: Iterable[Storage], path: str) -> Storage:
    """The storage that holds a path, by the longest prefix; raises `ItemError` (``no_storage``)."""
    found = [(len(prefix), storage) for storage in storages for prefix in storage.prefixes if covers(prefix, path)]
    if not found:
        raise ItemError(
            f"no storage of the environment holds {path}",
            code="no_storage",
            hint="add a prefix to storages in the environment file",
        )
    return max(found, key=lambda pair: pair[0])[1]
