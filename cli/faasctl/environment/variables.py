"""`${env:NAME}` and `${file:PATH}` in an environment file, and nothing else: no shell, no defaults."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eventflow.spec import Key, SpecError, nearest

REFERENCE = re.compile(r"\$\{(?:(env|file):([^{}]+)\}|[^{}]*\}?)")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_FILE = 1 << 20


class Resolved(str):
    """A text that came out of a reference; ``origin`` is that reference (``env:NAME``)."""

    __slots__ = ("origin",)
    origin: str


Lookup = Callable[[str, str, Key], str]
"""What a reference ``(kind, name)`` at a key stands for."""


def from_process(variables: Mapping[str, str], folder: Path) -> Lookup:
    """References resolved against environment variables and files (relative to ``folder``)."""

    def look_up(kind: str, name: str, key: Key) -> str:
        if kind == "env":
            if name not in variables:
                near = nearest(name, list(variables)) if name else ""
                known = near if near.startswith("did") else ""
                hint = f"export {name}=..." + (f" ({known})" if known else "")
                raise SpecError(f"the variable {name} is not set", key=key, hint=hint)
            return variables[name]
        path = folder / name
        try:
            if path.stat().st_size > MAX_FILE:
                raise SpecError(f"the file {path} is larger than 1 MiB", key=key)
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            raise SpecError(f"cannot read {path}: {reason}", key=key, hint="check the path in ${file:...}") from None

    return look_up


def unresolved(kind: str, name: str, key: Key) -> str:
    """References left as they are, for commands that need no secret."""
    return f"${{{kind}:{name}}}"


def where_known(look_up: Lookup) -> Lookup:
    """References resolved where they can be and left as they are where not, for commands that need few secrets."""

    def attempt(kind: str, name: str, key: Key) -> str:
        try:
            return look_up(kind, name, key)
        except SpecError:
            return unresolved(kind, name, key)

    return attempt


def as_wskdeploy(kind: str, name: str, key: Key) -> str:
    """References left standing, as wskdeploy writes them: ``${env:NAME}`` becomes ``${NAME}``."""
    if kind == "file":
        raise SpecError(
            f"${{file:{name}}} cannot be written into a wskdeploy manifest",
            key=key,
            hint="wskdeploy knows environment variables only: use ${env:NAME} here to render",
        )
    return f"${{{name}}}"


def resolve(tree: Any, look_up: Lookup, key: Key = ()) -> Any:
    """Replace the references in every string of a document; keys of mappings are left alone."""
    if isinstance(tree, dict):
        return {name: resolve(value, look_up, (*key, name)) for name, value in tree.items()}
    if isinstance(tree, list):
        return [resolve(value, look_up, (*key, index)) for index, value in enumerate(tree)]
    if not isinstance(tree, str) or "${" not in tree:
        return tree

    origins = []

    def replace(found: re.Match[str]) -> str:
        kind, name = found.groups()
        if kind is None or (kind == "env" and not NAME.fullmatch(name)):
            raise SpecError(f"{found.group()} is no reference", key=key, hint="write ${env:NAME} or ${file:PATH}")
        origins.append(f"{kind}:{name}")
        return look_up(kind, name, key)

    resolved = Resolved(REFERENCE.sub(replace, tree))
    resolved.origin = origins[0] if len(origins) == 1 and REFERENCE.fullmatch(tree) else "+".join(origins)
    return resolved
