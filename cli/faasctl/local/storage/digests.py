"""Checksums: adler32 of every file, others when a client asks for them or gives one to check.

``Want-Digest`` and ``Digest`` are RFC 3230's, ``Want-Repr-Digest`` and ``Repr-Digest`` RFC 9530's. Like dCache,
the storage does not verify a ``Digest`` or ``Repr-Digest`` that is sent with an upload; ``Content-MD5`` it
does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping

_HASHES = {"md5": "md5", "sha-256": "sha256", "sha-512": "sha512"}
_REPRESENTATION = ("sha-512", "sha-256")


class Checksums:
    """Running checksums of one upload: adler32 and the ``wanted`` ones (names of RFC 3230)."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._adler = 1
        # dCache computes what the client asks for, MD5 included; it protects against accidents, not against enemies
        self._hashes = {name: hashlib.new(_HASHES[name], usedforsecurity=False) for name in wanted}

    def update(self, data: bytes | bytearray) -> None:
        """The next bytes of the file."""
        self._adler = zlib.adler32(data, self._adler)
        for running in self._hashes.values():
            running.update(data)

    def values(self) -> dict[str, bytes]:
        """Checksum by name, as raw bytes."""
        found = {name: running.digest() for name, running in self._hashes.items()}
        return {"adler32": self._adler.to_bytes(4), **found}


def wanted(headers: Mapping[str, str]) -> frozenset[str]:
    """The checksums, besides adler32, that answering an upload with these headers needs."""
    names = {_preferred(headers.get("want-digest", "")), _preferred_representation(headers.get("want-repr-digest", ""))}
    if "content-md5" in headers:
        names.add("md5")
    return frozenset(name for name in names if name in _HASHES)


def answer(headers: Mapping[str, str], checksums: Mapping[str, bytes]) -> dict[str, str]:
    """The Digest and Repr-Digest headers that a request with these headers is answered with, from what is known."""
    found = {}
    name = _preferred(headers.get("want-digest", ""), known=frozenset(checksums))
    if name is not None:
        value = checksums[name]
        found["Digest"] = f"{name}={value.hex() if name == 'adler32' else base64.b64encode(value).decode()}"
    name = _preferred_representation(headers.get("want-repr-digest", ""))
    if name is not None and name in checksums:
        found["Repr-Digest"] = f"{name}=:{base64.b64encode(checksums[name]).decode()}:"
    return found


def content_md5(text: str) -> bytes:
    """The checksum in a Content-MD5 header. Raises ValueError."""
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None
    if len(value) != 16:
        raise ValueError("no MD5")
    return value


def _preferred(header: str, known: frozenset[str] = frozenset({"adler32", *_HASHES})) -> str | None:
    """The first of the names with the highest q that we can compute."""
    choices = []
    for part in header.split(","):
        name, _, parameters = part.strip().lower().partition(";")
        quality = re.fullmatch(r"\s*q=(\d(?:\.\d{0,3})?)\s*", parameters)
        choices.append((float(quality[1]) if quality else 1.0, name.strip()))
    usable = [(quality, name) for quality, name in choices if quality > 0 and name in known]
    return max(usable, key=lambda choice: choice[0])[1] if usable else None


def _preferred_representation(header: str) -> str | None:
    choices = {name: int(weight) for name, weight in re.findall(r"([\w-]+)=(\d{1,2})", header.lower())}
    usable = [(weight, name) for name, weight in choices.items() if weight > 0 and name in _REPRESENTATION]
    return max(usable)[1] if usable else None
