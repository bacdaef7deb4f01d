"""Strict decoding of what people write: unknown keys, wrong types and odd values each name their key.

Specifications (functions, policies) are read from YAML by the command line and from JSON annotations by the
actions; both come through here as plain dicts and lists, so that both give the same errors.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from eventflow.errors import FaasError

Key = tuple[str | int, ...]
"""Where in a specification something stands: ``("when", "path", 0)``."""

T = TypeVar("T", bound=msgspec.Struct)

_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(B|[kKMGT]B|[KMGT]iB)$"
DURATION_PATTERN = r"^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)", re.ASCII)
_DURATION = re.compile(r"(?=.)(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?", re.ASCII)


def key_text(key: Key) -> str:
    """A key as people write it: ``when.path[0]``."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class SpecError(FaasError):
    """Something in a specification is wrong; ``key`` says where, so that a reader can add file and line."""

    def __init__(self, why: str, *, key: Key = (), hint: str = "") -> None:
        super().__init__(why, where=key_text(key), hint=hint)
        self.key = key


def size(value: object, key: Key) -> int:
    """Bytes of ``2GB`` (10^9), ``2GiB`` (2^30) or a bare number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found and found[2] in _UNITS:
        whole, _, fraction = found[1].partition(".")
        scale: int = 10 ** len(fraction)
        return int(whole + fraction) * _UNITS[found[2]] // scale
    raise SpecError(f"{value!r} is no size", key=key, hint="write 500MB, 2GB (10^9 bytes) or 2GiB (2^30)")


def duration(value: object, key: Key) -> int:
    """Seconds of ``1h``, ``90m``, ``1d12h`` or a bare number of seconds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found:
        return sum(int(n) * unit for n, unit in zip(found.groups("0"), _SECONDS.values(), strict=True))
    raise SpecError(f"{value!r} is no duration", key=key, hint="write 90s, 30m, 1h, 1h30m or 2d")


def convert_at(source: Mapping[str, Any], key: Key, conversion: Callable[[object, Key], Any]) -> None:
    """Replace in place the value at ``key`` by what ``conversion`` makes of it, where there is one."""
    here: Any = source
    for part in key[:-1]:
        here = here.get(part)
        if not isinstance(here, dict):
            return
    if key[-1] in here:
        here[key[-1]] = conversion(here[key[-1]], key)


def check_strings(source: Mapping[str, Any], key: Key) -> None:
    """Refuse values that are no strings in the mapping at ``key``, where there is one."""
    here: Any = source
    for part in key:
        here = here.get(part) if isinstance(here, dict) else None
    for name, value in here.items() if isinstance(here, dict) else ():
        if not isinstance(value, str):
            raise SpecError(f"must be a string, not {kind(value)}", key=(*key, name), hint="quote it")


def nearest(word: str, known: Sequence[str]) -> str:
    """``did you mean 'x'?``, or the list of what is known when nothing is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "known here: " + ", ".join(sorted(known))


def check_keys(source: object, model: type[msgspec.Struct], key: Key = ()) -> None:
    """Refuse keys that ``model`` (and the structs inside it) does not have, with the nearest that it has."""
    if not isinstance(source, dict):
        raise SpecError(f"must be a mapping, not {kind(source)}", key=key)
    fields = _fields(model)
    for name, value in source.items():
        if not isinstance(name, str):
            raise SpecError(f"the key {name!r} is no string", key=key, hint="quote it")
        if name not in fields:
            raise SpecError(f"unknown key {name!r}", key=(*key, name), hint=nearest(name, list(fields)))
        inner = fields[name].type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            check_keys(value, inner, (*key, name))
    for name, field in fields.items():
        if field.required and name not in source:
            raise SpecError(f"{name!r} is missing", key=key, hint=f"add {key_text((*key, name))}: ...")


@cache
def _fields(model: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(model)}


def convert(source: Mapping[str, Any], model: type[T]) -> T:
    """Decode strictly; a wrong type becomes a `SpecError` that names its key."""
    try:
        return msgspec.convert(source, model)
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at `")
        raise SpecError(_lower(why), key=_parse_key(path.rstrip("`"))) from None


def json_size(value: object, key: Key) -> int:
    """How many bytes ``value`` is as JSON; a `SpecError` when JSON cannot carry it."""
    try:
        return len(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise SpecError(f"cannot be written as JSON: {error}", key=key) from None


def _parse_key(path: str) -> Key:
    known = path.removeprefix("$").partition("[...]")[0]
    return tuple(name or int(index) for name, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", known))


def _lower(why: str) -> str:
    return why[:1].lower() + why[1:]


def kind(value: object) -> str:
    """What ``value`` is, in the words of YAML."""
    names = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), "a number")
