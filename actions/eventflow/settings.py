"""An action's settings: init-only parameters, which OpenWhisk hands over as environment variables.

Init-only, because they reach the process once, at /init, and stand in no activation record.
"""

from __future__ import annotations

import os
from typing import TypeVar

import msgspec

from eventflow.errors import FaasError

T = TypeVar("T")


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
