"""The state of the whole: what `faasctl status` shows, and what of it needs a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from eventflow.macaroon import instant
from eventflow.watching import Watched
from faasctl.environment.ends import End
from faasfeeds.condor.telling import is_dead
from faasfeeds.outcomes import Outcome

HOUR_S = 3600.0
DAY_S = 86400.0


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A fed trigger: records that are not final yet (``lag``), and its books since they were opened."""

    trigger: str
    topics: tuple[str, ...]
    paused: bool = False
    lag: int = 0
    received: int = 0
    records: dict[str, int] = {}
    items: dict[str, int] = {}
    parked: int = 0
    imbalance: tuple[int, int] = (0, 0)


class Schedd(msgspec.Struct, frozen=True, kw_only=True):
    """A schedd's jobs of the platform that have not ended; ``away`` says why they are not known."""

    name: str
    idle: int = 0
    running: int = 0
    held: int = 0
    away: str | None = None


class FunctionState(msgspec.Struct, frozen=True, kw_only=True):
    """A function, and how many of its events became what in the last hour and the last day."""

    name: str
    version: str = ""
    paused: str | None = None
    hour: dict[str, int] = {}
    day: dict[str, int] = {}


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential and its end, RFC 3339."""

    name: str
    end: str | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``dead`` are the dead letters of the last day by reason, ``outages`` what could not be asked, and
    ``needs`` what needs a person, each with what to do."""

    environment: str
    at: str
    feeds: tuple[Feed, ...] = ()
    schedds: tuple[Schedd, ...] = ()
    functions: tuple[FunctionState, ...] = ()
    dead: dict[str, int] = {}
    credentials: tuple[Credential, ...] = ()
    outages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def schedd(name: str, rows: Iterable[Watched]) -> Schedd:
    """Count a schedd's jobs."""
    counts = Counter(row.state for row in rows)
    return Schedd(name=name, idle=counts["idle"], running=counts["running"], held=counts["held"])


def functions(
    told: Sequence[Outcome], known: Mapping[str, tuple[str, str | None]], now: float
) -> tuple[FunctionState, ...]:
    """Count outcomes by function; ``known`` has each registered function's version, and whether it is paused."""
    day: dict[str, Counter[str]] = {name: Counter() for name in known}
    hour: dict[str, Counter[str]] = {name: Counter() for name in known}
    for one in told:
        if one.function is not None and one.time_ms / 1000 > now - DAY_S:
            day.setdefault(one.function, Counter())[one.outcome] += 1
            if one.time_ms / 1000 > now - HOUR_S:
                hour.setdefault(one.function, Counter())[one.outcome] += 1
    return tuple(
        FunctionState(
            name=name,
            version=known.get(name, ("", None))[0],
            paused=known.get(name, ("", None))[1],
            hour=dict(hour.get(name, {})),
            day=dict(day[name]),
        )
        for name in sorted(day)
    )


def dead(told: Iterable[Outcome]) -> dict[str, int]:
    """Dead letters by reason: what the feed gave up, and jobs that failed for good."""
    reasons = Counter(one.code or "unknown" for one in told if one.outcome == "dead-lettered" or is_dead(one))
    return dict(reasons.most_common())


def credentials(several: Iterable[End]) -> tuple[Credential, ...]:
    """Credentials with their ends."""
    return tuple(Credential(name=one.name, end=instant(one.at) if one.at is not None else None) for one in several)


def needs(found: Status, ends: Iterable[End], now: float) -> Iterator[str]:
    """What needs a person now, each with what to do about it."""
    for outage in found.outages:
        yield f"{outage} (faasctl doctor)"
    for feed in found.feeds:
        if feed.imbalance != (0, 0):
            records, items = feed.imbalance
            yield f"{feed.trigger}: the books do not balance: {records} records and {items} items are missing"
        if lost := feed.records.get("lost", 0):
            yield f"{feed.trigger}: {lost} records ended before they were read: raise the topics' retention"
    for one in found.schedds:
        if one.away is not None:
            yield f"schedd {one.name} is away: {one.away}"
        if one.held:
            yield f"schedd {one.name}: {one.held} jobs are held: condor_q -hold says why"
    if found.dead:
        yield f"{sum(found.dead.values())} dead letters since yesterday: faasctl dlq list"
    for function in found.functions:
        if function.paused and function.day.get("failed"):
            count = function.day["failed"]
            yield f"{function.name} is paused after {count} failures: mend it, then faasctl fn resume {function.name}"
    for end in ends:
        if end.at is not None and end.is_soon(now):
            yield f"{end.name} ({end.kind}) {'ended' if end.at < now else 'ends'} at {instant(end.at)}: renew it"


def finished(found: Status, ends: Sequence[End], now: float) -> Status:
    """The status with what it needs."""
    return msgspec.structs.replace(found, needs=tuple(needs(found, ends, now)))


def lines(found: Status) -> Iterator[str]:
    """One screen for people."""
    yield f"{found.environment}  {found.at}"
    yield ""
    yield f"{'feed':<28} {'lag':>8} {'received':>10} {'matched':>9} {'filtered':>9} {'dead':>6} {'parked':>7}"
    for feed in found.feeds:
        filtered = sum(count for word, count in feed.records.items() if word.startswith("filtered"))
        dead_ones = feed.records.get("dead-lettered", 0) + feed.items.get("dead-lettered", 0)
        yield (
            f"{feed.trigger + (' (paused)' if feed.paused else ''):<28} {feed.lag:>8} {feed.received:>10}"
            f" {feed.records.get('matched', 0):>9} {filtered:>9} {dead_ones:>6} {feed.parked:>7}"
        )
    yield ""
    yield f"{'schedd':<28} {'idle':>8} {'running':>10} {'held':>9}"
    for one in found.schedds:
        yield f"{one.name:<28} {one.idle:>8} {one.running:>10} {one.held:>9}" + (f"  {one.away}" if one.away else "")
    yield ""
    columns = f"{'completed':>10} {'failed':>9} {'day: in':>9} {'completed':>10} {'failed':>7}"
    yield f"{'function':<28} {'hour: in':>8} {columns}"
    for function in found.functions:
        yield f"{function.name:<28} {_counts(function.hour, 8, 10, 9)} {_counts(function.day, 9, 10, 7)}" + (
            f"  paused, events {function.paused}ed" if function.paused else ""
        )
    if found.dead:
        yield ""
        yield "dead letters since yesterday: " + ", ".join(f"{count} {code}" for code, count in found.dead.items())
    for credential in found.credentials:
        yield f"credential {credential.name}: ends {credential.end or 'some day'}"
    yield ""
    yield from (f"! {need}" for need in found.needs)
    if not found.needs:
        yield "nothing needs a person"


def _counts(words: Mapping[str, Any], *widths: int) -> str:
    taken = sum(words.get(word, 0) for word in ("submitted", "invoked"))
    shown = (taken, words.get("completed", 0), words.get("failed", 0) + words.get("expired", 0))
    return " ".join(f"{count:>{width}}" for count, width in zip(shown, widths, strict=True))
