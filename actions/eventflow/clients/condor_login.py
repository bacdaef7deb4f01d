"""How schedds know the platform: by an IDTOKEN of their pool, or by SciTokens of an issuer that are renewed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from eventflow.clients.oauth import Issuer
from eventflow.errors import ItemError
from eventflow.exactly_once import PoolUnavailable
from eventflow.storages import OAuth

SCOPE = "condor:/READ condor:/WRITE"
"""What the platform does at a schedd: query, and submit."""


class Login(Protocol):
    """Tells the bindings who the platform is."""

    def configure(self, htcondor2: Any, folder: Path) -> None:
        """Once, before anything is connected; ``folder`` is private and stays."""

    def renew(self) -> None:
        """Before each connection; raises `PoolUnavailable`."""


class IdToken:
    """An IDTOKEN of the pool that may read and write (`condor_token_create`); nothing renews it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def configure(self, htcondor2: Any, folder: Path) -> None:
        tokens = folder / "tokens"
        tokens.mkdir(mode=0o700)
        _write(tokens / "faas", self._token)
        htcondor2.param["SEC_CLIENT_AUTHENTICATION_METHODS"] = "IDTOKENS"
        htcondor2.param["SEC_TOKEN_DIRECTORY"] = str(tokens)

    def renew(self) -> None:
        """There is nothing to be renewed."""


class SciTokens:
    """Tokens of an issuer whose subject the pool's map file makes a user (method ``SCITOKENS``).

    The connection is TLS to the daemons' host certificates: ``ca`` (PEM text) is theirs, `None` the system's.
    """

    def __init__(self, access: OAuth, ca: str | None = None) -> None:
        self._issuer = Issuer(access, destination="pool")
        self._scope = access.scope or SCOPE
        self._ca = ca
        self._file: Path | None = None
        self._written = ""

    def configure(self, htcondor2: Any, folder: Path) -> None:
        self._file = folder / "scitoken"
        htcondor2.param["SEC_CLIENT_AUTHENTICATION_METHODS"] = "SCITOKENS"
        htcondor2.param["SCITOKENS_FILE"] = str(self._file)
        if self._ca is not None:
            _write(folder / "ca.pem", self._ca)
            htcondor2.param["AUTH_SSL_CLIENT_CAFILE"] = str(folder / "ca.pem")

    def renew(self) -> None:
        assert self._file is not None
        try:
            token = self._issuer.token(self._scope)
        except ItemError as error:
            raise PoolUnavailable(error.why, where=error.where, hint=error.hint) from None
        if token != self._written:
            _write(self._file.with_suffix(".new"), token)
            self._file.with_suffix(".new").replace(self._file)
            self._written = token


def _write(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text.strip() + "\n")
