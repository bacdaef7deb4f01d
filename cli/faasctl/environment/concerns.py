"""What is right in an environment and will still be trouble: credentials that end, tokens bound to half a network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path

from eventflow.macaroon import instant
from eventflow.wlcg import claims
from faasctl.environment.model import Certificate, Credential, Storage


def concerns(storages: Iterable[Storage], now: float) -> Iterator[str]:
    """One sentence for each, for people; ``now`` in unix seconds."""
    for storage in storages:
        for name, credential in storage.credentials.items():
            for concern in _about(credential, now):
                yield f"storage {storage.name}: credential {name}: {concern}"
        macaroons = any(credential.jwt is None for credential in storage.credentials.values())
        if storage.flavour == "xrootd" and macaroons and storage.mint in (None, storage.read, storage.write):
            yield (
                f"storage {storage.name}: a job can act as the platform's user, since XRootD believes the last name: of"
                " a token; let jobs use doors without an authdb, and name the other as `mint`"
            )
        families = {ipaddress.ip_network(subnet).version for subnet in storage.subnets}
        if storage.flavour == "xrootd" and families:
            yield f"storage {storage.name}: subnets have no effect, since XRootD's tokens know no addresses"
        elif len(families) == 1:
            yield (
                f"storage {storage.name}: subnets are of IPv{families.pop()} only:"
                " a job that reaches the storage by the other family is refused"
            )


def _about(credential: Credential, now: float) -> Iterator[str]:
    if credential.bearer is not None:
        end = claims(credential.bearer.reveal()).get("exp")
        when = f"at {instant(end)}" if isinstance(end, int | float) else "some day"
        over = isinstance(end, int | float) and end < now
        yield f"the bearer token {'ended' if over else 'ends'} {when} and nothing renews it; use oidc"
    if credential.x509 is not None:
        end = _end(credential.x509)
        if end is not None and end < now:
            yield f"the certificate ended at {instant(end)}: no token can be had with it"
        elif end is not None and end < now + 7 * 86400:
            yield f"the certificate ends at {instant(end)} and nothing renews it"


def _end(files: Certificate) -> float | None:
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
