"""The second step: the least a job needs, for as long as it needs.

One parent macaroon per (storage, credential, prefix, activities) is asked for and kept in the warm container; each
item's tokens are narrowed from it locally.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from eventflow import function, macaroon, policy, submittoken
from eventflow.batch import Batch, Item, each
from eventflow.clients.storage import Minted, StorageClient
from eventflow.errors import FaasError, ItemError
from eventflow.event import covers
from eventflow.function import Function
from eventflow.pattern import expand
from eventflow.policy import Policy
from eventflow.seal import seal
from eventflow.storages import Storage, holding

READ = frozenset({"DOWNLOAD"})
WRITE = frozenset({"UPLOAD", "DELETE"})
"""DELETE because a broken upload leaves a file behind that only a delete can replace. Never `max-upload`: a job
that sends more than it says switches a dCache pool to read-only for everybody."""

MARGIN = 900
"""Seconds that a token outlives queue and runtime, for staging out and clocks that differ."""


class Tokens(msgspec.Struct, frozen=True):
    """What a job gets: one token per input, one for its output directory if it has one, one to be submitted with.

    ``expires`` (unix seconds) is the end of the storage tokens.
    """

    read: str
    write: str | None
    inputs: dict[str, str]
    submit: str
    expires: float


class Parents:
    """The parent tokens of a warm container. A lost one is simply asked for again."""

    def __init__(self, storages: Sequence[Storage], now: Callable[[], float]) -> None:
        self._storages = storages
        self._now = now
        self._clients: dict[tuple[str, str], StorageClient] = {}
        self._parents: dict[tuple[str, str, str, frozenset[str]], Minted] = {}
        self._directories: set[str] = set()

    def token(self, path: str, activities: frozenset[str], rules: Policy, expires: float) -> str:
        """A token for exactly ``path`` that ends at ``expires`` (unix seconds)."""
        storage = holding(self._storages, path)
        credential = rules.credentials.get(storage.name, "default")
        prefix = _policy_prefix(rules, storage, path, activities)
        parent = self._parent(storage, credential, prefix, activities, rules, expires)
        return macaroon.narrow(
            parent.token,
            storage.flavour,
            prefix=prefix,
            path=path,
            activities=activities,
            expires=expires,
            subnets=storage.subnets,
        )

    def make_directory(self, path: str, rules: Policy, expires: float) -> None:
        """Create an output directory: a token for a path that does not exist would cover one file only."""
        if path in self._directories:
            return
        storage = holding(self._storages, path)
        credential = rules.credentials.get(storage.name, "default")
        prefix = _policy_prefix(rules, storage, path, WRITE)
        parent = self._parent(storage, credential, prefix, WRITE, rules, expires)
        self._client(storage, credential).make_directory(path, door=storage.write, token=parent.token)
        if len(self._directories) > 10_000:
            self._directories.clear()
        self._directories.add(path)

    def _parent(
        self,
        storage: Storage,
        credential: str,
        prefix: str,
        activities: frozenset[str],
        rules: Policy,
        expires: float,
    ) -> Minted:
        key = (storage.name, credential, prefix, activities)
        held = self._parents.get(key)
        if held is None or (held.grant.expires or 0) < expires:
            now = self._now()
            client = self._client(storage, credential)
            door = storage.read if activities == READ else storage.write
            if activities == WRITE:
                client.make_directory(prefix, door=door)
            held = client.mint(prefix, activities, door=door, expires=now + rules.max_token_life + MARGIN, now=now)
            if held.grant.expires is not None and held.grant.expires < expires - 1:
                raise ItemError(
                    f"storage {storage.name} issues tokens too short for this function",
                    code="token_too_short",
                    destination=f"storage:{storage.name}",
                    hint="lower max_queue or the runtime, or raise the storage's longest token life",
                )
            self._parents[key] = held
        return held

    def _client(self, storage: Storage, credential: str) -> StorageClient:
        key = (storage.name, credential)
        if key not in self._clients:
            if credential not in storage.credentials:
                raise ItemError(
                    f"storage {storage.name} has no credential {credential!r}",
                    code="no_credential",
                    hint=f"it has: {', '.join(sorted(storage.credentials)) or 'none'}",
                )
            self._clients[key] = StorageClient(storage, storage.credentials[credential])
        return self._clients[key]


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

    def step(item: Item) -> Item:
        try:
            tokens = mint(
                item, function.decode(batch.functions[item.function].spec), policies, parents, submit_key, now()
            )
        except ItemError:
            raise
        except FaasError as error:
            raise ItemError(str(error), code=type(error).__name__.removesuffix("Error").lower()) from None
        return msgspec.structs.replace(item, tokens=seal(tokens, name=item.key, key=seal_key))

    return each(batch, "mint", step)


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
    expires = now + rules.max_queue + spec.resources.runtime + MARGIN
    if output is not None:
        parents.make_directory(output, rules, expires)
    return Tokens(
        read=parents.token(item.event.subject, READ, rules, expires),
        write=None if output is None else parents.token(output, WRITE, rules, expires),
        inputs={name: parents.token(path, READ, rules, expires) for name, path in inputs.items()},
        submit=submittoken.mint(item.key, spec, secret=submit_key, now=now),
        expires=expires,
    )


def _policy_prefix(rules: Policy, storage: Storage, path: str, activities: frozenset[str]) -> str:
    """The longest prefix that the policy allows, within the storage: what the parent token is asked for.

    Narrower than the storage's whole tree, so that a parent that leaked from memory is worth less.
    """
    allowed = rules.read if activities == READ else rules.write
    fitting = [prefix.rstrip("/") or "/" for prefix in allowed if covers(prefix, path.rstrip("/"))]
    if not fitting:
        raise ItemError(f"the policy of {rules.namespace} does not cover {path}", code="policy")
    prefix = max(fitting, key=len)
    within = [mount for mount in storage.prefixes if covers(mount, path.rstrip("/"))]
    return max([prefix, *within], key=len)
