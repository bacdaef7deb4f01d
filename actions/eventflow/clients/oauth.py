"""Access tokens of an issuer's token endpoint, by client credentials, a refresh token, or token exchange.

A client that was refused is not tried again: the answer would be the same, and issuers lock accounts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import requests

from eventflow.clients.bounded import read
from eventflow.clients.pem import pem_file
from eventflow.errors import ItemError
from eventflow.storages import OAuth

GRANTS = {
    "client_credentials": "client_credentials",
    "refresh_token": "refresh_token",
    "token_exchange": "urn:ietf:params:oauth:grant-type:token-exchange",
}
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105

RENEWED = 60.0
"""Seconds before its end at which a token is asked for anew."""

LIFE = 300.0
"""Seconds for which a token is kept whose issuer does not say how long it lives (RFC 6749 5.1 only recommends it)."""

TIMEOUT = (2.0, 3.0)

_CHANGE = "give the environment a client that the issuer knows, and: faasctl secret rotate"


class Issuer:
    """One issuer, for one of the platform's clients; keeps each scope's token until shortly before its end."""

    def __init__(self, access: OAuth, *, destination: str, now: Callable[[], float] = time.time) -> None:
        self._access = access
        self._destination = destination
        self._now = now
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = pem_file(access.ca) if access.ca is not None else True
        self._kept: dict[str | None, tuple[float, str]] = {}
        self._refused: str | None = None

    def token(self, scope: str | None = None, *, until: float = 0.0) -> str:
        """An access token for ``scope`` (default: the configured one): one that is kept, if it is good for a while
        and ``until`` then (unix seconds), else a new one.

        Raises `ItemError`: ``token_refused`` (not retryable), ``credential_refused`` (it waits for a person) or
        ``unavailable``.
        """
        wanted = scope or self._access.scope
        end, kept = self._kept.get(wanted, (0.0, ""))
        if end > max(self._now() + RENEWED, until):
            return kept
        end, token = self._ask(wanted)
        if len(self._kept) > 10_000:
            self._kept.clear()
        self._kept[wanted] = (end, token)
        return token

    def _ask(self, scope: str | None) -> tuple[float, str]:
        if self._refused is not None:
            raise self._error(self._refused, "credential_refused", hint=_CHANGE)
        access = self._access
        form = {"grant_type": GRANTS[access.grant]}
        form |= {} if scope is None else {"scope": scope}
        form |= {} if access.audience is None else {"audience": access.audience}
        if access.grant == "refresh_token":
            form["refresh_token"] = access.token or ""
        elif access.grant == "token_exchange":
            form |= {"subject_token": access.token or "", "subject_token_type": ACCESS_TOKEN}
        if access.client_secret is None:
            form["client_id"] = access.client_id
        try:
            answer = self._session.post(
                access.token_endpoint,
                data=form,
                auth=None if access.client_secret is None else (access.client_id, access.client_secret),
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            )
            body = read(answer)
        except requests.RequestException as error:
            raise self._error(f"no answer ({type(error).__name__})", "unavailable") from None
        if answer.status_code >= 500 or answer.status_code == 429:
            raise self._error(f"HTTP {answer.status_code}", "unavailable")
        try:
            said: Any = msgspec.json.decode(body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            said = {}
        if answer.status_code != 200:
            why = f"refuses the client {access.client_id}: {_word(said.get('error'), answer.status_code)}"
            if said.get("error") in ("invalid_client", "invalid_grant", "unauthorized_client"):
                self._refused = why
                raise self._error(why, "credential_refused", hint=_CHANGE)
            raise self._error(why, "token_refused", hint=f"the client needs the grant {access.grant}, and the scope")
        token, life = said.get("access_token"), said.get("expires_in", LIFE)
        if not isinstance(token, str) or not token.isascii() or not isinstance(life, int | float):
            raise self._error("answered without an access_token", "token_refused", hint="is it a token endpoint?")
        return self._now() + life, token

    def _error(self, why: str, code: str, hint: str = "") -> ItemError:
        retryable = code != "token_refused"
        where = f"issuer {self._access.token_endpoint}"
        return ItemError(why, code=code, retryable=retryable, destination=self._destination, where=where, hint=hint)


def _word(error: object, status: int) -> str:
    """The error's code, when it looks like one of RFC 6749; never a free text, which may quote what was sent."""
    short = isinstance(error, str) and error.isascii() and error.replace("_", "").isalpha() and len(error) < 40
    return str(error) if short else f"HTTP {status}"
