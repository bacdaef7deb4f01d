"""What the caveats of a macaroon mean, by dCache's rules.

Follows the behaviour of ``org.dcache.macaroons``: ``ContextExtractingCaveatVerifier`` and
``ClientIPCaveatVerifier`` (which caveat is accepted when), ``MacaroonContext`` (how caveats of one kind
combine) and ``Caveat`` (the grammar). Pure: the moment and the client's address come in as arguments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from faasctl.local.storage import instant, subnets
from faasctl.local.storage.paths import ROOT, FsPath, chroot, covers, normal, resolve, segments


class Activity(StrEnum):
    """``org.dcache.auth.attributes.Activity``, in its order."""

    LIST = "LIST"
    DOWNLOAD = "DOWNLOAD"
    MANAGE = "MANAGE"
    UPLOAD = "UPLOAD"
    DELETE = "DELETE"
    READ_METADATA = "READ_METADATA"
    UPDATE_METADATA = "UPDATE_METADATA"
    STAGE = "STAGE"


ALL = frozenset(Activity)
KINDS = frozenset({"iid", "id", "before", "root", "home", "path", "max-upload", "activity", "ip"})

_LONG = re.compile(r"[-+]?\d+")


class Rejection(Exception):
    """A caveat does not hold; ``why`` is dCache's text, and ``caveat`` stands at its end unless it names it
    itself.
    """

    def __init__(self, why: str, caveat: str | None = None) -> None:
        super().__init__(why if caveat is None else f"{why}: {caveat}")
        self.why = why


class Unreadable(Rejection):
    """A caveat without ``:`` or of an unknown kind."""


class Breakage(Exception):
    """A caveat on which dCache's own code breaks: the login fails without a reason."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain of caveats allows (``MacaroonContext``).

    ``path`` and ``home`` are relative to ``root``; ``activities`` are as written, see :meth:`allowed`;
    ``expiry`` is in nanoseconds since the epoch, ``max_upload`` in bytes.
    """

    iid: str | None = None
    uid: int | None = None
    gids: tuple[int, ...] = ()
    username: str | None = None
    root: FsPath = ROOT
    home: FsPath = ROOT
    path: FsPath = ROOT
    activities: frozenset[Activity] = ALL
    max_upload: int | None = None
    expiry: int | None = None

    def allowed(self) -> frozenset[Activity] | None:
        """The activities allowed, None when that is all of them. Whoever may do anything may also read metadata."""
        if self.activities >= ALL - {Activity.READ_METADATA}:
            return None
        return self.activities | {Activity.READ_METADATA} if self.activities else self.activities

    def prefix(self) -> FsPath:
        """The part of the whole namespace that ``path`` confines to."""
        return chroot(self.root, self.path)


def parse(text: str) -> tuple[str, str]:
    """Kind and value of one caveat. Raises Unreadable when it has no ``:`` or an unknown kind."""
    kind, colon, value = text.partition(":")
    if not colon:
        raise Unreadable("Missing ':'")
    if kind not in KINDS:
        raise Unreadable(f"Unknown caveat {kind}")
    return kind, value


def expand(caveats: Sequence[str], *, client: str, now: int) -> Context:
    """The context of ``caveats`` for ``client`` (an address literal) at ``now`` (nanoseconds since the epoch).

    Raises Rejection, with the caveat at the end of its text, for the first one that does not hold; Breakage where
    dCache's code breaks.
    """
    context = Context()
    for position, text in enumerate(caveats):
        context = apply(context, text, first=position == 0, client=client, now=now)
    return context


def apply(context: Context, text: str, *, first: bool, client: str, now: int) -> Context:
    """``context`` narrowed by one more caveat. Raises like :func:`expand`."""
    if text.startswith("ip:"):
        check_client(text, client)
        return context
    try:
        kind, value = parse(text)
        return _narrowed(context, kind, value, first=first, now=now)
    except Rejection as rejection:
        raise type(rejection)(rejection.why, text) from None


def check_client(text: str, client: str) -> None:
    """Does the ``ip`` caveat ``text`` let ``client`` in? Raises like :func:`expand`."""
    wanted = subnets.split(text.removeprefix("ip:"))
    try:
        bad = subnets.invalid(wanted)
        if bad:
            raise Rejection(f"Invalid subnets: [{', '.join(bad)}]")
        if not subnets.matches(subnets.client_address(client), wanted):
            raise Rejection(f"Client fails to match IP caveat {text}")
    except ValueError as error:
        raise Breakage(str(error)) from None


def _narrowed(context: Context, kind: str, value: str, *, first: bool, now: int) -> Context:
    change = msgspec.structs.replace
    match kind:
        case "iid":
            if context.iid is not None:
                raise Rejection("Multiple iid")
            if not first:
                raise Rejection("iid not first caveat")
            return change(context, iid=value)
        case "id":
            return _identified(context, value)
        case "before":
            return change(context, expiry=_earlier(context.expiry, value, now))
        case "root":
            return _chrooted(context, value)
        case "home":
            return change(context, home=resolve(context.root, value))
        case "path":
            return change(context, path=chroot(context.path, value))
        case "max-upload":
            limit = _long(value, "Bad max-upload")
            if limit <= 0:
                raise Rejection("max-upload must be a positive value")
            return change(context, max_upload=min(limit, context.max_upload or limit))
        case _:
            return change(context, activities=_fewer(context.activities, value))


def _identified(context: Context, value: str) -> Context:
    parts = value.split(";", 2)
    if len(parts) < 3:
        raise Rejection("Missing elements")
    uid = _long(parts[0], "Badly formatted uid")
    if uid < 0:
        raise Breakage("invalid uid value")
    if context.uid is not None:
        raise Breakage("uid is already set")
    gids = tuple(_long(gid, "Badly formatted gid") for gid in parts[1].split(","))
    username = parts[2].strip()
    if not username:
        raise Rejection("empty username not allowed")
    return msgspec.structs.replace(context, uid=uid, gids=gids, username=username)


def _earlier(expiry: int | None, value: str, now: int) -> int:
    try:
        before = instant.parse(value)
    except ValueError as error:
        raise Rejection(f"Bad ISO 8601 timestamp: {error}") from None
    if now > before:
        raise Rejection("expired")
    return before if expiry is None else min(expiry, before)


def _chrooted(context: Context, value: str) -> Context:
    """A ``root`` after a ``path`` must lie on the path's way: whichever of them is longer keeps what is left of
    it.
    """
    root, path = normal(value), context.path
    shared = min(len(segments(root)), len(segments(path)))
    if segments(root)[:shared] != segments(path)[:shared]:
        raise Rejection("root extends outside of path")
    home = context.home[len(root) :] if covers(root, context.home) and root != ROOT else ""
    return msgspec.structs.replace(
        context,
        root=chroot(context.root, value),
        path=normal("/".join(segments(path)[shared:])),
        home=context.home if root == ROOT else normal(home),
    )


def _fewer(current: frozenset[Activity], value: str) -> frozenset[Activity]:
    wanted = set()
    for name in (part.strip() for part in value.split(",")):
        if name not in ALL:
            raise Rejection(f"Bad activity value: No enum constant org.dcache.auth.attributes.Activity.{name}")
        wanted.add(Activity(name))
    if not current >= wanted:
        raise Rejection("attempt to enlarge activity set")
    return frozenset(wanted)


def _long(text: str, what: str) -> int:
    """A number as Java's ``Long.parseLong`` reads it."""
    if not _LONG.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise Rejection(f'{what}: For input string: "{text}"')
    return int(text)
