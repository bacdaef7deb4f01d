"""A request by a known caller."""

from __future__ import annotations

from typing import NamedTuple

from faasctl.local.openwhisk.auth import Identity
from faasctl.local.openwhisk.http import Call


class Request(NamedTuple):
    call: Call
    identity: Identity
    received: float
    """Seconds since the epoch."""
