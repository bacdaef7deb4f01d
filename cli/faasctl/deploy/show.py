"""A plan and its results, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from faasctl.deploy.execute import Result
from faasctl.deploy.plan import Plan, Step

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_DONE = {"create": "created", "update": "updated", "delete": "deleted"}


def plan_lines(plan: Plan) -> Iterator[str]:
    """The steps with what differs, and a summary."""
    yield f"Project {plan.project or '(none)'} in namespace {plan.namespace} of {plan.apihost}"
    for step in plan.steps:
        sign, colour = _SIGNS[step.verb]
        yield click.style(f"  {sign} {step.id}", fg=colour)
        if step.pending:
            yield "      its feed was not told yet: an earlier deploy was interrupted"
        for change in step.changes:
            before = "(nothing)" if change.before is None else change.before
            after = "(nothing)" if change.after is None else change.after
            yield f"      {change.field}: {before} -> {after}"
    counts = [f"{plan.count(verb)} to {verb}" for verb in _SIGNS]
    yield ", ".join([*counts, f"{plan.unchanged} unchanged"])


def result_line(result: Result) -> str:
    """One line for one step that has ended."""
    what = _words(result.step) if result.outcome == "done" else result.outcome
    colour = {"failed": "red", "skipped": "yellow"}.get(result.outcome)
    why = f": {result.why}" if result.why else ""
    return click.style(f"{result.step.id} {what}{why}", fg=colour)


def summary(results: Iterable[Result], unchanged: int) -> str:
    """``2 created, 1 updated, 0 deleted, 6 unchanged``, and what did not work."""
    results = list(results)
    done = [result for result in results if result.worked]
    parts = [f"{sum(r.step.verb == verb for r in done)} {word}" for verb, word in _DONE.items()]
    parts.append(f"{unchanged} unchanged")
    for outcome in ("failed", "skipped"):
        if count := sum(result.outcome == outcome for result in results):
            parts.append(f"{count} {outcome}")
    return ", ".join(parts)


def _words(step: Step) -> str:
    return _DONE[step.verb]
