"""The second step: the least a job needs, for as long as it needs.

Pure but for `eventflow.parents`, which asks the storages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from eventflow import function, policy, submittoken
from eventflow.batch import DEFERRED, Batch, Item, each
from eventflow.errors import FaasError, ItemError
from eventflow.function import Function
from eventflow.parents import READ, WRITE, Parents
from eventflow.pattern import expand
from eventflow.policy import Policy
from eventflow.seal import seal

BUDGET = 6.0
"""Seconds of an activation's ten for one batch: what a slow storage leaves over is delivered again at once."""


class Tokens(msgspec.Struct, frozen=True):
    """What a job gets: one token per input, one for its output directory if it has one, one to be submitted with.

    ``expires`` (unix seconds) is the end of the storage tokens.
    """

    read: str
    write: str | None
    inputs: dict[str, str]
    submit: str
    expires: float


def run(
    batch: Batch,
    *,
    policies: Mapping[str, Policy],
    parents: Parents,
    seal_key: bytes,
    submit_key: bytes,
    now: Callable[[], float],
) -> Batch:
    """Mint the tokens of every item, after its namespace's policy was asked, and seal them to its key."""
    began = now()
    minted = 0

    def step(item: Item) -> Item:
        nonlocal minted
        if now() - began > BUDGET:
            raise ItemError("the storage was too slow for so many at once", code=DEFERRED, retryable=True)
        try:
            tokens = mint(
                item, function.decode(batch.functions[item.function].spec), policies, parents, submit_key, now()
            )
        except ItemError:
            raise
        except FaasError as error:
            raise ItemError(str(error), code=type(error).__name__.removesuffix("Error").lower()) from None
        minted += 1 + (tokens.write is not None) + len(tokens.inputs)
        return msgspec.structs.replace(item, tokens=seal(tokens, name=item.key, key=seal_key))

    settled = each(batch, "mint", step)
    return msgspec.structs.replace(settled, report=msgspec.structs.replace(settled.report, minted=minted))


def mint(
    item: Item, spec: Function, policies: Mapping[str, Policy], parents: Parents, submit_key: bytes, now: float
) -> Tokens:
    """The tokens of one item. Raises `ItemError`, or `PolicyError` with the rule that forbids it."""
    rules = policies.get(spec.namespace)
    if rules is None:
        raise ItemError(
            f"no policy for namespace {spec.namespace}", code="policy", hint="add manifests/policies/NAME.yaml"
        )
    inputs = {name: expand(path, item.captures) for name, path in spec.inputs.items()}
    output = function.output_directory(spec, item.captures, item.event.subject)
    policy.check_function(rules, spec)
    policy.check_paths(rules, read=[item.event.subject, *inputs.values()], write=output)
    expires = now + policy.token_life(rules, spec)
    if output is not None:
        parents.make_directory(output, rules, expires)
    return Tokens(
        read=parents.token(item.event.subject, READ, rules, expires),
        write=None if output is None else parents.token(output, WRITE, rules, expires),
        inputs={name: parents.token(path, READ, rules, expires) for name, path in inputs.items()},
        submit=submittoken.mint(item.key, spec, secret=submit_key, now=now),
        expires=expires,
    )
