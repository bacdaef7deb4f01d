"""Who talks to the registry, and what a policy lets them do. Pure: how a caller is known is `clients.id_tokens`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from eventflow.errors import FaasError
from eventflow.policy import Policy


class Unauthenticated(FaasError):
    """It is not known who is calling; the reason is said, the credential never."""


class Forbidden(FaasError):
    """It is known who is calling, and they may not do this."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A CI job of a GitLab ``project`` at a ``commit``, started by ``name``; or, without a project, an administrator.

    ``protected`` says that the job runs for a protected branch or tag, which not everybody may write.
    """

    name: str
    project: str | None = None
    commit: str | None = None
    protected: bool = False

    @property
    def administrator(self) -> bool:
        """Whether this is one, who may do everything in every namespace that has a policy."""
        return self.project is None


def from_claims(claims: Mapping[str, Any]) -> Caller:
    """The caller that a verified GitLab id_token speaks of; raises `Unauthenticated` when it lacks a claim.

    GitLab writes ``ref_protected`` as the string ``"true"`` (lib/gitlab/ci/jwt_base.rb, id_tokens).
    """
    project, login = claims.get("project_path"), claims.get("user_login")
    if not isinstance(project, str) or not project:
        raise Unauthenticated("the id_token has no project_path", hint="it must be an id_token of a GitLab CI job")
    commit = claims.get("sha")
    return Caller(
        name=login if isinstance(login, str) and login else project,
        project=project,
        commit=commit if isinstance(commit, str) else None,
        protected=claims.get("ref_protected") in ("true", True),
    )


def namespaces(caller: Caller, policies: Mapping[str, Policy]) -> list[str]:
    """The namespaces that a caller may look at, by name."""
    return sorted(name for name, rules in policies.items() if caller.administrator or caller.project in rules.push)


def check(caller: Caller, policies: Mapping[str, Policy], namespace: str, *, change: bool) -> Policy:
    """The namespace's policy, if the caller may look at its functions, or ``change`` them; raises `Forbidden`.

    A project that may not is told the same whether the namespace exists or not.
    """
    allowed = namespaces(caller, policies)
    if namespace not in allowed:
        who = "no policy" if caller.administrator else f"the project {caller.project} may not use the namespace"
        why = f"there is {who} for {namespace!r}" if caller.administrator else f"{who} {namespace!r}"
        known = ", ".join(allowed) or "none"
        raise Forbidden(why, hint=f"namespaces: {known}; the platform team lists projects under push in a policy")
    if change and not (caller.administrator or caller.protected):
        raise Forbidden(
            f"the project {caller.project} changes functions from protected branches and tags only",
            hint="run this job on the default branch, and protect that in GitLab",
        )
    return policies[namespace]


def is_safe(url: str) -> bool:
    """Whether an issuer's keys may be fetched from there: over https, or from this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    try:
        return parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
