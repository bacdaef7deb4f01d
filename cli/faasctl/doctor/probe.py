"""A small file that is written, read and removed as a job would do it: with tokens for nothing else."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Self
from urllib.parse import quote

import requests
from pymacaroons import Macaroon

from eventflow.clients.pem import pem_file
from eventflow.errors import FaasError
from eventflow.macaroon import caveats
from eventflow.parents import READ, WRITE, Parents
from eventflow.policy import Policy
from eventflow.storages import Storage, holding
from eventflow.wlcg import claims
from faasctl.environment import Environment
from faasctl.functions.policies import policies_of
from faasctl.functions.site import storages

TIMEOUT_S = 20.0
LIFE_S = 600.0
CONTENT = b"written by faasctl doctor; may be removed\n"


class Refused(FaasError):
    """The storage answered a job's request with no."""


class Probe:
    """A file in a directory of its own below a prefix that a policy lets jobs write to."""

    def __init__(self, policy: Policy, prefix: str, storage: Storage, parents: Parents) -> None:
        self.policy = policy
        self.storage = storage
        self.directory = f"{prefix.rstrip('/')}/.faasctl-doctor-{secrets.token_hex(8)}/"
        self.path = f"{self.directory}probe"
        self._parents = parents
        self._token = ""
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = pem_file(storage.ca) if storage.ca is not None else True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def write(self) -> None:
        """Make the directory and write the file with a token for that directory; raises `FaasError`."""
        expires = time.time() + LIFE_S
        self._parents.make_directory(self.directory, self.policy, expires)
        self._token = self._parents.token(self.directory, WRITE, self.policy, expires)
        self._ask("PUT", self.path, self._token, CONTENT)

    def readable(self) -> bool:
        """Whether the policy lets jobs read where they write; then the file can be read back."""
        return any(self.path.startswith(f"{prefix.rstrip('/')}/") for prefix in self.policy.read)

    def read(self) -> bytes:
        """The file's content, read with a token for this one file; raises `FaasError`."""
        token = self._parents.token(self.path, READ, self.policy, time.time() + LIFE_S)
        return self._ask("GET", self.path, token).content

    def strays(self) -> Iterator[str]:
        """What the tokens open that they should not, after the file was written on the same connection: things are
        asked for that are not there, so nothing is changed. Raises `FaasError`."""
        beside = f"{self.directory.rstrip('/')}2/nothing"
        if self._opens("DELETE", beside, self._token):
            yield "the token of a directory opens one whose name begins the same"
        if self.storage.flavour == "xrootd" and (own := _minter(self._token)) is not None:
            claimed = Macaroon.deserialize(self._token)
            claimed.add_first_party_caveat(own)
            token = str(claimed.serialize())
            self._session.close()  # the first token of a connection says for whom it is taken
            self._ask("PUT", f"{self.path}-2", token, CONTENT)
            if self._opens("DELETE", beside, token):
                yield f"a job that appends {own} to its token acts as that user"
            self._session.close()
            self._ask("DELETE", f"{self.path}-2", self._token)
        if self.readable():
            token = self._parents.token(self.path, READ, self.policy, time.time() + LIFE_S)
            if self._opens("GET", f"{self.path}.nothing", token):
                yield "the token of a file opens those whose names begin the same"

    def remove(self) -> None:
        """Remove the file and its directory, as a job that tries again does; raises `FaasError`."""
        self._ask("DELETE", self.path, self._token)
        self._ask("DELETE", self.directory, self._token)

    def _opens(self, method: str, path: str, token: str) -> bool:
        """Whether a request is let in. XRootD may end a connection after it refused something: then a second time."""
        door = self.storage.read if method == "GET" else self.storage.write
        headers = {"Authorization": f"Bearer {token}"}
        for attempt in (1, 2):
            try:
                answer = self._session.request(
                    method, door + quote(path), headers=headers, timeout=TIMEOUT_S, allow_redirects=False
                )
                return answer.status_code not in (401, 403)
            except requests.RequestException as error:
                if attempt == 2:
                    why = f"no answer to {method} ({type(error).__name__})"
                    raise Refused(why, where=f"storage {self.storage.name}") from None
        raise AssertionError("unreachable")

    def _ask(self, method: str, path: str, token: str, body: bytes | None = None) -> requests.Response:
        door = self.storage.read if method == "GET" else self.storage.write
        headers = {"Authorization": f"Bearer {token}"}
        url = door + quote(path)
        try:
            for _ in range(3):  # a door hands the transfer to a pool, which has the token in its URL
                answer = self._session.request(
                    method, url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False
                )
                if answer.status_code not in (302, 307):
                    break
                url, headers = answer.headers["Location"], {}
        except requests.RequestException as error:
            raise Refused(
                f"no answer to {method} ({type(error).__name__})", where=f"storage {self.storage.name}"
            ) from None
        if answer.status_code >= 300:
            why = f"{method} {path}: HTTP {answer.status_code} {answer.reason}"
            hint = f"the platform's identity must be able to {method} below {self.directory.rsplit('/', 2)[0]}"
            raise Refused(why, where=f"storage {self.storage.name}", hint=hint)
        return answer


def _minter(token: str) -> str | None:
    """The caveat with which XRootD says for whom it issued a macaroon; None for a JWT."""
    return None if claims(token) else next((one for one in caveats(token) if one.startswith("name:")), None)


def probes(env: Environment) -> Iterator[Probe]:
    """A probe for each prefix that an open policy lets jobs write to."""
    known = storages(env)
    parents = Parents(known, now=time.time)
    for _, policy in sorted(policies_of(env).items()):
        for prefix in () if policy.disabled else policy.write:
            yield Probe(policy, prefix, holding(known, prefix), parents)
