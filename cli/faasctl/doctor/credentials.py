"""The platform's own credentials: which have ended, and which end soon with nothing to renew them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from eventflow.errors import FaasError
from eventflow.macaroon import instant
from eventflow.seal import keys_from_text
from faasctl.doctor.finding import Finding, ok, problem, warning
from faasctl.environment import Environment
from faasctl.environment.ends import End, ends

_REMEDIES = {
    "bearer": "use oidc, whose tokens are renewed; or give the environment a new token, and: faasctl secret rotate",
    "x509": "renew the certificate or proxy, and: faasctl secret rotate (a timer in manifests/systemd does)",
    "idtoken": "make one with condor_token_create -authz READ -authz WRITE, and: faasctl secret rotate pool.token",
}


def check(env: Environment) -> Iterator[Finding]:
    """One finding per credential that ends, and one for the platform's own keys."""
    now = time.time()
    for end in ends(env):
        yield _about(end, now)
    for name in ("seal", "submit", "feed"):
        try:
            keys = keys_from_text(getattr(env.keys, name).reveal())
        except FaasError as error:
            yield problem(f"keys.{name}", str(error), "make one with: openssl rand -base64 32")
        else:
            yield _about_key(f"keys.{name}", len(keys))


def _about_key(about: str, count: int) -> Finding:
    if count == 1:
        return ok(about, "is a key of 32 bytes")
    why = "the key before it is still in force"
    return warning(about, why, f"twelve minutes after the change take it out, and: faasctl secret rotate {about}")


def _about(end: End, now: float) -> Finding:
    about = f"{end.name} ({end.kind})"
    if end.at is None:
        return ok(about, "does not say when it ends")
    if end.at <= now:
        return problem(about, f"ended at {instant(end.at)}", _REMEDIES[end.kind])
    if end.is_soon(now):
        return warning(about, f"ends at {instant(end.at)}", _REMEDIES[end.kind])
    return ok(about, f"ends at {instant(end.at)}")
