"""All clocks agree: tokens and deadlines are points in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import requests

from faasctl.doctor.finding import Finding, ok, problem, skipped, warning
from faasctl.doctor.servers import Server, http_servers
from faasctl.environment import Environment

TIMEOUT_S = 5.0

OFF_S = 60.0
"""A batch's deadline is a minute and more away; a token's start and a submit token's end are minutes away."""

NOTABLE_S = 5.0


def check(env: Environment) -> Iterator[Finding]:
    """One finding per server that tells the time (the `Date` of an HTTP answer, which is whole seconds)."""
    for server in http_servers(env):
        yield _about(server)


def _about(server: Server) -> Finding:
    about = f"{server.name} ({server.url})"
    session = requests.Session()
    session.trust_env = False
    session.verify = server.ca or True
    asked = time.time()
    try:
        with session.get(server.url, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
            answered, told = time.time(), answer.headers.get("Date", "")
    except requests.exceptions.SSLError:
        return skipped(about, "is not asked before its certificate is well")
    except requests.RequestException as error:
        return problem(about, f"no answer ({type(error).__name__})", "is the server up, is the address right?")
    try:
        theirs = parsedate_to_datetime(told).timestamp() + 0.5
    except ValueError:
        return skipped(about, "does not tell its time")
    off = 0.0 if asked - 0.5 <= theirs <= answered + 0.5 else theirs - (asked + answered) / 2
    if abs(off) < NOTABLE_S:
        return ok(about, "agrees with this machine's clock")
    why = f"is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} this machine's clock"
    remedy = "let both follow the same time servers (chronyc tracking says which is wrong)"
    return problem(about, why, remedy) if abs(off) >= OFF_S else warning(about, why, remedy)
