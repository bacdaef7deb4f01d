"""The storage's own certificate authority, and what else in its directory is secret."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import trustme

from faasctl.local.storage.macaroons import Secret


def ensure(directory: Path) -> tuple[Path, Path]:
    """The CA's certificate (``ca.pem``) and the server's chain with its key (``server.pem``), made at the first
    start.

    The CA's key is not kept: nobody can make another certificate that clients of this storage trust.
    """
    ca, server = directory / "ca.pem", directory / "server.pem"
    if not (ca.exists() and server.exists()):
        authority = trustme.CA(organization_name="faasctl local storage")
        certificate = authority.issue_cert("localhost", "127.0.0.1", "::1")
        _write(server, certificate.private_key_and_cert_chain_pem.bytes(), 0o600)
        _write(ca, authority.cert_pem.bytes(), 0o644)
    return ca, server


def macaroon_secret(directory: Path) -> Secret:
    """The secret that signs macaroons, made at the first start."""
    path = directory / "macaroon.secret"
    if not path.exists():
        _write(path, secrets.token_bytes(32), 0o600)
    return Secret(path.read_bytes())


def _write(path: Path, data: bytes, mode: int) -> None:
    """In place at once: a start that is interrupted leaves nothing half written."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    fresh.replace(path)
