"""OpenWhisk's limits let the feed work: fires and invocations a minute, actions at a time, how long one may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from faasctl.doctor.finding import Finding, ok, problem, warning
from faasctl.doctor.openwhisk import client
from faasctl.environment import Environment

FIRES = 60
"""A minute: OpenWhisk's default. A batch a second carries 500 records a second."""

STEPS = 5
"""Invocations for one fire: the sequence and its four actions."""

LONGEST_ACTION_MS = 60_000
"""submit_condor's timeout."""


def check(env: Environment) -> Iterator[Finding]:
    """What the platform's namespace may do."""
    return judged(client(env).get("limits"), env.openwhisk.platform.namespace)


def judged(limits: Mapping[str, Any], namespace: str) -> Iterator[Finding]:
    """What is to be said of a namespace's limits; pure."""
    fires, calls = int(limits.get("firesPerMinute", FIRES)), int(limits.get("invocationsPerMinute", FIRES * STEPS))
    remedy = f"wskadmin limits set {namespace}"
    if fires < FIRES:
        yield warning("fires", f"{fires} a minute; {FIRES} carry the load", f"{remedy} --firesPerMinute {FIRES}")
    else:
        yield ok("fires", f"{fires} a minute")
    if calls < fires:
        why = f"{calls} a minute, fewer than the fires ({fires}): the sequence will be throttled before the trigger is"
        yield warning("invocations", why, f"{remedy} --invocationsPerMinute {fires * STEPS}")
    else:
        yield ok("invocations", f"{calls} a minute, {limits.get('concurrentInvocations', 'unlimited')} at a time")
    longest = int(limits.get("maxActionTimeout", LONGEST_ACTION_MS))
    if longest < LONGEST_ACTION_MS:
        why = f"an action may take {longest} ms, submit_condor needs {LONGEST_ACTION_MS}"
        yield problem("action timeout", why, "raise the controllers' CONFIG_whisk_timeLimit_max")
    else:
        yield ok("action timeout", f"up to {longest} ms")
