"""The credentials of an environment's storages: what their types cannot say, and what ends soon."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from msgspec.structs import replace

from eventflow.spec import Key, SpecError
from faasctl.environment.model import Credential, OAuth

KINDS = ("basic", "bearer", "x509", "oidc", "jwt")


def check(credential: Credential, key: Key) -> None:
    """Raise `SpecError` unless a credential is of exactly one kind, and complete."""
    given = [kind for kind in KINDS if getattr(credential, kind) is not None]
    if len(given) != 1:
        raise SpecError(f"must be exactly one of {', '.join(KINDS)}", key=key)
    access = credential.oidc or credential.jwt
    if access is not None:
        check_client(access, (*key, given[0]))


def check_client(access: OAuth, key: Key) -> None:
    """Raise `SpecError` unless a client has what its grant takes."""
    if urlsplit(access.token_endpoint).scheme != "https":
        raise SpecError("must be an https URL", key=(*key, "token_endpoint"))
    if (access.token is None) != (access.grant == "client_credentials"):
        hint = "refresh_token and token_exchange start from a token, client_credentials from none"
        raise SpecError(f"does not go with the grant {access.grant}", key=(*key, "token"), hint=hint)
    if access.client_secret is None and access.grant == "client_credentials":
        raise SpecError("is missing", key=(*key, "client_secret"), hint="client credentials are id and secret")


def with_files(credential: Credential, absolute: Callable[[str | None], str | None]) -> Credential:
    """The credential with the files it names made absolute."""
    certificate = credential.x509
    if certificate is not None:
        certificate = replace(certificate, cert=absolute(certificate.cert), key=absolute(certificate.key))
    return replace(
        credential,
        x509=certificate,
        oidc=client_with_files(credential.oidc, absolute),
        jwt=client_with_files(credential.jwt, absolute),
    )


def client_with_files(access: OAuth | None, absolute: Callable[[str | None], str | None]) -> OAuth | None:
    """The same of an issuer's client."""
    return access and replace(access, ca=absolute(access.ca))
