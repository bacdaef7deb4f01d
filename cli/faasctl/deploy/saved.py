"""A plan in a file: what was reviewed is what is applied, or nothing is."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from eventflow.errors import FaasError
from faasctl.deploy.plan import Plan, Step


class PlanOutdated(FaasError):
    """Something has changed since the plan was saved."""


class SavedPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file's content; ``schema`` counts its format."""

    schema: int
    plan: Plan


def save(plan: Plan, path: Path) -> None:
    """Write a plan. It holds names, versions and keyed digests, and no secret; even so only its owner may read it."""
    content = msgspec.json.format(msgspec.json.encode(SavedPlan(schema=1, plan=plan)), indent=2) + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def load(path: Path) -> Plan:
    """Read a saved plan; raises `FaasError`."""
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=SavedPlan)
    except OSError as error:
        raise FaasError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except msgspec.DecodeError as error:
        hint = "faasctl plan --out FILE writes one"
        raise FaasError(f"is no saved plan: {error}", where=str(path), hint=hint) from None
    if saved.schema != 1:
        raise FaasError(f"has format {saved.schema}, and this faasctl knows 1", where=str(path), hint="plan again")
    return saved.plan


def check(saved: Plan, now: Plan, path: Path) -> None:
    """Raise `PlanOutdated` unless planning again gives the saved plan."""
    if saved == now:
        return
    here = (now.apihost, now.namespace, now.project)
    if (saved.apihost, saved.namespace, saved.project) != here:
        why = f"is for project {saved.project!r} in {saved.namespace} of {saved.apihost}"
        raise PlanOutdated(why, where=str(path), hint="deploy it with the environment that it was made for")
    differing = ", ".join(_differing(saved, now)[:5]) or "what stays as it is"
    raise PlanOutdated(
        f"no longer fits: {differing} changed in OpenWhisk or in the manifest since it was saved",
        where=str(path),
        hint="run faasctl plan again and look at what is different",
    )


def _differing(saved: Plan, now: Plan) -> list[str]:
    def by_id(plan: Plan) -> dict[str, Step]:
        return {str(step.id): step for step in plan.steps}

    before, after = by_id(saved), by_id(now)
    return [name for name in sorted(before | after) if before.get(name) != after.get(name)]
