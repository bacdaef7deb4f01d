"""`$X` and `${X}` in a manifest, as wskdeploy has them; `$${X}` is a literal `${X}`.

Two of wskdeploy's surprises are left out: an undefined variable is an error and no empty string, and `$FOO` is
never a part of `$FOOBAR` (wskenv/environment.go replaces text by text).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from eventflow.spec import Key, SpecError, nearest

_REFERENCE = re.compile(r"\$\$\{([^{}]*)\}|\$\{([^{}]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)|\$\{")
_WHOLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Hidden(str):
    """A text that holds the value of a variable: it may be a secret, so it is never shown."""

    __slots__ = ()


def interpolate(text: str, variables: Mapping[str, Any], key: Key) -> Any:
    """Replace the references in a string; a string that is one reference takes the variable's value and type.

    wskdeploy looks for references only in a text that starts with ``$`` or holds ``${``, and so does this. In a text
    that is itself JSON the values are escaped, so that a quote in a password cannot break out of its string.
    Raises `SpecError` for an undefined variable and for ``${`` that is no reference.
    """
    if not (text.startswith("$") and len(text) > 1) and "${" not in text:
        return text
    whole = _WHOLE.fullmatch(text)
    if whole:
        return _value(whole[1] or whole[2], variables, key)
    escape = _is_json(text)

    def replace(found: re.Match[str]) -> str:
        if found[1] is not None:
            return f"${{{found[1]}}}"
        name = found[2] or found[3]
        if not name or not _NAME.fullmatch(name):
            hint = "write ${NAME}, or $${NAME} for the text ${NAME}"
            raise SpecError(f"{found.group()} is no reference", key=key, hint=hint)
        value = _value(name, variables, key)
        plain = value if isinstance(value, str) else json.dumps(value)
        return json.dumps(plain)[1:-1] if escape else plain

    replaced = _REFERENCE.sub(replace, text)
    used = any(found[1] is None for found in _REFERENCE.finditer(text))
    return Hidden(replaced) if used else replaced


def interpolate_tree(tree: Any, variables: Mapping[str, Any], key: Key = ()) -> Any:
    """The same for every string inside mappings and lists."""
    if isinstance(tree, str):
        return interpolate(tree, variables, key)
    if isinstance(tree, dict):
        return {name: interpolate_tree(value, variables, (*key, name)) for name, value in tree.items()}
    if isinstance(tree, list):
        return [interpolate_tree(value, variables, (*key, index)) for index, value in enumerate(tree)]
    return tree


def is_hidden(value: Any) -> bool:
    """Whether a value holds, anywhere inside, what came from a variable."""
    if isinstance(value, dict):
        return any(is_hidden(inner) for inner in value.values())
    if isinstance(value, list):
        return any(is_hidden(inner) for inner in value)
    return isinstance(value, Hidden)


def hidden(value: Any) -> Any:
    """The same value with the mark that it came from a variable."""
    return _with_texts(value, Hidden)


def plain(value: Any) -> Any:
    """The same value without that mark."""
    return _with_texts(value, str)


def _with_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: _with_texts(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_texts(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


def _value(name: str, variables: Mapping[str, Any], key: Key) -> Any:
    if name not in variables:
        near = nearest(name, list(variables))
        known = f" ({near})" if near.startswith("did") else ""
        hint = f"export {name}=..., or write $${{{name}}} if the text itself is meant{known}"
        raise SpecError(f"the variable {name} is not defined", key=key, hint=hint)
    return hidden(variables[name])


def _is_json(text: str) -> bool:
    if text[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
