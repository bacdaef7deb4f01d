"""The secrets that an environment has, by the keys of its file."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from eventflow.errors import FaasError
from faasctl.environment import Environment, Secret
from faasctl.environment.ends import life
from faasctl.environment.model import Certificate

DIGITS = 12
"""Hexadecimal digits of a fingerprint: enough to tell any two secrets apart."""


class Named(msgspec.Struct, frozen=True):
    """A secret and its name: the keys that lead to it in the environment file (``kafka.security.password``).

    A certificate and its key change together, and are one secret of two texts.
    """

    name: str
    texts: tuple[Secret, ...]

    @property
    def origin(self) -> str:
        """Where it comes from, as the environment file says it."""
        origin = self.texts[-1].origin
        return f"${{{origin}}}" if origin else "the environment file"

    @property
    def ends(self) -> float | None:
        """When it ends (unix seconds), if it says so itself."""
        return min((end for _, end in (life(text.reveal()) for text in self.texts) if end is not None), default=None)

    def fingerprint(self, key: str) -> str:
        """A short digest, keyed: whoever lacks the key cannot try out passwords against it. Of two of the platform's
        own keys, which are in force while one is changed, both are told."""
        if self.name.startswith("keys."):
            return " ".join(_digest(word, key) for word in self.texts[0].reveal().split())
        return _digest("\n".join(text.reveal() for text in self.texts), key)


def inventory(env: Environment) -> list[Named]:
    """Every secret of an environment. Raises `FaasError` for a certificate's file that cannot be read."""
    return list(_within("", env))


def chosen(several: list[Named], names: tuple[str, ...]) -> list[Named]:
    """Those that are named, or stand below a key that is (``storages.main``); raises `FaasError` for an unknown one."""
    found = []
    for name in names:
        below = [one for one in several if one.name == name or one.name.startswith(f"{name}.")]
        if not below:
            raise FaasError(f"the environment has no secret {name}", hint="faasctl secret list names them")
        found += below
    return [one for one in several if one in found]


def _within(name: str, value: Any) -> Iterator[Named]:
    match value:
        case Secret():
            yield Named(name, (value,))
        case Certificate():
            files = [file for file in (value.cert, value.key) if file is not None]
            yield Named(name, tuple(Secret(_read(file), f"file:{file}") for file in files))
        case msgspec.Struct():
            for field in value.__struct_fields__:
                yield from _within(_joined(name, field), getattr(value, field))
        case dict():
            for key, inner in value.items():
                yield from _within(_joined(name, str(key)), inner)
        case tuple():
            for index, inner in enumerate(value):
                yield from _within(_joined(name, str(getattr(inner, "name", index))), inner)


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no PEM text"
        raise FaasError(f"cannot be read: {why}", where=file, hint="the environment names it as cert or key") from None


def _digest(text: str, key: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:DIGITS]
