"""The functions' code, as the registry holds it."""

from __future__ import annotations

import base64

from eventflow.batch import Registered
from eventflow.clients.openwhisk import NotFound, OpenWhisk, OpenWhiskError
from eventflow.errors import ItemError
from eventflow.function import Function
from eventflow.submitting import verified_code

KEPT_BYTES = 64 * 2**20
"""How much code a warm container keeps; the oldest goes first."""


class CodeStore:
    """Fetches a function's zip once per pushed version, and checks that it is what was pushed."""

    def __init__(self, openwhisk: OpenWhisk) -> None:
        self._openwhisk = openwhisk
        self._kept: dict[str, bytes] = {}

    def __call__(self, spec: Function, registered: Registered) -> bytes:
        """The zip of a function; raises `ItemError` (``unavailable``, ``code_changed``, ``gone``)."""
        if registered.code in self._kept:
            return self._kept[registered.code]
        try:
            action = self._openwhisk.get("actions", f"{spec.namespace}/{spec.name}", code="true")
        except NotFound:
            raise ItemError(f"{spec.full_name} is registered no more", code="gone") from None
        except OpenWhiskError as error:
            raise ItemError(
                f"the code of {spec.full_name} cannot be read: {error}",
                code="unavailable",
                retryable=True,
                destination="registry",
            ) from None
        content = verified_code(base64.b64decode(action["exec"]["code"]), registered, spec.full_name)
        self._kept[registered.code] = content
        while sum(map(len, self._kept.values())) > KEPT_BYTES:
            del self._kept[next(iter(self._kept))]
        return content
