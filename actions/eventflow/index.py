"""Which functions an event fires, at a cost that hardly grows with the number of functions.

Every pattern states facts that a matching event must show: a literal third segment, a last segment that ends in
``.root``, an exact storage class. The index is a tree in which each function is filed under its rarest fact, and
where many share it, under their next rarest below. An event is looked up with its own facts, one hash each;
only the few functions found that way are matched in full.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from eventflow.event import Data, Event
from eventflow.function import Function, globs
from eventflow.pattern import Glob, split
from eventflow.where import Condition, compile_where

_LEAF = 4
"""So few candidates are matched faster than they are looked up."""

_LONGEST = 32


class Match(NamedTuple):
    """A function that an event fires, with what its pattern captured."""

    function: Function
    captures: dict[str, str]


class _Family(NamedTuple):
    """A kind of fact: of segment ``at`` (negative: from the end) the whole (``length`` 0), the first (positive) or
    last (negative) characters; or the value of a ``field`` of the data."""

    at: int
    length: int
    field: tuple[str, ...] = ()


class _Entry(NamedTuple):
    """One path pattern of one function."""

    order: int
    function: Function
    glob: Glob
    where: tuple[Condition, ...]


Facts = dict[_Family, tuple[Any, ...]]


class _Node:
    """A level of the tree: entries to try, and tables of further nodes by the value of a fact."""

    __slots__ = ("entries", "tables")

    def __init__(self, filed: Sequence[tuple[_Entry, Facts]]) -> None:
        self.entries: list[_Entry] = []
        self.tables: list[tuple[_Family, Condition | None, dict[Any, _Node]]] = []
        if len(filed) <= _LEAF:
            self.entries = [entry for entry, _ in filed]
            return
        counts = Counter(fact for _, facts in filed for fact in _values(facts))
        families = Counter(family for _, facts in filed for family in facts)
        groups: dict[_Family, dict[Any, list[tuple[_Entry, Facts]]]] = defaultdict(lambda: defaultdict(list))
        for entry, facts in filed:
            if not facts:
                self.entries.append(entry)
                continue
            rarest = min(facts, key=lambda family: _rank(family, facts, counts, families))
            rest = {family: values for family, values in facts.items() if family != rarest}
            for value in facts[rarest]:
                groups[rarest][value].append((entry, rest))
        for family, by_value in groups.items():
            condition = Condition(family.field, bool, None) if family.field else None
            self.tables.append((family, condition, {value: _Node(own) for value, own in by_value.items()}))

    def candidates(self, path: Sequence[str], data: Data, found: list[_Entry]) -> None:
        """Add to ``found`` every entry that the event may fire."""
        found += self.entries
        for (at, length, _), condition, table in self.tables:
            if condition is not None:
                value = condition.value(data)
                for one in value if isinstance(value, list | tuple) else (value,):
                    node = table.get(_typed(one))
                    if node is not None:
                        node.candidates(path, data, found)
                continue
            if not -len(path) <= at < len(path):
                continue
            text = path[at]
            node = table.get(text if not length else text[:length] if length > 0 else text[length:])
            if node is not None:
                node.candidates(path, data, found)


class Index:
    """The functions of a registry, ready to be matched; `match` gives them in the order they came in."""

    def __init__(self, functions: Iterable[Function]) -> None:
        filed: dict[str, list[tuple[_Entry, Facts]]] = defaultdict(list)
        order = itertools.count()
        compiled: dict[bytes, tuple[Condition, ...]] = {}
        for function in functions:
            text = msgspec.json.encode(function.when.where)
            if text not in compiled:
                compiled[text] = compile_where(function.when.where)
            for glob in globs(function):
                entry = _Entry(next(order), function, glob, compiled[text])
                filed[function.when.type].append((entry, _facts(entry)))
        self._roots = {kind: _Node(entries) for kind, entries in filed.items()}

    def match(self, event: Event) -> list[Match]:
        """The functions that ``event`` fires; of several patterns of one function the first that fits counts."""
        root = self._roots.get(event.type)
        if root is None:
            return []
        path = split(event.subject)
        found: list[_Entry] = []
        root.candidates(path, event.data, found)
        if len(found) > 1:
            found.sort(key=_order)
        matches: list[Match] = []
        for entry in found:
            if matches and matches[-1].function is entry.function:
                continue
            captures = entry.glob.match(path)
            if captures is not None and all(c.holds(c.value(event.data)) for c in entry.where):
                matches.append(Match(entry.function, captures))
        return matches


def _order(entry: _Entry) -> int:
    return entry.order


def _rank(family: _Family, facts: Facts, counts: Counter[Any], families: Counter[_Family]) -> tuple[int, int]:
    """Rare facts first; among about equally rare ones those that many have, so that few tables are asked."""
    shared = sum(counts[family, value] for value in facts[family])
    return (shared.bit_length(), -families[family])


def _values(facts: Facts) -> Iterator[tuple[_Family, Any]]:
    return ((family, value) for family, values in facts.items() for value in values)


def _facts(entry: _Entry) -> Facts:
    """What every event that fires ``entry`` shows."""
    segments = entry.glob.segments
    facts: Facts = {}
    for step in (1, -1):
        for i, segment in enumerate(segments[::step]):
            if segment is None:
                break
            at = i if step > 0 else -1 - i
            if segment.literal is not None:
                facts[_Family(at, 0)] = (segment.literal,)
                continue
            if head := segment.head[:_LONGEST]:
                facts[_Family(at, len(head))] = (head,)
            if tail := segment.tail[-_LONGEST:]:
                facts[_Family(at, -len(tail))] = (tail,)
    for condition in entry.where:
        if condition.exact is not None:
            facts[_Family(0, 0, condition.path)] = tuple({_typed(value) for value in condition.exact})
    return facts


def _typed(value: Any) -> Any:
    """A hash key that keeps ``1`` and ``True`` apart, as the conditions do."""
    if isinstance(value, bool):
        return ("bool", value)
    return value if isinstance(value, str | int | float) else None
