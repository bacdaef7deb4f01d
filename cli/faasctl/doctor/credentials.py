"""The platform's own credentials: which have ended, and which end soon with nothing to renew them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from eventflow.errors import FaasError
from eventflow.macaroon import instant
from eventflow.seal import key_from_text
from faasctl.doctor.finding import Finding, ok, problem, warning
from faasctl.environment import Environment
from faasctl.environment.ends import End, ends

SOON_S = 7 * 86400

_REMEDIES = {
    "bearer": "use oidc, whose tokens are renewed; or put a new token into the environment and deploy",
    "x509": "renew the certificate or proxy, and deploy",
    "idtoken": "make one with condor_token_create -authz READ -authz WRITE, put it into the environment, and deploy",
}


def check(env: Environment) -> Iterator[Finding]:
    """One finding per credential that ends, and one for the platform's own keys."""
    now = time.time()
    for end in ends(env):
        yield _about(end, now)
    for name in ("seal", "submit", "feed"):
        try:
            key_from_text(getattr(env.keys, name).reveal())
        except FaasError as error:
            yield problem(f"keys.{name}", str(error), "make one with: openssl rand -base64 32")
        else:
            yield ok(f"keys.{name}", "is a key of 32 bytes")


def _about(end: End, now: float) -> Finding:
    about = f"{end.name} ({end.kind})"
    if end.at is None:
        return ok(about, "does not say when it ends")
    if end.at <= now:
        return problem(about, f"ended at {instant(end.at)}", _REMEDIES[end.kind])
    if end.at <= now + SOON_S:
        return warning(about, f"ends at {instant(end.at)}", _REMEDIES[end.kind])
    return ok(about, f"ends at {instant(end.at)}")
