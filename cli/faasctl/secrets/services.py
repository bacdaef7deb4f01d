"""Which of an environment's secrets each service is given, and cannot work without."""

from __future__ import annotations

FEED_KAFKA = ("kafka.security.password", "keys.feed", "openwhisk.functions.auth")
POOL = ("pool.token", "pool.scitoken.client_secret", "pool.scitoken.token")
"""An environment has the first, or the others."""

FEED_CONDOR = ("kafka.security.password", *POOL, "registry.admin_key")
FEED_XROOTD = ("kafka.security.password",)

_GIVEN = {"feed kafka": FEED_KAFKA, "feed condor": FEED_CONDOR, "feed xrootd": FEED_XROOTD}


def given(secret: str) -> list[str]:
    """The services that are given a secret, by its name in the environment."""
    return [f"faasctl {name}" for name, needs in _GIVEN.items() if secret in needs]
