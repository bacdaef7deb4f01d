"""Every schedd is reached, knows the platform's token, lets it submit, and is set up as a second wall."""

from __future__ import annotations

from collections.abc import Iterator

from eventflow.clients.condor import ANONYMOUS, HTCondorPool, Setup
from eventflow.errors import FaasError
from eventflow.wlcg import claims
from faasctl.doctor.finding import Finding, ok, problem, warning
from faasctl.environment import Environment
from faasctl.environment.model import HTCondorPool as HTCondorSite
from faasctl.functions.site import pools
from faasctl.htcondor_policy import REQUIREMENTS

OLDEST = (23, 9)
"""The oldest HTCondor that the platform is tried with."""

_REMEDY = "condor_token_create -authz READ -authz WRITE, and: faasctl secret rotate pool.token"

_MADE_BY = {
    "60-faas-schedd.conf": "put manifests/htcondor/60-faas-schedd.conf into the schedd's config.d",
    "61-faas-policies.conf": "faasctl render --target htcondor writes 61-faas-policies.conf for its config.d",
}


def check(env: Environment) -> Iterator[Finding]:
    """One finding per schedd and per part of its configuration, and one for what the token allows."""
    for name, pool in pools(env).items():
        about = f"schedd {name or '(any)'}"
        try:
            pool.lookup([])
            setup = pool.setup() if isinstance(pool, HTCondorPool) else None
        except FaasError as error:
            remedy = error.hint or "is the schedd up, and does the environment's token belong to this pool?"
            yield problem(about, str(error), remedy)
        else:
            if setup is None:
                yield ok(about, "answers a query with the platform's token")
            else:
                yield from judged(about, setup)
    if isinstance(env.pool, HTCondorSite) and env.pool.token is not None:
        yield _authority(env.pool.token.reveal())


def judged(about: str, setup: Setup) -> Iterator[Finding]:
    """What there is to say of a schedd that answers; pure."""
    if setup.user == ANONYMOUS:
        why = "answers anybody, but lets nobody submit with this token: it has ended, or is another pool's"
        yield problem(about, why, _REMEDY)
    else:
        yield ok(about, f"lets the platform submit as {setup.user}")
    text = ".".join(map(str, setup.version)) or "unknown"
    if setup.version < OLDEST:
        why = f"is {text}, older than {'.'.join(map(str, OLDEST))}, the oldest that was tried"
        yield warning(f"{about}: version", why, "upgrade the schedd")
    else:
        yield ok(f"{about}: version", f"is {text}")
    for file, names in REQUIREMENTS.items():
        if missing := sorted(names - setup.requirements):
            why = f"takes jobs that the policies do not allow: it does not require {', '.join(missing)}"
            yield warning(f"{about}: {file}", why, f"{_MADE_BY[file]}, then condor_reconfig")
        else:
            yield ok(f"{about}: {file}", "is in force")


def _authority(token: str) -> Finding:
    """A token that says nothing of scopes may do what its identity may."""
    scopes = str(claims(token).get("scope", "")).split()
    missing = [name for name in ("READ", "WRITE") if scopes and f"condor:/{name}" not in scopes]
    if missing:
        return problem("pool.token", f"does not allow {' and '.join(missing)}", _REMEDY)
    return ok("pool.token", "may read and write")
