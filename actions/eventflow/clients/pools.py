"""Which batch system an environment has, and the connection to it."""

from __future__ import annotations

import msgspec

from eventflow.exactly_once import Pool


class ProcessPoolAccess(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="process"):
    """The local pool, for laptops and tests: its URL and bearer token."""

    url: str
    token: str


class HTCondorAccess(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="htcondor"):
    """An HTCondor pool: its collector (``host:port``), the schedds by name (all, if empty), and an IDTOKEN."""

    collector: str
    token: str
    schedds: tuple[str, ...] = ()
    trust_domain: str | None = None


PoolAccess = ProcessPoolAccess | HTCondorAccess


def connect(access: PoolAccess) -> dict[str, Pool]:
    """The environment's schedds by name; the client library is imported only for the kind of pool that is used."""
    if isinstance(access, ProcessPoolAccess):
        from eventflow.clients.process_pool import ProcessPool

        return {"local": ProcessPool(access.url, access.token)}
    from eventflow.clients.condor import schedds

    return dict(schedds(access.collector, access.token, access.schedds))
