"""What is deployed are the secrets that the environment has: a renewed one is worth nothing in a file alone."""

from __future__ import annotations

import time
from collections.abc import Iterator

from eventflow.macaroon import instant
from faasctl.deploy import sources
from faasctl.doctor.finding import Finding, ok, problem, skipped, warning
from faasctl.environment import Environment
from faasctl.secrets import deployed
from faasctl.secrets.deployed import Use
from faasctl.secrets.inventory import inventory
from faasctl.secrets.places import places


def check(env: Environment) -> Iterator[Finding]:
    """One finding per secret that is not deployed as the environment has it, or one for all."""
    secrets = inventory(env)
    where = places(env, secrets)
    rows = deployed.read(sources.session_of(env), [place.action for place in where])
    if not any(rows.values()):
        yield skipped("secrets", "nothing is deployed yet")
        return
    differing = 0
    for one in secrets:
        for use in deployed.uses(one.name, where, rows):
            if use.state != "same":
                differing += 1
                yield _about(one.name, use, time.time())
    if not differing:
        yield ok("secrets", "are deployed as the environment has them")


def _about(name: str, use: Use, now: float) -> Finding:
    about = f"{name} in action {use.action}"
    if use.state == "missing":
        return problem(about, "is not deployed", "faasctl deploy")
    remedy = f"faasctl secret rotate {name}"
    if use.ends is not None and use.ends <= now:
        return problem(about, f"the deployed one ended at {instant(use.ends)}, the environment has another", remedy)
    return warning(about, "another one is deployed than the environment has", remedy)
