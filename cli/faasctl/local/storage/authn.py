"""Who is asking: a password or a macaroon becomes a login, by the rules of dCache's ``AuthenticationHandler`` and
``MacaroonLoginStrategy``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from faasctl.local.storage import caveats, restriction
from faasctl.local.storage.caveats import Activity, Breakage, Context, Rejection, Unreadable
from faasctl.local.storage.config import User
from faasctl.local.storage.macaroons import Secret, Unverified, identify, open_macaroon
from faasctl.local.storage.namespace import Owner
from faasctl.local.storage.restriction import Restriction

_READ_ONLY = frozenset({Activity.LIST, Activity.DOWNLOAD, Activity.READ_METADATA, Activity.STAGE})


class LoginFailed(Exception):
    """No login; the text is dCache's reason phrase."""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted identity. ``origin`` is the client's address; ``macaroon_id`` is ``iid:`` and six bytes of the
    signature.
    """

    context: Context
    uid: int
    gids: tuple[int, ...]
    username: str
    origin: str
    macaroon_id: str | None = None

    @property
    def owner(self) -> Owner:
        """The POSIX identity."""
        return Owner(uid=self.uid, gids=self.gids)

    @property
    def restriction(self) -> Restriction:
        """What the credential confines the login to."""
        return restriction.of(self.context)

    def principals(self) -> list[str]:
        """The principals as billing records print them."""
        groups = [f"GidPrincipal[{gid}{',primary' if first else ''}]" for first, gid in _marked(self.gids)]
        names = [f"UserNamePrincipal[{self.username}]", f"Origin[{self.origin}]"]
        macaroon = [f"MacaroonPrincipal[{self.macaroon_id}]"] if self.macaroon_id else []
        return [f"UidPrincipal[{self.uid}]", *groups, *names, *macaroon]


def _marked(gids: Sequence[int]) -> Iterable[tuple[bool, int]]:
    return ((position == 0, gid) for position, gid in enumerate(gids))


def credentials(authorization: str | None, authz: Sequence[str]) -> tuple[str | None, tuple[str, str] | None]:
    """The bearer token and the user name with password in a request. Raises LoginFailed for two different tokens.

    ``authz`` are the values of that query parameter, of which the first counts. A macaroon wins over a password.
    """
    scheme, _, value = (authorization or "").partition(" ")
    tokens = set(authz[:1])
    if scheme.upper() == "BEARER":
        tokens.add(value)
    if len(tokens) > 1:
        raise LoginFailed("login failed")
    if tokens:
        return tokens.pop(), None
    if scheme.upper() != "BASIC":
        return None, None
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise LoginFailed("login failed") from None
    return None, (name, password) if colon else None


class Accounts:
    """The users and the secret that macaroons are signed with."""

    def __init__(self, users: Iterable[User], secret: Secret) -> None:
        self._users: Mapping[str, User] = {user.name: user for user in users}
        self._secret = secret

    def login(self, authorization: str | None, authz: Sequence[str], *, client: str, now: int) -> Login:
        """The login of a request from ``client`` at ``now`` (ns since the epoch). Raises LoginFailed."""
        token, password = credentials(authorization, authz)
        if token is not None:
            return self._by_macaroon(token, client, now)
        if password is not None:
            return self._by_password(*password, client)
        raise LoginFailed("login failed")

    def _by_password(self, name: str, password: str, client: str) -> Login:
        user = self._users.get(name)
        expected = hashlib.sha256((user.password if user else "").encode()).digest()
        given = hashlib.sha256(password.encode()).digest()
        if not hmac.compare_digest(expected, given) or user is None:
            raise LoginFailed("login failed")
        context = Context(activities=_READ_ONLY) if user.read_only else Context()
        return Login(context=context, uid=user.uid, gids=user.gids, username=user.name, origin=client)

    def _by_macaroon(self, token: str, client: str, now: int) -> Login:
        try:
            macaroon = open_macaroon(token)
        except ValueError:
            raise LoginFailed("login failed") from None
        label = f"macaroon login denied: Invalid macaroon [{identify('-', macaroon.signature)}]"
        try:
            macaroon.verify(self._secret)
        except Unverified:
            raise LoginFailed(label) from None
        except ValueError:
            raise LoginFailed("login failed") from None
        try:
            context = caveats.expand(macaroon.caveats, client=client, now=now)
        except Unreadable as unreadable:
            # both of dCache's verifiers read every caveat, and both complain
            raise LoginFailed(f"{label}: {unreadable.why} and {unreadable}") from None
        except Rejection as rejection:
            raise LoginFailed(f"{label}: {rejection}") from None
        except Breakage:
            raise LoginFailed("login failed") from None
        if context.uid is None or context.username is None or any(gid < 0 for gid in context.gids):
            raise LoginFailed("login failed")
        return Login(
            context=context,
            uid=context.uid,
            gids=context.gids,
            username=context.username,
            origin=client,
            macaroon_id=identify(context.iid, macaroon.signature),
        )
