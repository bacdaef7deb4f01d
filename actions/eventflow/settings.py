"""An action's settings: init-only parameters, which OpenWhisk hands over as environment variables.

Init-only, because they reach the process once, at /init, and stand in no activation record.
"""

from __future__ import annotations

import os
from typing import Any, TypeVar

import msgspec

from eventflow.errors import FaasError

T = TypeVar("T")

PREFIX = "FAAS_"
"""What the names of all settings begin with."""


def adopt(args: dict[str, Any]) -> dict[str, Any]:
    """Take settings that came as ordinary parameters; returns the arguments without them.

    wskdeploy has no word for init-only parameters and deploys the settings as ordinary ones. Those that the process
    was started with stand; that no caller gives others is up to the actions' annotation ``final``.
    """
    for name in [name for name in args if name.startswith(PREFIX)]:
        value = args[name]
        os.environ.setdefault(name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
    return {name: value for name, value in args.items() if not name.startswith(PREFIX)}


def setting(name: str, kind: type[T]) -> T:
    """The init parameter ``name``, decoded strictly; a `str` is taken as it is.

    Raises `FaasError` that names the parameter and never repeats its value.
    """
    text = os.environ.get(name)
    if text is None:
        raise FaasError(f"the init parameter {name} is missing", hint="run: faasctl deploy")
    if kind is str:
        return text  # type: ignore[return-value]
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise FaasError(f"the init parameter {name} is wrong: {error}", hint="run: faasctl deploy") from None
    except msgspec.DecodeError:
        raise FaasError(f"the init parameter {name} is not JSON", hint="run: faasctl deploy") from None
