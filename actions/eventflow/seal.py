"""Sealing: what travels between actions in the clear must hold no usable token.

Authenticated encryption (XChaCha20-Poly1305) under a key that only `mint_tokens` and `submit_condor` hold.
The name of what is sealed (the job key) is authenticated with it, so that the tokens of one event cannot be
moved to another.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from eventflow.errors import FaasError


class SealError(FaasError):
    """A sealed text that was made under another key, for another event, or was changed."""


def key_from_text(text: str) -> bytes:
    """A key of 32 bytes from its base64 text; raises `SealError` without repeating the text."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != Aead.KEY_SIZE:
        raise SealError("a key must be 32 bytes in base64", hint="make one with: openssl rand -base64 32")
    return key


def keys_from_text(text: str) -> tuple[bytes, ...]:
    """The keys in force: the one that seals, and after a blank the one before it, whose work may still be on its way.

    Raises `SealError`.
    """
    keys = tuple(key_from_text(one) for one in text.split())
    if not 0 < len(keys) < 3:
        raise SealError("there must be one key, or two while they are changed")
    return keys


def seal(value: Any, *, name: str, key: bytes) -> str:
    """Seal a JSON-able value for the event ``name``; every call gives another text (random nonce)."""
    return base64.b64encode(Aead(key).encrypt(msgspec.json.encode(value), name.encode())).decode()


def unseal(text: str, *, name: str, keys: Sequence[bytes]) -> Any:
    """Open what `seal` made for ``name`` under one of ``keys``; raises `SealError` when it is anything else."""
    for key in keys:
        try:
            return msgspec.json.decode(Aead(key).decrypt(base64.b64decode(text), name.encode()))
        except (CryptoError, ValueError):
            continue
    raise SealError(f"what is sealed for {name} cannot be opened with this key for this event")
