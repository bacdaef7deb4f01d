"""When the platform's credentials end, as far as they say it themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from eventflow import macaroon
from eventflow.errors import FaasError
from eventflow.wlcg import claims
from faasctl.environment.model import Certificate, Environment, HTCondorPool

SOON_S = 7 * 86400.0
"""Seconds before its end at which a credential is spoken of; of one that lives shortly the last quarter of its life,
since it is renewed by something that does so every few hours."""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """A credential (``storage main: default``), its kind, and its end (unix seconds; None when it says none).

    ``since`` is the beginning of its life, where it tells."""

    name: str
    kind: str
    at: float | None
    since: float | None = None

    @property
    def due(self) -> float | None:
        """When it should have been renewed by (unix seconds)."""
        if self.at is None:
            return None
        life = SOON_S * 4 if self.since is None else self.at - self.since
        return self.at - min(SOON_S, life / 4)

    def is_soon(self, now: float) -> bool:
        """Whether it has ended at ``now``, or will before it is renewed by itself."""
        return self.due is not None and self.due <= now


def ends(env: Environment) -> Iterator[End]:
    """One for each credential of the environment that can end: certificates, bearer tokens, the pool's IDTOKEN."""
    for storage in env.storages:
        for name, credential in storage.credentials.items():
            where = f"storage {storage.name}: {name}"
            if credential.bearer is not None:
                yield _end(where, "bearer", credential.bearer.reveal())
            elif credential.x509 is not None:
                yield _end(where, "x509", _certificates(credential.x509))
    if isinstance(env.pool, HTCondorPool) and env.pool.token is not None:
        yield _end("pool", "idtoken", env.pool.token.reveal())


def life(text: str) -> tuple[float | None, float | None]:
    """Beginning and end of a credential by its text, unverified: certificates in PEM, a JWT, or a macaroon.

    None for what it does not say; a password says nothing.
    """
    if "-----BEGIN CERTIFICATE-----" in text:
        return _life_of_certificates(text)
    said = claims(text)
    if isinstance(said.get("exp"), int | float):
        began = said.get("iat", said.get("nbf"))
        return (float(began) if isinstance(began, int | float) else None), float(said["exp"])
    try:
        return None, macaroon.grant(text).expires
    except FaasError:
        return None, None


def token_end(token: str) -> float | None:
    """The end of a bearer token."""
    return life(token)[1]


def certificate_end(files: Certificate) -> float | None:
    """When the first of a file's certificates ends: a proxy is worth nothing without its chain."""
    return life(_certificates(files))[1]


def _end(name: str, kind: str, text: str) -> End:
    since, at = life(text)
    return End(name=name, kind=kind, at=at, since=since)


def _certificates(files: Certificate) -> str:
    try:
        return Path(files.cert).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""  # rendering the manifest says what is wrong with it


def _life_of_certificates(text: str) -> tuple[float | None, float | None]:
    try:
        from cryptography import x509  # comes with faasctl[platform]
    except ImportError:
        return None, None
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return None, None
    first = min(chain, key=lambda one: one.not_valid_after_utc)
    return first.not_valid_before_utc.timestamp(), first.not_valid_after_utc.timestamp()
