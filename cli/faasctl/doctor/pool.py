"""Every schedd is reached, knows the platform's token, and lets it submit."""

from __future__ import annotations

from collections.abc import Iterator

from eventflow.errors import FaasError
from eventflow.wlcg import claims
from faasctl.doctor.finding import Finding, ok, problem
from faasctl.environment import Environment
from faasctl.environment.model import HTCondorPool
from faasctl.functions.site import pools


def check(env: Environment) -> Iterator[Finding]:
    """One finding per schedd, and one for what the token allows."""
    for name, pool in pools(env).items():
        about = f"schedd {name or '(any)'}"
        try:
            pool.lookup([])
        except FaasError as error:
            remedy = error.hint or "is the schedd up, and does the environment's token belong to this pool?"
            yield problem(about, str(error), remedy)
        else:
            yield ok(about, "answers a query with the platform's token")
    if isinstance(env.pool, HTCondorPool) and env.pool.token is not None:
        yield _authority(env.pool.token.reveal())


def _authority(token: str) -> Finding:
    """A token that says nothing of scopes may do what its identity may."""
    scopes = str(claims(token).get("scope", "")).split()
    missing = [name for name in ("READ", "WRITE") if scopes and f"condor:/{name}" not in scopes]
    if missing:
        why = f"does not allow {' and '.join(missing)}"
        return problem("pool.token", why, "condor_token_create -authz READ -authz WRITE, and deploy")
    return ok("pool.token", "may read and write")
