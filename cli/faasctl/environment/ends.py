"""When the platform's credentials end, as far as they say it themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from eventflow.wlcg import claims
from faasctl.environment.model import Certificate, Environment, HTCondorPool


class End(msgspec.Struct, frozen=True, kw_only=True):
    """A credential (``storage main: default``), its kind, and its end (unix seconds; None when it says none)."""

    name: str
    kind: str
    at: float | None


def ends(env: Environment) -> Iterator[End]:
    """One for each credential of the environment that can end: certificates, bearer tokens, the pool's IDTOKEN."""
    for storage in env.storages:
        for name, credential in storage.credentials.items():
            where = f"storage {storage.name}: {name}"
            if credential.bearer is not None:
                yield End(name=where, kind="bearer", at=token_end(credential.bearer.reveal()))
            elif credential.x509 is not None:
                yield End(name=where, kind="x509", at=certificate_end(credential.x509))
    if isinstance(env.pool, HTCondorPool) and env.pool.token is not None:
        yield End(name="pool", kind="idtoken", at=token_end(env.pool.token.reveal()))


def token_end(token: str) -> float | None:
    """The ``exp`` of a JWT, unverified."""
    end = claims(token).get("exp")
    return float(end) if isinstance(end, int | float) else None


def certificate_end(files: Certificate) -> float | None:
    """When the first of a file's certificates ends: a proxy is worth nothing without its chain."""
    try:
        from cryptography import x509  # comes with faasctl[platform]
    except ImportError:
        return None
    try:
        chain = x509.load_pem_x509_certificates(Path(files.cert).read_bytes())
    except (OSError, ValueError):
        return None  # rendering the manifest says what is wrong with it
    return min(one.not_valid_after_utc.timestamp() for one in chain)
