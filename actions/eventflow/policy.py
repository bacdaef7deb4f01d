"""What a namespace may do: the paths, resources and lifetimes that its functions must keep to.

A policy is checked when a function is pushed (`check_function`, on its patterns) and again when tokens are minted
(`check_paths`, on the very paths). Paths are compared by whole segments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from eventflow.errors import ItemError
from eventflow.event import covers, normal_path
from eventflow.function import Bytes, Function, Name, Seconds, globs
from eventflow.pattern import Template
from eventflow.spec import Key, SpecError, check_keys, convert, convert_at, duration, size
from eventflow.storages import Storage

MARGIN = 900
"""Seconds that a token outlives queue and runtime, for staging out and clocks that differ."""

SERVES = 600
"""Seconds for which a parent token serves at least: tokens that take the storage's whole limit would each need a
parent of their own."""


class MaxResources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that one job may ask for: ``memory`` in bytes, ``runtime`` in seconds."""

    cpus: Annotated[int, Meta(ge=1)] = 1
    memory: Bytes = 4 * 10**9
    runtime: Seconds = 12 * 3600
    gpus: Annotated[int, Meta(ge=0)] = 0


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of one namespace.

    ``read`` and ``write`` are path prefixes; ``credentials`` names, per storage, the platform's credential that its
    tokens are made from; ``max_queue`` (seconds) is how long a job may wait, and with its runtime it must fit into
    ``max_token_life`` (seconds). ``accounting_group`` pays for its jobs; ``accounting_share`` is the part of the pool
    that is the group's while others want it as well. ``push`` are the GitLab projects that may push, ``expose`` the
    parts of a record (``principal``) that its functions may see. ``failure_budget`` is how many jobs of a function may
    fail one after the other before it is paused by itself; 0: it never is.
    """

    namespace: Name
    read: tuple[str, ...]
    write: tuple[str, ...]
    credentials: dict[str, str] = {}
    max_token_life: Seconds = 24 * 3600
    max_queue: Seconds = 12 * 3600
    max_resources: MaxResources = MaxResources()
    accounting_group: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")] | None = None
    accounting_share: Annotated[float, Meta(gt=0, le=1)] | None = None
    job_attributes: dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str | int | float | bool] = {}
    push: tuple[str, ...] = ()
    expose: tuple[Literal["principal"], ...] = ()
    failure_budget: Annotated[int, Meta(ge=0)] = 20
    disabled: bool = False


class PolicyError(ItemError):
    """A function or a path breaks a rule of its namespace's policy; ``rule`` names it (``read``, ``max_queue``)."""

    def __init__(self, why: str, *, policy: Policy, rule: str, hint: str = "") -> None:
        where = f"policy {policy.namespace}: {rule}"
        super().__init__(why, code="policy", where=where, hint=hint)
        self.rule = rule


def decode(source: Mapping[str, Any]) -> Policy:
    """Decode and check a policy; a `SpecError` names the key that is wrong."""
    check_keys(source, Policy)
    plain = {name: dict(value) if isinstance(value, dict) else value for name, value in source.items()}
    convert_at(plain, ("max_token_life",), duration)
    convert_at(plain, ("max_queue",), duration)
    convert_at(plain, ("max_resources", "memory"), size)
    convert_at(plain, ("max_resources", "runtime"), duration)
    policy = convert(plain, Policy)
    for name in ("read", "write"):
        for i, prefix in enumerate(getattr(policy, name)):
            _check_prefix(prefix, (name, i))
    if policy.max_queue < 60:
        raise SpecError("is shorter than a minute", key=("max_queue",), hint="as in 12h")
    if policy.max_queue + policy.max_resources.runtime > policy.max_token_life:
        raise SpecError(
            "is shorter than max_queue and max_resources.runtime together, so tokens would end before the job",
            key=("max_token_life",),
            hint="raise it, or lower one of the two",
        )
    return policy


def encode(policy: Policy) -> dict[str, Any]:
    """The policy as JSON-able data; `decode` takes it back."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(policy))
    for name in ("accounting_group", "accounting_share"):
        if plain[name] is None:
            del plain[name]
    return plain


def by_namespace(sources: Iterable[Mapping[str, Any]]) -> dict[str, Policy]:
    """Decode policies, as an environment holds them, into one per namespace."""
    policies = [decode(source) for source in sources]
    return {policy.namespace: policy for policy in policies}


def check_function(policy: Policy, function: Function) -> None:
    """Raise `PolicyError` for the first rule that ``function`` breaks.

    Patterns count by the directories that they spell out: captures and wildcards only lead further down.
    """
    _check_open(policy)
    if function.namespace != policy.namespace:
        why = f"the function {function.full_name} is of another namespace"
        raise PolicyError(why, policy=policy, rule="namespace")
    for glob in globs(function):
        _check_covered(policy, "read", glob.literal_directory, f"when.path {glob.text}")
    for name, text in function.inputs.items():
        _check_covered(policy, "read", Template(text).literal_directory, f"inputs.{name} {text}")
    if function.write is not None:
        _check_covered(policy, "write", Template(function.write).literal_directory, f"write {function.write}")
    for name in MaxResources.__struct_fields__:
        asked, most = getattr(function.resources, name), getattr(policy.max_resources, name)
        if asked > most:
            why = f"resources.{name} {asked} is more than {most}"
            raise PolicyError(why, policy=policy, rule=f"max_resources.{name}")
    if "principal" in function.when.where and "principal" not in policy.expose:
        why = "when.where looks at principal, which the namespace may not see"
        raise PolicyError(why, policy=policy, rule="expose", hint="ask the platform team")


def token_life(policy: Policy, function: Function) -> int:
    """Seconds that the tokens of a job of ``function`` live: the longest wait in the queue, its runtime, a margin."""
    return policy.max_queue + int(function.resources.runtime) + MARGIN


def check_storages(policy: Policy, function: Function, storages: Iterable[Storage]) -> None:
    """Raise `PolicyError` unless the storages of ``function`` can issue tokens that outlive its jobs."""
    places = [glob.literal_directory for glob in globs(function)]
    places += [Template(text).literal_directory for text in function.inputs.values()]
    places += [] if function.write is None else [Template(function.write).literal_directory]
    for storage in storages:
        concerned = any(covers(p, place) or covers(place, p) for p in storage.prefixes for place in places)
        if concerned and token_life(policy, function) + SERVES > storage.longest_life:
            why = (
                f"max_queue and the function's runtime take tokens of {token_life(policy, function)} s,"
                f" and storage {storage.name} issues none beyond {storage.longest_life - SERVES} s"
            )
            hint = "lower resources.runtime; the platform team can lower max_queue or raise the storage's limit"
            raise PolicyError(why, policy=policy, rule="max_queue", hint=hint)


def check_paths(policy: Policy, *, read: Iterable[str], write: str | None) -> None:
    """Raise `PolicyError` unless every path to ``read`` and the directory to ``write`` is covered."""
    _check_open(policy)
    for path in read:
        _check_covered(policy, "read", normal_path(path), path)
    if write is not None:
        _check_covered(policy, "write", normal_path(write), write)


def _check_open(policy: Policy) -> None:
    if policy.disabled:
        why = "the namespace is disabled"
        raise PolicyError(why, policy=policy, rule="disabled", hint="ask the platform team")


def _check_covered(policy: Policy, rule: Literal["read", "write"], path: str, what: str) -> None:
    prefixes: tuple[str, ...] = getattr(policy, rule)
    if not any(covers(prefix, path) for prefix in prefixes):
        allowed = ", ".join(prefixes) or "none"
        why = f"{what} is not below a prefix to {rule}"
        raise PolicyError(why, policy=policy, rule=rule, hint=f"prefixes to {rule}: {allowed}")


def _check_prefix(prefix: str, key: Key) -> None:
    try:
        normal_path(prefix)
    except ItemError as error:
        raise SpecError(error.why, key=key, hint="an absolute path, as /pnfs/desy.de/belle") from None
    if prefix.rstrip("/").count("/") < 1:
        raise SpecError("covers everything", key=key, hint="name at least one directory")
