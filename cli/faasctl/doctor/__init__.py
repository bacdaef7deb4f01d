"""`faasctl doctor`: is everything outside as the platform needs it? One check per file.

A check is a function from an environment to findings; the `FaasError` that it does not catch is a problem by itself,
with the error's own hint as remedy. A check that stands on another is skipped when that one found a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from eventflow.errors import FaasError
from faasctl.doctor import (
    activations,
    certificates,
    clocks,
    credentials,
    deployed_secrets,
    kafka,
    kafka_rights,
    kafka_topics,
    openwhisk,
    openwhisk_limits,
    pool,
    storage_events,
    storage_rights,
    storage_tokens,
)
from faasctl.doctor.finding import Finding, problem, skipped
from faasctl.environment import Environment


class Check(NamedTuple):
    """A check by its name, and the names of those without which it makes no sense."""

    name: str
    run: Callable[[Environment], Iterator[Finding]]
    after: tuple[str, ...] = ()


CHECKS = (
    Check("credentials", credentials.check),
    Check("certificates", certificates.check),
    Check("clocks", clocks.check),
    Check("openwhisk", openwhisk.check),
    Check("deployed-secrets", deployed_secrets.check, ("openwhisk",)),
    Check("openwhisk-limits", openwhisk_limits.check, ("openwhisk",)),
    Check("activations", activations.check, ("openwhisk",)),
    Check("kafka", kafka.check),
    Check("kafka-topics", kafka_topics.check, ("kafka",)),
    Check("kafka-rights", kafka_rights.check, ("kafka",)),
    Check("storage-rights", storage_rights.check),
    Check("storage-tokens", storage_tokens.check, ("storage-rights",)),
    Check("storage-events", storage_events.check, ("kafka", "storage-rights")),
    Check("pool", pool.check),
)


def examine(env: Environment, checks: Iterable[Check] = CHECKS) -> Iterator[tuple[str, Finding]]:
    """Run the checks in order; each finding with the name of its check, as soon as it is there."""
    troubled: set[str] = set()
    for check in checks:
        missing = troubled.intersection(check.after)
        if missing:
            yield check.name, skipped(check.name, f"makes no sense before {', '.join(sorted(missing))} is well")
            continue
        for finding in _findings(check, env):
            if finding.level == "problem":
                troubled.add(check.name)
            yield check.name, finding


def _findings(check: Check, env: Environment) -> Iterator[Finding]:
    try:
        yield from check.run(env)
    except FaasError as error:
        yield problem(error.where or check.name, error.why, error.hint)
