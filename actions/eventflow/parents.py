"""Parent tokens: asked for once per (storage, credential, prefix, activities), and narrowed for each job.

They live as long as the storage and the policy let them, so that they serve many jobs, and they stay in the memory of
a warm container of `mint_tokens`: a lost one is simply asked for again. Where the site has an issuer of storage tokens
(`Credential.jwt`), each job's token is asked of that instead, since such a token cannot be narrowed by its bearer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from eventflow import macaroon
from eventflow.clients.oauth import Issuer
from eventflow.clients.storage import Minted, StorageClient
from eventflow.errors import ItemError
from eventflow.event import covers
from eventflow.policy import MARGIN, Policy
from eventflow.storages import Credential, Storage, holding
from eventflow.wlcg import check, scope

READ = frozenset({"DOWNLOAD"})
WRITE = frozenset({"UPLOAD", "DELETE"})
"""DELETE because a broken upload leaves a file behind that only a delete can replace. Never `max-upload`: a job
that sends more than it says switches a dCache pool to read-only for everybody."""

DIRECTORIES = 10_000
"""How many output directories are remembered as made."""

Key = tuple[str, str, str, frozenset[str]]


class Parents:
    """The parent tokens of a warm container; several threads may ask, and one request per key is on its way."""

    def __init__(
        self,
        storages: Sequence[Storage],
        now: Callable[[], float],
        client: Callable[[Storage, Credential], StorageClient] = StorageClient,
    ) -> None:
        self._storages = storages
        self._connect = client
        self._now = now
        self._clients: dict[tuple[str, str], StorageClient] = {}
        self._issuers: dict[tuple[str, str], Issuer] = {}
        self._parents: dict[Key, Minted] = {}
        self._asking: dict[Key, Lock] = {}
        self._lock = Lock()
        self._directories: set[str] = set()

    def token(self, path: str, activities: frozenset[str], rules: Policy, expires: float) -> str:
        """A token for exactly ``path`` that ends at ``expires`` (unix seconds); raises `ItemError`."""
        storage = holding(self._storages, path)
        if _credential(storage, rules).jwt is not None:
            return self._issued(storage, path, activities, rules, expires)
        parent = self._parent(storage, path, activities, rules, expires)
        return macaroon.narrow(
            parent.token,
            storage.flavour,
            prefix=parent.grant.path or "/",
            path=path,
            activities=activities,
            expires=expires,
            subnets=storage.subnets,
        )

    def make_directory(self, path: str, rules: Policy, expires: float) -> None:
        """Create an output directory: dCache's macaroon for a path that does not exist would cover one file only.

        XRootD has no such rule and makes directories as they are needed; MKCOL would take MANAGE, which no job needs.
        """
        storage = holding(self._storages, path)
        if path in self._directories or storage.flavour == "xrootd" or _credential(storage, rules).jwt is not None:
            return
        parent = self._parent(storage, path, WRITE, rules, expires)
        self._client(storage, rules).make_directory(path, door=storage.write, token=parent.token)
        if len(self._directories) > DIRECTORIES:
            self._directories.clear()
        self._directories.add(path)

    def _parent(self, storage: Storage, path: str, activities: frozenset[str], rules: Policy, expires: float) -> Minted:
        prefix = policy_prefix(rules, storage, path, activities)
        key = (*_key(storage, rules), prefix, activities)
        with self._lock:
            asking = self._asking.setdefault(key, Lock())
        with asking:
            held = self._parents.get(key)
            if held is None or not _serves(held, expires):
                self._parents[key] = held = self._mint(storage, prefix, activities, rules)
        if not _serves(held, expires):
            raise _too_short(storage, expires - self._now())
        return held

    def _mint(self, storage: Storage, prefix: str, activities: frozenset[str], rules: Policy) -> Minted:
        """Ask for a parent. It lives twice as long as the longest of its children, where the storage allows it, so
        that it serves for half of its life at least."""
        client = self._client(storage, rules)
        door = storage.mint or (storage.read if activities == READ else storage.write)
        if activities == WRITE:
            client.make_directory(prefix, door=door)
        now = self._now()
        life = min(storage.longest_life, 2 * (rules.max_token_life + MARGIN))
        return client.mint(prefix, activities, door=door, expires=now + life, now=now)

    def _issued(self, storage: Storage, path: str, activities: frozenset[str], rules: Policy, expires: float) -> str:
        """A token of the storage's issuer for this path; its end is the issuer's choice, and is checked."""
        access = _credential(storage, rules).jwt
        assert access is not None
        policy_prefix(rules, storage, path, activities)
        with self._lock:
            if _key(storage, rules) not in self._issuers:
                self._issuers[_key(storage, rules)] = Issuer(access, destination=f"storage:{storage.name}")
        wanted = scope(path, activities)
        token = self._issuers[_key(storage, rules)].token(wanted, until=expires)
        if check(token, wanted, storage=storage.name, audience=access.audience) < expires:
            raise _too_short(storage, expires - self._now())
        return token

    def _client(self, storage: Storage, rules: Policy) -> StorageClient:
        with self._lock:
            if _key(storage, rules) not in self._clients:
                self._clients[_key(storage, rules)] = self._connect(storage, _credential(storage, rules))
            return self._clients[_key(storage, rules)]


def _key(storage: Storage, rules: Policy) -> tuple[str, str]:
    return storage.name, rules.credentials.get(storage.name, "default")


def _credential(storage: Storage, rules: Policy) -> Credential:
    _, name = _key(storage, rules)
    if name not in storage.credentials:
        raise ItemError(
            f"storage {storage.name} has no credential {name!r}",
            code="no_credential",
            hint=f"it has: {', '.join(sorted(storage.credentials)) or 'none'}",
        )
    return storage.credentials[name]


def _serves(parent: Minted, expires: float) -> bool:
    return parent.grant.expires is None or parent.grant.expires >= expires


def _too_short(storage: Storage, wanted: float) -> ItemError:
    return ItemError(
        f"storage {storage.name} issues no tokens of {wanted / 3600:.1f} hours",
        code="token_too_short",
        destination=f"storage:{storage.name}",
        hint="lower max_queue or the runtime, or raise the storage's longest token life",
    )


def policy_prefix(rules: Policy, storage: Storage, path: str, activities: frozenset[str]) -> str:
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
