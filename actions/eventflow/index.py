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


Leaf = tuple[_Entry, ...]
Table = dict[Any, "_Node | Leaf"]


class _Node:
    """A level of the tree: entries that have no further fact, and below, by the value of a fact, the others.

    There are three kinds of tables: by a whole segment, by its first or last characters, by a field of the data.
    """

    __slots__ = ("entries", "fields", "parts", "segments")

    def __init__(self, filed: Sequence[tuple[_Entry, Facts]]) -> None:
        segments: list[tuple[int, Table]] = []
        parts: list[tuple[int, int, Table]] = []
        fields: list[tuple[Condition, Table]] = []
        for family, groups in _grouped(filed).items():
            table: Table = {value: _tree(own) for value, own in groups.items()}
            if family.field:
                fields.append((Condition(family.field, bool, None), table))
            elif family.length:
                parts.append((family.at, family.length, table))
            else:
                segments.append((family.at, table))
        # tuples: all empty ones are one object, and stay in the CPU's cache
        self.entries = tuple(entry for entry, facts in filed if not facts)
        self.segments, self.parts, self.fields = tuple(segments), tuple(parts), tuple(fields)

    def below(self, path: Sequence[str], data: Data) -> list[_Node | Leaf]:
        """What of the next level the event may fire."""
        found: list[_Node | Leaf | None] = []
        depth = len(path)
        for at, table in self.segments:
            if -depth <= at < depth:
                found.append(table.get(path[at]))
        for at, length, table in self.parts:
            if -depth <= at < depth:
                found.append(table.get(path[at][:length] if length > 0 else path[at][length:]))
        for condition, table in self.fields:
            value = condition.value(data)
            values = value if isinstance(value, list | tuple) else (value,)
            found += [table.get(_typed(one)) for one in values]
        return [each for each in found if each is not None]

    def below_any(self, path: Sequence[str]) -> list[_Node | Leaf]:
        """The same, of an event of which only the path is known."""
        found: list[_Node | Leaf | None] = []
        depth = len(path)
        for at, table in self.segments:
            if -depth <= at < depth:
                found.append(table.get(path[at]))
        for at, length, table in self.parts:
            if -depth <= at < depth:
                found.append(table.get(path[at][:length] if length > 0 else path[at][length:]))
        for _, table in self.fields:
            found += table.values()
        return [each for each in found if each is not None]


def _tree(filed: Sequence[tuple[_Entry, Facts]]) -> _Node | Leaf:
    return tuple(entry for entry, _ in filed) if len(filed) <= _LEAF else _Node(filed)


def _grouped(
    filed: Sequence[tuple[_Entry, Facts]],
) -> dict[_Family, dict[Any, list[tuple[_Entry, Facts]]]]:
    """Every entry under its rarest fact, with the facts that are left for the level below."""
    counts = Counter(fact for _, facts in filed for fact in _values(facts))
    families = Counter(family for _, facts in filed for family in facts)
    groups: dict[_Family, dict[Any, list[tuple[_Entry, Facts]]]] = defaultdict(lambda: defaultdict(list))
    for entry, facts in filed:
        if facts:
            rarest = min(facts, key=lambda family: _rank(family, facts, counts, families))
            rest = {family: values for family, values in facts.items() if family != rarest}
            for value in facts[rarest]:
                groups[rarest][value].append((entry, rest))
    return groups


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
        self._roots = {kind: _tree(entries) for kind, entries in filed.items()}

    def match(self, event: Event) -> list[Match]:
        """The functions that ``event`` fires; of several patterns of one function the first that fits counts."""
        root = self._roots.get(event.type)
        if root is None:
            return []
        path = split(event.subject)
        found: list[_Entry] = []
        waiting = [root]
        while waiting:
            here = waiting.pop()
            if isinstance(here, _Node):
                found += here.entries
                waiting += here.below(path, event.data)
            else:
                found += here
        if len(found) > 1:
            found.sort(key=_order)
        matches: list[Match] = []
        for entry in found:
            if matches and matches[-1].function is entry.function:
                continue
            captures = entry.glob.match(path)
            if captures is not None and _hold(entry.where, event.data):
                matches.append(Match(entry.function, captures))
        return matches

    def wants(self, kind: str, subject: str) -> bool:
        """Whether some event of this type and subject could fire a function, whatever its data."""
        root = self._roots.get(kind)
        if root is None:
            return False
        path = split(subject)
        waiting = [root]
        while waiting:
            here = waiting.pop()
            if isinstance(here, _Node):
                entries = here.entries
                waiting += here.below_any(path)
            else:
                entries = here
            for entry in entries:
                if entry.glob.match(path) is not None:
                    return True
        return False


def _hold(conditions: tuple[Condition, ...], data: Data) -> bool:
    for condition in conditions:  # noqa: SIM110 - a generator costs more than the conditions
        if not condition.holds(condition.value(data)):
            return False
    return True


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
