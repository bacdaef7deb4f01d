"""GitLab's id_tokens, verified against their issuer's published keys.

The rules of JOSE are left to PyJWT: only asymmetric signatures are accepted, and every claim that is relied on must be
there. The keys of an issuer are fetched once and kept; a token with a key id that is not among them makes them be
fetched again, but not more often than `REFRESH`, so that invented key ids cannot make the platform flood an issuer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import jwt
import msgspec
import requests

from eventflow.caller import Unauthenticated, is_safe
from eventflow.clients.pem import pem_file
from eventflow.errors import FaasError

ALGORITHMS = ("RS256", "ES256")
"""GitLab signs with RS256. A symmetric algorithm would take the issuer's public key for a shared secret."""

LEEWAY = 30
"""Seconds that clocks may differ."""

LIFE = 3600.0
REFRESH = 30.0
TIMEOUT = (3.05, 5.0)
MAX_ANSWER = 1 << 18
MAX_TOKEN = 16_384
REQUIRED = ("exp", "iat", "iss", "aud", "sub")


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GitLab whose jobs may call: its URL as it stands in ``iss``, the ``aud`` that tokens must be made for, where
    its keys are (``None``: as its OpenID configuration says) and its CA as PEM text."""

    issuer: str
    audience: str
    jwks: str | None = None
    ca: str | None = None


class IssuerUnavailable(FaasError):
    """The issuer's keys cannot be fetched: nothing is known of the token, try again later."""


class IdTokens:
    """Verifies tokens of some issuers; keeps their keys while the container is warm."""

    def __init__(self, issuers: Sequence[Issuer], clock: Callable[[], float] = time.monotonic) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._clock = clock
        self._keys: dict[str, tuple[float, dict[str, jwt.PyJWK]]] = {}

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that is valid now; raises `Unauthenticated` with the reason, `IssuerUnavailable`."""
        if len(token) > MAX_TOKEN or not token.isascii():
            raise Unauthenticated("the credential is neither an id_token nor the administrator's key")
        try:
            header = jwt.get_unverified_header(token)
            claimed = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.PyJWTError:
            hint = "give an id_token of GitLab as FAASCTL_ID_TOKEN"
            raise Unauthenticated(
                "the credential is neither an id_token nor the administrator's key", hint=hint
            ) from None
        issuer = self._issuers.get(claimed) if isinstance(claimed, str) else None
        if issuer is None:
            known = ", ".join(self._issuers) or "none"
            raise Unauthenticated("the id_token is of an issuer that is not trusted here", hint=f"trusted: {known}")
        key = self._key(issuer, header.get("kid"))
        try:
            return dict(
                jwt.decode(
                    token,
                    key,
                    algorithms=list(ALGORITHMS),
                    audience=issuer.audience,
                    issuer=issuer.issuer,
                    leeway=LEEWAY,
                    options={"require": list(REQUIRED)},
                )
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the id_token is refused: {_reason(error, issuer)}") from None

    def _key(self, issuer: Issuer, key_id: object) -> jwt.PyJWK:
        now = self._clock()
        fetched, keys = self._keys.get(issuer.issuer, (float("-inf"), {}))
        if now - fetched > LIFE or (key_id not in keys and now - fetched > REFRESH):
            keys = self._fetch(issuer)
            self._keys[issuer.issuer] = (now, keys)
        found = keys.get(key_id) if isinstance(key_id, str) else None
        if found is None:
            raise Unauthenticated("the id_token is refused: it is signed by a key that its issuer does not publish")
        return found

    def _fetch(self, issuer: Issuer) -> dict[str, jwt.PyJWK]:
        url = issuer.jwks
        if url is None:
            url = _get(issuer, issuer.issuer.rstrip("/") + "/.well-known/openid-configuration").get("jwks_uri")
            if not isinstance(url, str):
                raise IssuerUnavailable("its OpenID configuration names no jwks_uri", where=issuer.issuer)
        try:
            published = jwt.PyJWKSet.from_dict(_get(issuer, url)).keys
        except jwt.PyJWTError:
            raise IssuerUnavailable("publishes no keys that can be used", where=url) from None
        return {key.key_id: key for key in published if key.key_id and key.public_key_use in (None, "sig")}


def _get(issuer: Issuer, url: str) -> dict[str, Any]:
    if not is_safe(url):
        raise IssuerUnavailable("keys are fetched over https only", where=url)
    with requests.Session() as session:
        session.trust_env = False
        session.verify = pem_file(issuer.ca) if issuer.ca is not None else True
        try:
            with session.get(url, timeout=TIMEOUT, allow_redirects=False, stream=True) as answer:
                if answer.status_code != 200:
                    raise IssuerUnavailable(f"answered HTTP {answer.status_code}", where=url)
                content = bytearray()
                for chunk in answer.iter_content(1 << 16):
                    content += chunk
                    if len(content) > MAX_ANSWER:
                        raise IssuerUnavailable(f"answered with more than {MAX_ANSWER} bytes", where=url)
            found = msgspec.json.decode(content, type=dict[str, Any])
        except requests.exceptions.RequestException as error:
            raise IssuerUnavailable(f"no answer ({type(error).__name__})", where=url) from None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise IssuerUnavailable("answered with something that is no JSON object", where=url) from None
    return found


def _reason(error: jwt.PyJWTError, issuer: Issuer) -> str:
    """What is wrong, in words that hold nothing of the token."""
    if isinstance(error, jwt.ExpiredSignatureError):
        return "it has expired"
    if isinstance(error, jwt.ImmatureSignatureError):
        return "it is not valid yet"
    if isinstance(error, jwt.InvalidAudienceError):
        return f"it is for another audience than {issuer.audience}"
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"it lacks the claim {error.claim}"
    if isinstance(error, jwt.InvalidAlgorithmError):
        return f"it is not signed with {' or '.join(ALGORITHMS)}"
    if isinstance(error, jwt.InvalidSignatureError):
        return "its signature is not the issuer's"
    return "it is not valid"
