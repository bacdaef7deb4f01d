"""What a feed and its provider show of themselves: frozen snapshots, made by those that work, read by any thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from kafka import TopicPartition

LOOKED_S = 30.0
"""Seconds after which registrations that could not be read again count as unknown."""


class FeedState(msgspec.Struct, frozen=True, kw_only=True):
    """One trigger's feed as it was at its last turn.

    ``turned`` is when that was (unix seconds; None before the first: it waits for OpenWhisk, or reads what is final
    already). ``joined`` says that it is a member of its group, with whatever partitions that gave it. ``waiting`` is
    what records wait for that OpenWhisk or its registry keep from going on, empty when none do. ``in_flight`` counts
    records that were read and are not final. ``batches`` counts firings by what came of them, ``again`` records that
    had to be delivered once more, ``minted`` the storage tokens that reports told of. ``committed`` has each
    partition's offset and books (see `ledger`).
    """

    trigger: str
    turned: float | None = None
    joined: bool = False
    waiting: str = ""
    in_flight: int = 0
    batches: Mapping[str, int] = {}
    again: int = 0
    minted: int = 0
    committed: Mapping[TopicPartition, tuple[int, str]] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether it cannot go on for now."""
        return self.turned is None or bool(self.waiting)


class ProviderState(msgspec.Struct, frozen=True, kw_only=True):
    """The provider: ``looked`` is when the registrations were last read (unix seconds, None before)."""

    looked: float | None
    feeds: tuple[FeedState, ...]


def lacking(state: ProviderState, now: float) -> Iterator[str]:
    """What the provider is not ready for, a phrase each; pure."""
    if state.looked is None:
        yield "the registrations are not known yet"
    elif now - state.looked > LOOKED_S:
        yield "the registrations cannot be read"
    for feed in state.feeds:
        if feed.turned is None:
            yield f"{feed.trigger}: its feed has not begun"
        elif not feed.joined:
            yield f"{feed.trigger}: its partitions are not assigned"
