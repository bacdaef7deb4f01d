"""Macaroons as dCache makes and opens them. Pure.

Follows the behaviour of ``MacaroonRequestHandler`` (what a request may ask for), ``MacaroonProcessor`` (order of
caveats) and jmacaroons (version 1 packets, URL-safe base64 without padding). dCache rotates its secrets; this storage
has one. Written out here because pymacaroons breaks on a location that is not ASCII. dCache rotates its secrets;
this storage has one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from faasctl.local.storage import instant
from faasctl.local.storage.caveats import Activity, Context, Rejection, parse
from faasctl.local.storage.paths import ROOT, FsPath, covers, normal

MAX_LIFETIME = 7 * instant.DAY * instant.SECOND
DEFAULT_LIFETIME = 1 * instant.DAY * instant.SECOND

# Java's Instant ends here, long after its Duration does.
_LAST_INSTANT = 31_556_889_864_403_199 * instant.SECOND

# A packet has its length in four hex digits; dCache does not check, and issues a broken macaroon.
_LONGEST_CAVEAT = 65_000


class Unverified(Exception):
    """The signature is not ours."""


class Refused(Exception):
    """A request for a macaroon that is answered with 400 and this text."""


class Secret(msgspec.Struct, frozen=True):
    """32 random bytes that sign macaroons."""

    value: bytes

    def __repr__(self) -> str:
        return f"Secret({self.identifier})"

    @property
    def identifier(self) -> str:
        """What macaroons call it: six bytes of its hash, in standard base64."""
        return base64.b64encode(hashlib.sha256(self.value).digest()[:6]).decode()


class Macaroon(msgspec.Struct, frozen=True, kw_only=True):
    """A deserialised macaroon of first-party caveats, not yet verified."""

    identifier: str
    caveats: tuple[str, ...]
    signature: bytes

    def verify(self, secret: Secret) -> None:
        """Raises ValueError for another secret's macaroon, Unverified for a forged one."""
        if not hmac.compare_digest(self.identifier.encode(), secret.identifier.encode()):
            raise ValueError("unknown secret")
        if not hmac.compare_digest(_signature(secret, self.caveats), self.signature):
            raise Unverified


def open_macaroon(token: str) -> Macaroon:
    """The macaroon in ``token`` (base64 of either alphabet, padded or not). Raises ValueError."""
    text = token.replace("+", "-").replace("/", "_").rstrip("=")
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    packets = list(_packets(data))
    keys = [key for key, _ in packets]
    if keys != [b"location", b"identifier", *[b"cid"] * (len(keys) - 3), b"signature"]:
        raise ValueError("no macaroon of version 1 with first-party caveats only")
    caveats = tuple(value.decode() for key, value in packets if key == b"cid")
    return Macaroon(identifier=packets[1][1].decode(), caveats=caveats, signature=packets[-1][1])


def identify(iid: str | None, signature: bytes) -> str:
    """The id of a MacaroonPrincipal; attenuation changes the second half only."""
    part = base64.b64encode(signature[:6]).decode()
    return part if iid is None else f"{iid}:{part}"


class MintRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request's body: caveats as written, and how long it shall live."""

    caveats: tuple[str, ...] = ()
    validity: str | None = None


def read_request(body: bytes) -> MintRequest:
    """The request in ``body``, which may be empty. Raises Refused; OverflowError where dCache answers 500.

    The body is Latin-1, as for any Java servlet: write what is not ASCII with JSON's escapes.
    """
    text = body.decode("latin-1")
    try:
        # Gson takes blanks only around JSON, not JSON's NaN; the rest of its leniency is left out
        found = json.loads(text) if text.strip() else None
    except ValueError as error:
        raise Refused(f"Unable to parse JSON: {error}") from None
    except RecursionError:
        raise Refused("Unable to parse JSON: nested too deeply") from None
    if found is None:
        return MintRequest()
    if not isinstance(found, dict):
        raise Refused(f"Unable to parse JSON: Expected BEGIN_OBJECT but was {_gson(found)}")
    wanted, validity = found.get("caveats"), found.get("validity")
    if not isinstance(wanted, list | None):
        raise Refused(f"Unable to parse JSON: Expected BEGIN_ARRAY but was {_gson(wanted)}")
    if wanted is not None and None in wanted:
        raise OverflowError("a null caveat")
    return MintRequest(
        caveats=tuple(_string(caveat) for caveat in wanted or ()),
        validity=None if validity is None else _string(validity),
    )


def context_for(context: Context, path: FsPath) -> Context:
    """The context of a new macaroon asked for at ``path``. Raises Refused.

    For the bearer of a macaroon the path of the request only has to lie inside its own, which stays as it is.
    """
    if context.path == ROOT:
        return msgspec.structs.replace(context, path=path)
    if path != ROOT and not covers(context.path, path):
        raise Refused("Bad request path: Desired path not within existing path")
    return context


def chain(context: Context, request: MintRequest, *, iid: str, now: int) -> list[str]:
    """The caveats of a new macaroon in order. ``context`` carries the identity. Raises Refused; OverflowError as
    above.
    """
    befores, others = [], []
    for text in request.caveats:
        if len(text.encode()) > _LONGEST_CAVEAT:
            raise Refused("Bad requested caveat: too long")
        try:
            kind, value = parse(text)
        except Rejection as rejection:
            raise Refused(f"Bad requested caveat: {rejection}") from None
        if kind == "before":
            befores.append(value)
        else:
            others.append(text)
    expiry = _expiry(context, befores, request.validity, now)
    allowed = context.allowed()
    gids = ",".join(map(str, context.gids))
    made = [f"iid:{iid}", f"id:{context.uid};{gids};{context.username}", f"before:{instant.format(expiry)}"]
    made += [f"root:{context.root}"] if context.root != ROOT else []
    made += [f"home:{context.home}"] if context.home != ROOT else []
    made += [f"path:{context.path}"] if context.path != ROOT else []
    made += [f"max-upload:{context.max_upload}"] if context.max_upload is not None else []
    made += [f"activity:{','.join(name for name in Activity if name in allowed)}"] if allowed is not None else []
    return made + others


def seal(secret: Secret, path: FsPath, caveats: list[str]) -> str:
    """The macaroon of ``caveats``; its location is printed as Java prints an Optional."""
    location = "Optional.empty" if path == ROOT else f"Optional[{path}]"
    packets = [(b"location", location.encode()), (b"identifier", secret.identifier.encode())]
    packets += [(b"cid", caveat.encode()) for caveat in caveats]
    packets.append((b"signature", _signature(secret, caveats)))
    data = b"".join(b"%04x%b %b\n" % (len(key) + len(value) + 6, key, value) for key, value in packets)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def answer(macaroon: str, target: str, base: str) -> bytes:
    """The JSON that carries a macaroon; ``target`` and ``base`` are URLs."""
    uri = {
        "targetWithMacaroon": f"{target}?authz={macaroon}",
        "baseWithMacaroon": f"{base}?authz={macaroon}",
        "target": target,
        "base": base,
    }
    return json.dumps({"macaroon": macaroon, "uri": uri}, indent=4).encode() + b"\n"


def request_path(path: str) -> FsPath:
    """The path of a macaroon request's URL."""
    return normal(path)


def _signature(secret: Secret, caveats: Iterable[str]) -> bytes:
    """The chain of HMACs of libmacaroons."""
    key = hmac.digest(b"macaroons-key-generator", secret.value, "sha256")
    signature = hmac.digest(key, secret.identifier.encode(), "sha256")
    for caveat in caveats:
        signature = hmac.digest(signature, caveat.encode(), "sha256")
    return signature


def _packets(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of packets: four hex digits of length, key, blank, value, newline. Raises ValueError."""
    while data:
        length = int(data[:4], 16)
        packet, data = data[4:length], data[length:]
        key, blank, value = packet.partition(b" ")
        if length < 6 or len(packet) != length - 4 or not blank or not value:
            raise ValueError("a broken packet")
        yield key, value[:-1]


def _expiry(context: Context, befores: list[str], validity: str | None, now: int) -> int:
    """The earliest of what was asked for; a day, or the session's end, when nothing was."""
    try:
        wanted = [instant.parse(value) for value in befores]
        if validity is not None:
            wanted.append(now + instant.parse_duration(validity))
    except ValueError as error:
        raise Refused(f"Bad validity value: {error}") from None
    if not wanted:
        return now + DEFAULT_LIFETIME if context.expiry is None else min(context.expiry, now + MAX_LIFETIME)
    expiry = min(wanted)
    if max(wanted) > _LAST_INSTANT:
        raise OverflowError("beyond the last instant")
    if expiry <= now:
        raise Refused("Bad requested caveat: before: requested expiry in past")
    if expiry >= now + MAX_LIFETIME:
        raise Refused("Bad requested caveat: before: requested duration beyond maximum allowed (PT168H)")
    if context.expiry is not None and expiry > context.expiry:
        raise Refused("Bad requested caveat: before: cannot extend session lifetime")
    return expiry


def _string(value: Any) -> str:
    """Gson gives a string for a number or a boolean, too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise Refused(f"Unable to parse JSON: Expected a string but was {_gson(value)}")


def _gson(value: Any) -> str:
    match value:
        case list():
            return "BEGIN_ARRAY"
        case dict():
            return "BEGIN_OBJECT"
        case str():
            return "STRING"
        case bool():
            return "BOOLEAN"
        case _:
            return "NUMBER"
