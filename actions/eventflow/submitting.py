"""The last step: every item becomes exactly one anonymous job."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from eventflow import envelope, function, job, submittoken
from eventflow.batch import Batch, Done, Failure, Item, Registered, failure, settle
from eventflow.errors import FaasError, ItemError
from eventflow.exactly_once import Job, Pool, Submitted, submit_exactly_once
from eventflow.function import Function
from eventflow.policy import Policy
from eventflow.seal import unseal

Code = Callable[[Function, Registered], bytes]
"""Fetches the zip of a function's code from the registry."""


def run(
    batch: Batch,
    *,
    pool: Pool,
    code: Code,
    policies: Mapping[str, Policy],
    seal_key: bytes,
    submit_key: bytes,
    now: Callable[[], float],
) -> Batch:
    """Submit the items of a batch, function by function, so that one function's trouble stays its own.

    Nothing is submitted after the batch's deadline: the feed may then take it for lost and deliver it again.
    """
    failed: list[Failure] = []
    done: list[Done] = []
    jobs: dict[str, list[tuple[Item, Job]]] = {}
    for item in batch.work:
        try:
            spec = function.decode(batch.functions[item.function].spec)
            made = _job(item, spec, batch.functions[item.function], code, policies, seal_key, submit_key, now())
        except ItemError as error:
            failed.append(failure(item, "submit", error))
        except FaasError as error:
            failed.append(failure(item, "submit", ItemError(str(error), code="internal")))
        else:
            jobs.setdefault(item.function, []).append((item, made))
    for name, pairs in jobs.items():
        by_key = {made.key: item for item, made in pairs}
        if now() * 1000 > batch.deadline:
            late = ItemError("the batch's deadline is over", code="deadline", retryable=True)
            failed += [failure(item, "submit", late) for item in by_key.values()]
            continue
        try:
            submitted = submit_exactly_once(pool, [made for _, made in pairs], now=now)
        except ItemError as error:
            failed += [failure(item, "submit", error) for item in by_key.values()]
            continue
        for result in submitted:
            item = by_key[result.key]
            if result.outcome == "in_progress":
                busy = ItemError("another delivery is submitting this key", code="in_progress", retryable=True)
                failed.append(failure(item, "submit", busy))
            else:
                done.append(_done(item, batch.functions[name].version, result))
    return settle(batch, failed=failed, done=done)


def _job(
    item: Item,
    spec: Function,
    registered: Registered,
    code: Code,
    policies: Mapping[str, Policy],
    seal_key: bytes,
    submit_key: bytes,
    now: float,
) -> Job:
    if item.tokens is None or item.envelope is None:
        raise ItemError("the item came without tokens or envelope", code="internal")
    rules = policies.get(spec.namespace)
    if rules is None:
        raise ItemError(f"no policy for namespace {spec.namespace}", code="policy")
    tokens = unseal(item.tokens, name=item.key, key=seal_key)
    submittoken.verify(tokens["submit"], item.key, spec, now=now, secret=submit_key)
    files = {
        "events.jsonl": msgspec.json.encode(envelope.complete(item.envelope, tokens)) + b"\n",
        "runner.py": job.source(),
    }
    if spec.run.main is not None:
        files["function.zip"] = code(spec, registered)
    return Job(
        key=item.key,
        function=spec.full_name,
        namespace=spec.namespace,
        version=registered.version,
        code=registered.code,
        origin=str(item.origin),
        resources=spec.resources,
        retries=spec.retries,
        limits=spec.limits,
        accounting_group=rules.accounting_group,
        attributes=dict(rules.job_attributes),
        expires=tokens["expires"] - spec.resources.runtime,
        files=files,
    )


def verified_code(content: bytes, registered: Registered, name: str) -> bytes:
    """The code, if it is what was pushed; raises `ItemError` (``code_changed``, retryable: a push may be under way)."""
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != registered.code:
        raise ItemError(f"the code of {name} is not what its spec was pushed with", code="code_changed", retryable=True)
    return content


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
