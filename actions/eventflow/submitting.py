"""The last step: every item becomes exactly one anonymous job, or is done in place by a light function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from eventflow import envelope, function, invoking, job, submittoken
from eventflow.batch import Batch, Done, Failure, Item, Registered, failure, settle
from eventflow.errors import FaasError, ItemError
from eventflow.exactly_once import (
    Job,
    Pool,
    PoolRefused,
    Submitted,
    submit_at_home,
)
from eventflow.function import Function
from eventflow.invoking import Actions, Light
from eventflow.policy import Policy
from eventflow.seal import SealError, unseal

Code = Callable[[Function, Registered], bytes]
"""Fetches the zip of a function's code from the registry."""


def run(
    batch: Batch,
    *,
    pools: Mapping[str, Pool],
    code: Code,
    actions: Actions,
    policies: Mapping[str, Policy],
    seal_keys: Sequence[bytes],
    submit_keys: Sequence[bytes],
    now: Callable[[], float],
) -> Batch:
    """Submit the items of a batch, and invoke those of light functions (``actions`` is their namespace); what cannot
    be is reported, each with its reason.

    Nothing is submitted after the batch's deadline: the feed may then take it for lost and deliver it again. That comes
    before the look at any token, which a clock that is wrong would take for ended for good. Jobs come first, since
    light functions take their time.
    """
    if (late := _late(batch, now())) is not None:
        return settle(batch, failed=[failure(item, "submit", late) for item in batch.work])
    failed: list[Failure] = []
    items: dict[str, Item] = {}
    jobs: list[Job] = []
    lights: dict[str, list[Light]] = {}
    for item in batch.work:
        registered = batch.functions[item.function]
        try:
            spec = function.decode(registered.spec)
            tokens = _tokens(item, spec, seal_keys, submit_keys, now())
            rules = rules_of(policies, spec)
            event = envelope.complete(item.envelope or {}, tokens)
            if spec.run.backend == "openwhisk":
                lights.setdefault(item.function, []).append(Light(item, registered.version, event))
                continue
            jobs.append(
                job_for(
                    event,
                    spec,
                    registered,
                    code,
                    rules,
                    origin=str(item.origin),
                    expires=tokens["expires"] - spec.resources.runtime,
                )
            )
        except ItemError as error:
            failed.append(failure(item, "submit", error))
        except FaasError as error:
            failed.append(failure(item, "submit", ItemError(str(error), code="internal")))
        else:
            items[item.key] = item
    done: list[Done] = []
    try:
        if (late := _late(batch, now())) is not None:
            raise late
        results = submit_at_home(pools, jobs, now=now()) if jobs else []
    except ItemError as error:
        failed += [failure(item, "submit", error) for item in items.values()]
    except PoolRefused as error:
        denied = ItemError(str(error), code="refused", destination="pool", hint=error.hint)
        failed += [failure(item, "submit", denied) for item in items.values()]
    else:
        for result in results:
            item = items[result.key]
            if result.outcome in ("submitted", "duplicate"):
                done.append(_done(item, batch.functions[item.function].version, result))
            else:
                failed.append(failure(item, "submit", _not_submitted(result)))
    began = now()
    for group in lights.values():
        settled = invoking.invoke(actions, group, until_ms=invoking.until_ms(began, batch.deadline))
        for light, outcome in zip(group, settled, strict=True):
            if isinstance(outcome, Done):
                done.append(outcome)
            else:
                failed.append(failure(light.item, "submit", outcome))
    return settle(batch, failed=failed, done=done)


def _late(batch: Batch, now: float) -> ItemError | None:
    """Why it is too late for a batch, if it is."""
    if (by := now - batch.deadline / 1000) <= 0:
        return None
    why = f"the batch's deadline is over by {by:.0f} s: a slow step, or clocks that differ"
    return ItemError(why, code="deadline", retryable=True)


def _tokens(
    item: Item, spec: Function, seal_keys: Sequence[bytes], submit_keys: Sequence[bytes], now: float
) -> dict[str, Any]:
    """The item's tokens, once its submit token was found to allow what is about to be done.

    What cannot be opened is retryable: in the middle of a deploy, `mint_tokens` may have a key that this step has not.
    """
    if item.tokens is None or item.envelope is None:
        raise ItemError("the item came without tokens or envelope", code="internal")
    try:
        tokens: dict[str, Any] = unseal(item.tokens, name=item.key, keys=seal_keys)
    except SealError as error:
        raise ItemError(str(error), code="seal", retryable=True) from None
    submittoken.verify(tokens["submit"], item.key, spec, now=now, secrets=submit_keys)
    return tokens


def rules_of(policies: Mapping[str, Policy], spec: Function) -> Policy:
    """The policy of a function's namespace; raises `ItemError`."""
    if spec.namespace not in policies:
        raise ItemError(f"no policy for namespace {spec.namespace}", code="policy")
    return policies[spec.namespace]


def job_for(
    event: Mapping[str, Any],
    spec: Function,
    registered: Registered,
    code: Code,
    rules: Policy,
    *,
    origin: str,
    expires: float,
) -> Job:
    """The job of a self-sufficient event; ``expires`` is when it is too late to start. Raises `ItemError`."""
    files = {"events.jsonl": msgspec.json.encode(event) + b"\n", "runner.py": job.source()}
    if spec.run.main is not None:
        files["function.zip"] = code(spec, registered)
    return Job(
        key=event["key"],
        function=spec.full_name,
        namespace=spec.namespace,
        version=registered.version,
        code=registered.code,
        origin=origin,
        resources=spec.resources,
        retries=spec.retries,
        image=spec.run.image,
        limits=spec.limits,
        accounting_group=rules.accounting_group,
        attributes=dict(rules.job_attributes),
        expires=expires,
        files=files,
    )


def verified_code(content: bytes, registered: Registered, name: str) -> bytes:
    """The code, if it is what was pushed; raises `ItemError` (``code_changed``, retryable: a push may be under way)."""
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != registered.code:
        raise ItemError(f"the code of {name} is not what its spec was pushed with", code="code_changed", retryable=True)
    return content


def _not_submitted(result: Submitted) -> ItemError:
    """Why a key has no job now: another delivery is at it, its function's queue is full, or the pool said no."""
    why = result.reason or "another delivery is submitting this key"
    return ItemError(why, code=result.outcome, retryable=result.outcome != "refused", destination=result.schedd)


def _done(item: Item, version: str, result: Submitted) -> Done:
    return Done(
        origin=item.origin,
        key=item.key,
        function=item.function,
        version=version,
        outcome="submitted" if result.outcome == "submitted" else "duplicate",
        destination=result.schedd,
        job=result.id,
    )
