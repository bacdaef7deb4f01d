"""A trigger that is fed, and where it is written down that it is."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

import msgspec

from eventflow.errors import FaasError


class FeedError(FaasError):
    """The feed action was called with something that it cannot do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a trigger's owner may choose.

    ``start`` is where a trigger begins that was never fed. ``batch_records`` and ``batch_bytes`` bound one firing;
    for up to ``linger_ms`` a batch is waited for to fill. ``deadline_s`` is the time in which the sequence has to be
    through with it. What fails and may be tried again is, ``max_attempts`` times, and whatever the reason not beyond
    ``max_age_s`` after the record was written. What waits for a storage or a schedd is parked, for ``park_s`` at first,
    then for longer. Without ``prefilter`` also those records are fired that match no
    function, for rules other than the platform's.
    """

    topics: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    start: Literal["earliest", "latest"] = "earliest"
    batch_records: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500
    batch_bytes: Annotated[int, msgspec.Meta(ge=1_000, le=700_000)] = 500_000
    linger_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    deadline_s: Annotated[int, msgspec.Meta(ge=5, le=600)] = 120
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    max_age_s: Annotated[int, msgspec.Meta(ge=1, le=30 * 86400)] = 7 * 86400
    park_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 5
    prefilter: bool = True

    def reads_as(self, other: Settings) -> bool:
        """Whether the same is read in the same way, so that a feed can change from one to the other under way."""
        return (self.topics, self.start) == (other.topics, other.start)


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A fed trigger: its full name (``/namespace/name``, also the consumer group), and its sealed key."""

    trigger: str
    auth: str
    settings: Settings
    paused: bool = False


class Registrations(Protocol):
    """Where registrations are kept. Every method raises `FaasError` when that place is away."""

    def get(self, trigger: str) -> Registration | None:
        """One registration, as it is now."""

    def put(self, registration: Registration) -> None:
        """Add or replace one, durably."""

    def delete(self, trigger: str) -> None:
        """Remove one; a missing one is fine."""

    def all(self) -> list[Registration]:
        """Every registration, as it is now, by trigger."""

    def close(self) -> None:
        """Let connections go."""
