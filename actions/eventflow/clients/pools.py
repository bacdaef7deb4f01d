"""Which batch system an environment has, and the connection to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from eventflow.exactly_once import Pool
from eventflow.storages import OAuth
from eventflow.watching import Watch

if TYPE_CHECKING:
    from eventflow.clients.condor import HTCondorPool


class ProcessPoolAccess(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="process"):
    """The local pool, for laptops and tests: its URL and bearer token."""

    url: str
    token: str


class HTCondorAccess(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="htcondor"):
    """An HTCondor pool: its collector (``host:port``) and the schedds by name (all, if empty).

    It knows the platform by an IDTOKEN (``token``) or by SciTokens that ``scitoken`` gives; with those, ``ca`` (PEM
    text) is that of the daemons' host certificates.
    """

    collector: str
    token: str | None = None
    scitoken: OAuth | None = None
    ca: str | None = None
    schedds: tuple[str, ...] = ()
    trust_domain: str | None = None


PoolAccess = ProcessPoolAccess | HTCondorAccess


class Schedd(Pool, Watch, Protocol):
    """One queue of jobs: they are put into it, and watched."""


def connect(access: PoolAccess) -> dict[str, Schedd]:
    """The environment's schedds by name; the client library is imported only for the kind of pool that is used."""
    if isinstance(access, ProcessPoolAccess):
        from eventflow.clients.process_pool import ProcessPool

        return {"local": ProcessPool(access.url, access.token)}
    return dict(connect_schedds(access))


def connect_schedds(access: HTCondorAccess) -> dict[str, HTCondorPool]:
    """The schedds of an HTCondor pool."""
    from eventflow.clients.condor import schedds
    from eventflow.clients.condor_login import IdToken, SciTokens

    login = IdToken(access.token or "") if access.scitoken is None else SciTokens(access.scitoken, access.ca)
    return schedds(access.collector, login, access.schedds)
