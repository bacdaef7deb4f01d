"""Who is calling: HTTP Basic with a uuid and a key (core/controller/BasicAuthenticationDirective.scala)."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
import uuid
from collections.abc import Iterable

import msgspec

from eventflow.errors import UsageError
from faasctl.local.openwhisk.errors import (
    AUTHENTICATION_INVALID,
    AUTHENTICATION_MISSING,
    CHALLENGE,
    ApiError,
    not_found,
)
from faasctl.local.openwhisk.names import SEGMENT

BASE64 = re.compile(r"[A-Za-z0-9+/]+=*")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace and the one key that owns it. The subject has the namespace's name."""

    namespace: str
    uuid: str
    key: str

    @property
    def auth(self) -> str:
        """As clients write it: ``uuid:key``."""
        return f"{self.uuid}:{self.key}"

    def __repr__(self) -> str:
        return f"Identity({self.namespace!r})"


def new_identity(namespace: str) -> Identity:
    """With a random uuid and key."""
    return Identity(namespace=namespace, uuid=str(uuid.uuid4()), key=secrets.token_urlsafe(48))


def parse_identity(text: str) -> Identity:
    """``NS=UUID:KEY``; raises UsageError, which never holds the key."""
    namespace, _, auth = text.partition("=")
    user, _, key = auth.partition(":")
    if not SEGMENT.match(namespace) or not user or not key:
        raise UsageError(
            "an identity is NAMESPACE=UUID:KEY", where="--auth", hint="for example guest=some-uuid:some-key"
        )
    return Identity(namespace=namespace, uuid=user, key=key)


class Authenticator:
    def __init__(self, identities: Iterable[Identity]) -> None:
        self._by_uuid = {identity.uuid: identity for identity in identities}
        self._by_namespace = {identity.namespace: identity for identity in self._by_uuid.values()}

    def owner(self, namespace: str) -> Identity:
        """On whose account a namespace's web actions run; raises ApiError 404."""
        identity = self._by_namespace.get(namespace)
        if identity is None:
            raise not_found()
        return identity

    def authenticate(self, header: str | None) -> Identity:
        """The caller by its Authorization header; raises ApiError 401."""
        scheme, _, credentials = (header or "").partition(" ")
        if scheme.lower() != "basic" or not BASE64.fullmatch(credentials.strip()):
            raise ApiError(401, AUTHENTICATION_MISSING, rejected=True, headers=CHALLENGE)
        try:
            user, _, key = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            user = key = ""
        identity = self._by_uuid.get(user)
        expected = identity.key if identity else ""
        if not hmac.compare_digest(key.encode(), expected.encode()) or identity is None:
            raise ApiError(401, AUTHENTICATION_INVALID, rejected=True, headers=CHALLENGE)
        return identity
