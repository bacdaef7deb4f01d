"""What is right in an environment and will still be trouble: credentials that end, tokens bound to half a network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from eventflow.macaroon import instant
from faasctl.environment.ends import certificate_end, token_end
from faasctl.environment.model import Credential, Storage


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
        end = token_end(credential.bearer.reveal())
        when = f"at {instant(end)}" if end is not None else "some day"
        over = end is not None and end < now
        yield f"the bearer token {'ended' if over else 'ends'} {when} and nothing renews it; use oidc"
    if credential.x509 is not None:
        end = certificate_end(credential.x509)
        if end is not None and end < now:
            yield f"the certificate ended at {instant(end)}: no token can be had with it"
        elif end is not None and end < now + 7 * 86400:
            yield f"the certificate ends at {instant(end)} and nothing renews it"
