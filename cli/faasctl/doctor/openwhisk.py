"""OpenWhisk is reached, each key owns the namespace it is meant for, and the actions' runtime is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.errors import FaasError
from faasctl.doctor.finding import Finding, ok, problem
from faasctl.environment import Environment

TIMEOUT_S = 10.0


def client(env: Environment, account: str = "platform") -> OpenWhisk:
    """A client for one of the environment's two namespaces."""
    owner = getattr(env.openwhisk, account)
    return OpenWhisk(
        env.openwhisk.apihost,
        owner.auth.reveal(),
        namespace=owner.namespace,
        ca=env.openwhisk.ca,
        timeout=TIMEOUT_S,
    )


def check(env: Environment) -> Iterator[Finding]:
    """One finding per account, one for the API and one for the runtime."""
    for account in ("platform", "functions"):
        about = f"openwhisk.{account}"
        wanted = getattr(env.openwhisk, account).namespace
        try:
            found = client(env, account).own_namespace()
        except FaasError as error:
            yield problem(about, str(error), error.hint or f"check openwhisk.{account}.auth")
            continue
        if found == wanted:
            yield ok(about, f"the key owns the namespace {found}")
        else:
            why = f"the key owns the namespace {found}, the environment says {wanted}"
            yield problem(about, why, f"correct openwhisk.{account}.namespace, or take the key of {wanted}")
    about_host = client(env).about()
    yield _api(env, about_host)
    yield _kind(env, about_host)


def _api(env: Environment, about: dict[str, Any]) -> Finding:
    where = env.openwhisk.apihost
    if "/api/v1" in about.get("api_paths", ()):
        return ok(where, "speaks the API v1")
    return problem(where, "does not say that it speaks the API v1", "openwhisk.apihost must name an API host")


def _kind(env: Environment, about: dict[str, Any]) -> Finding:
    kind = env.openwhisk.kind
    offered = [row for rows in about.get("runtimes", {}).values() for row in rows]
    names = sorted(str(row["kind"]) for row in offered)
    if kind not in names:
        remedy = f"set openwhisk.kind to one of: {', '.join(names)}"
        return problem(f"runtime {kind}", "is not offered by this OpenWhisk", remedy)
    if any(row["kind"] == kind and row.get("deprecated") for row in offered):
        return problem(f"runtime {kind}", "is deprecated: new actions of it are refused", "choose a newer one")
    return ok(f"runtime {kind}", "is offered")
