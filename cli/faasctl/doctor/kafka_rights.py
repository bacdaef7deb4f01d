"""The environment's user may do at Kafka what it needs to, as the brokers tell it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faasctl import topics
from faasctl.doctor.finding import Finding, ok, problem, skipped
from faasctl.doctor.kafka import administering, is_pinned
from faasctl.environment import Environment


def check(env: Environment) -> Iterator[Finding]:
    """One finding per topic and for the consumer groups; brokers without an authorizer allow everything."""
    if is_pinned(env):
        yield skipped("rights", "kafka.api_version is pinned: such a broker tells no rights")
        return
    needed: dict[tuple[str, str], set[str]] = {}
    for right in topics.rights(env):
        if right.service in ("feed", "watcher", "action"):
            needed.setdefault((right.kind, right.name), set()).add(right.operation)
    with administering(env) as admin:
        told = {row["name"]: set(row.get("authorized_operations") or ()) for row in admin.describe_topics()}
        groups = [name for kind, name in needed if kind == "group"]
        of_groups = {name: _of_groups(admin, name) for name in groups}
    for (kind, name), operations in needed.items():
        if kind == "group" and of_groups[name] is None:
            yield skipped(f"group {name}*", "there is none yet, or none may be seen: the feed has not run")
        else:
            yield _about(env, kind, name, operations, of_groups.get(name) or told.get(name, set()))


def _of_groups(admin: Any, prefix: str) -> set[str] | None:
    """What may be done with the groups of a prefix; None when there is none, or none that may be seen.

    Brokers tell the rights to a group only once it exists.
    """
    groups = [row["group_id"] for row in admin.list_groups() if row["group_id"].startswith(prefix)]
    if not groups:
        return None
    about = admin.describe_groups(groups[:1], include_authorized_operations=True)
    return set(about[groups[0]].get("authorized_operations") or ())


def _about(env: Environment, kind: str, name: str, needed: set[str], told: set[str]) -> Finding:
    about = f"{kind} {name}" + ("*" if kind == "group" else "")
    missing = sorted(needed - told) if "ALL" not in told else []
    if not missing:
        return ok(about, f"may {', '.join(sorted(needed))}")
    user = env.kafka.security.username or "the platform's user"
    return problem(about, f"{user} may not {', '.join(missing)}", "faasctl render --target kafka prints the ACLs")
