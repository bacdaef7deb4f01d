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


class X509(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client certificate and its key as PEM text; a proxy is a certificate with its chain."""

    cert: str
    key: str


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the platform itself logs in with, to mint tokens: exactly one of the three."""

    basic: Basic | None = None
    bearer: str | None = None
    x509: X509 | None = None

    def __repr__(self) -> str:
        kind = "basic" if self.basic else "bearer" if self.bearer else "x509" if self.x509 else "none"
        return f"Credential({kind})"


class Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One storage: the prefixes it holds, its doors (https URLs) for reading and writing, its CA (PEM text).

    ``credentials`` is empty where a step must not hold any; ``subnets`` are the worker nodes' networks that
    tokens are bound to (dcache only).
    """

    name: str
    flavour: Flavour
    prefixes: tuple[str, ...]
    read: str
    write: str
    ca: str | None = None
    credentials: dict[str, Credential] = {}
    subnets: tuple[str, ...] = ()


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
