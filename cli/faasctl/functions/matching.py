"""What a capture of records would fire, and what that would cost. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from eventflow.dcache import Filtered
from eventflow.errors import FaasError
from eventflow.event import Event
from eventflow.function import Function, output_directory
from eventflow.index import Index
from faasctl.functions import events, explain
from faasctl.functions.explain import Reason

EXPLAINED = 20
"""Records of which each is told by itself."""

PAIRS = 500_000
"""Records times functions for which it is found out why not: some ten seconds."""


class Candidate(msgspec.Struct, frozen=True):
    """A function, and whether it is paused at the moment."""

    function: Function
    paused: str | None = None


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """What one function would have to do: ``core_hours`` at most, with the cpus and the runtime that it asks for.

    ``not_fired`` counts, by key of `function.yaml`, what kept the other records away; one record may count for several.
    """

    name: str
    fired: int
    bytes: int
    core_hours: float
    not_fired: dict[str, int]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One record: what it is, what it fires (with the output directory), and why it does not fire the others."""

    line: int
    subject: str | None
    filtered: str | None = None
    fires: dict[str, str | None] = {}
    others: dict[str, tuple[Reason, ...]] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all records: ``records`` by what they are, ``functions`` in the order of what they would cost."""

    records: dict[str, int]
    functions: tuple[Total, ...]
    told: tuple[Told, ...]


def match(records: Sequence[bytes], candidates: Iterable[Candidate], own_users: frozenset[str] = frozenset()) -> Answer:
    """Match records as the platform would; ``own_users`` are those that its own jobs write as."""
    known = {one.function.full_name: one for one in candidates}
    index = Index(one.function for one in known.values())
    tally: Counter[str] = Counter()
    fired: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    kept: dict[str, Counter[str]] = {name: Counter() for name in known}
    told: list[Told] = []
    seen: set[str] = set()
    explained = len(records) * len(known) <= PAIRS
    for line, record in enumerate(records, 1):
        event = _event(record)
        if not isinstance(event, Event):
            what, why = event
            tally[what] += 1
            told.append(Told(line=line, subject=None, filtered=why))
            continue
        if event.id in seen:
            tally["duplicate"] += 1
            continue
        seen.add(event.id)
        own = (event.data.principal or {}).get("username") in own_users
        hits = {
            found.function.full_name: output_directory(found.function, found.captures, event.subject)
            for found in index.match(event)
            if found.function.chained or not own
        }
        tally["matched" if hits else "no_match"] += 1
        for name in hits:
            fired[name] += 1
            sizes[name] += event.data.size or 0
        others: dict[str, tuple[Reason, ...]] = {}
        for name in known.keys() - hits.keys() if explained else ():
            reasons = explain.against(known[name].function, event, own=own)
            kept[name].update({reason.key for reason in reasons})
            others[name] = tuple(reasons)
        if len(told) < EXPLAINED:
            told.append(Told(line=line, subject=event.subject, fires=hits, others=dict(sorted(others.items()))))
    totals = [_total(known[name].function, fired[name], sizes[name], kept[name]) for name in known]
    totals.sort(key=lambda total: (-total.core_hours, -total.fired, total.name))
    return Answer(records=dict(tally), functions=tuple(totals), told=tuple(told[:EXPLAINED]))


def _event(record: bytes) -> Event | tuple[str, str]:
    """The event, or how a record that is none would be booked, and why."""
    try:
        found = events.decode(record)
    except FaasError as error:
        return "dead_lettered", str(error)
    if isinstance(found, Filtered):
        return f"filtered: {found.reason}", f"filtered: {found.reason}"
    return found


def _total(function: Function, fired: int, size: int, kept: Mapping[str, int]) -> Total:
    needs = function.resources
    hours = fired * needs.cpus * needs.runtime / 3600
    return Total(name=function.full_name, fired=fired, bytes=size, core_hours=round(hours, 2), not_fired=dict(kept))


def lines(content: bytes) -> list[bytes]:
    """The records of a file: one JSON document a line, or a single one on many."""
    found = [line for line in content.splitlines() if line.strip()]
    if len(found) > 1 and not _is_json(found[0]) and _is_json(content):
        return [content]
    return found


def _is_json(content: bytes) -> bool:
    try:
        msgspec.json.decode(content, type=Any)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
