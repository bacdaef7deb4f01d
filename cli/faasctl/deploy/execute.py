"""Carrying out a plan: each step as soon as what it needs is there, at the same time as all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Literal

import msgspec

from eventflow.clients.openwhisk import Conflict, NotFound
from eventflow.errors import FaasError
from faasctl.deploy import content, feeds
from faasctl.deploy.model import Desired, Entity, EntityId, Rule, Trigger
from faasctl.deploy.order import order_of
from faasctl.deploy.plan import Plan, Step
from faasctl.deploy.remote import Owner, is_settled, owner_of
from faasctl.deploy.session import Session

_ANOTHER = "another deploy seems to run: wait for it, then run faasctl deploy again"

Outcome = Literal["done", "already", "failed", "skipped"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a step ended. ``already`` means that somebody else had just done the same; ``why`` explains the rest."""

    step: Step
    outcome: Outcome
    why: str = ""

    @property
    def worked(self) -> bool:
        """Whether the entity is now as the step wanted it."""
        return self.outcome in ("done", "already")


class Changed(FaasError):
    """An entity is no longer what it was when the plan was made."""


def execute(
    plan: Plan, desired: Desired, session: Session, on_result: Callable[[Result], None] = lambda result: None
) -> list[Result]:
    """Apply every step of ``plan``; ``on_result`` is called as each one ends.

    A failed step holds up only those that need it. Creations refuse to overwrite, updates and deletions look again
    before they write: what somebody else changed since the plan was made is left alone and reported.
    """
    wanted = desired.by_id()
    apply = _Interpreter(session, desired.project, wanted)
    waiting = {step.id: step for step in plan.steps}
    order = order_of(plan.steps, wanted, desired.namespace)
    results: dict[EntityId, Result] = {}
    running: dict[Future[Result], EntityId] = {}

    def end(result: Result) -> None:
        results[result.step.id] = result
        on_result(result)

    threads = ThreadPoolExecutor(session.workers)
    try:
        while waiting or running:
            for name, step in list(waiting.items()):
                needs, turns = order[name].needs, order[name].turns
                if broken := sorted(need for need in needs if need in results and not results[need].worked):
                    end(Result(step=waiting.pop(name), outcome="skipped", why=f"needs {broken[0]}, which failed"))
                elif needs | turns <= results.keys():
                    running[threads.submit(apply, step)] = waiting.pop(name).id
            if running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    end(future.result())
    finally:
        threads.shutdown(cancel_futures=True)  # after Ctrl-C: what has begun ends, nothing more begins
    return [results[step.id] for step in plan.steps]


class _Interpreter:
    """What each step means for OpenWhisk."""

    def __init__(self, session: Session, project: str, wanted: Mapping[EntityId, Entity]) -> None:
        self._session = session
        self._project = project
        self._wanted = wanted

    def __call__(self, step: Step) -> Result:
        try:
            why = getattr(self, f"_{step.verb}")(step)
        except FaasError as error:
            return Result(step=step, outcome="failed", why=f"{error.why}" + (f" ({error.hint})" if error.hint else ""))
        return Result(step=step, outcome="already" if why else "done", why=why)

    def _create(self, step: Step) -> str:
        entity = self._wanted[step.id]
        owner = self._owner(step, entity, "0.0.1")
        try:
            stored = self._write(step, entity, owner, overwrite=False)
        except Conflict:
            row = self._get(step)
            there = owner_of(row) if row is not None else None
            if row is None or there is None or (there.project, there.hash) != (owner.project, owner.hash):
                raise Changed("has appeared since the plan was made", hint=_ANOTHER) from None
            if not there.pending:
                return "made by another deploy at the same time"
            stored = row
        self._finish(step, entity, owner, stored)
        return ""

    def _update(self, step: Step) -> str:
        row = self._get(step)
        if row is None:
            raise Changed("has gone since the plan was made", hint="run faasctl deploy again")
        if row["version"] != step.version:
            if self._is_wanted(step, row):
                return "made by another deploy at the same time"
            raise Changed(f"has version {row['version']}, and the plan was made for {step.version}", hint=_ANOTHER)
        entity = self._wanted[step.id]
        if isinstance(entity, Trigger) and step.feed is not None and step.feed != _feed_of(entity):
            feeds.deleted(self._session, step.name, step.feed)  # before the trigger forgets who feeds it
        lost = [change.field for change in step.changes if change.after is None]
        gone = [field.removeprefix("annotations.") for field in lost if field.startswith("annotations.")]
        owner = self._owner(step, entity, after(row["version"]))
        self._finish(step, entity, owner, self._write(step, entity, owner, overwrite=True, gone=gone))
        return ""

    def _delete(self, step: Step) -> str:
        row = self._get(step)
        if row is None:
            return "was gone already"
        if row["version"] != step.version:
            raise Changed(f"has version {row['version']}, and the plan was made for {step.version}", hint=_ANOTHER)
        note = ""
        if step.feed is not None and not feeds.deleted(self._session, step.name, step.feed):
            note = f"its feed {step.feed} is gone and could not be told"
        try:
            self._session.call(lambda client: client.delete(step.collection, step.name))
        except NotFound:
            return "was gone already"
        return note

    def _owner(self, step: Step, entity: Entity, version: str) -> Owner:
        """What is written down about ``entity``. A fed trigger is pending at first: it is written once more when its
        feed has been told, so that a deploy that is killed in between leaves a mark to go on from."""
        fed = isinstance(entity, Trigger) and entity.feed is not None
        return Owner(
            project=self._project,
            hash=step.hash or "",
            version=version,
            pending=fed,
            code=content.wanted(entity).get("code"),
            feed=content.fingerprint(content.feed_inputs(entity), self._session.auth) if fed else None,
        )

    def _finish(self, step: Step, entity: Entity, owner: Owner, stored: Mapping[str, Any]) -> None:
        """What an entity needs besides being written: a rule to be active, a trigger's feed to know."""
        if isinstance(entity, Rule) and stored.get("status") != "active":
            self._session.call(lambda client: client.post("rules", step.name, {"status": "active"}))
        if isinstance(entity, Trigger) and entity.feed is not None:
            known = step.feed == entity.feed.action and not step.pending
            (feeds.updated if known else feeds.created)(self._session, step.name, entity.feed)
        if owner.pending:
            settled = msgspec.structs.replace(owner, pending=False, version=after(owner.version))
            self._write(step, entity, settled, overwrite=True)

    def _write(
        self, step: Step, entity: Entity, owner: Owner, *, overwrite: bool, gone: list[str] | None = None
    ) -> dict[str, Any]:
        body = content.body(entity, msgspec.to_builtins(owner)) | {"version": owner.version}
        if gone and step.collection == "actions":
            body["delAnnotations"] = gone
        return dict(
            self._session.call(lambda client: client.put(step.collection, step.name, body, overwrite=overwrite))
        )

    def _get(self, step: Step) -> dict[str, Any] | None:
        query = {"code": "false"} if step.collection == "actions" else {}
        try:
            return dict(self._session.call(lambda client: client.get(step.collection, step.name, **query)))
        except NotFound:
            return None

    def _is_wanted(self, step: Step, row: Mapping[str, Any]) -> bool:
        return is_settled(owner_of(row), self._project, step.hash or "", row["version"])


def _feed_of(trigger: Trigger) -> str | None:
    return trigger.feed.action if trigger.feed is not None else None


def after(version: str) -> str:
    """The version that follows: ``0.0.4`` after ``0.0.3``."""
    head, _, patch = version.rpartition(".")
    return f"{head}.{int(patch) + 1}"
