"""Circles of functions: one writes what fires the next, and the last what fires the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from eventflow.event import covers
from eventflow.function import Function, globs
from eventflow.function_rules import written_globs
from eventflow.overlap import Comparison, TooIntricate
from eventflow.pattern import Glob

STEPS = 300_000
"""How much work all comparisons may be together: about half a second."""


class Circle(msgspec.Struct, frozen=True):
    """Full names in order, the first fired by the last. It ``runs`` when every one of them is ``chained``; else a file
    that the platform itself wrote stops there."""

    names: tuple[str, ...]
    runs: bool

    def __str__(self) -> str:
        way = " -> ".join((*self.names, self.names[0]))
        return f"{way} (runs for ever)" if self.runs else f"{way} (stopped where chained is false)"


def through(function: Function, others: Iterable[Function]) -> list[Circle]:
    """The shortest circle through ``function`` by each of the functions that its output may fire.

    Patterns are compared, not files: captures count as independent and conditions on the data are not looked at, so a
    circle may never close in practice. What is too intricate to compare counts as one that may.
    """
    known = {other.full_name: other for other in others} | {function.full_name: function}
    fired = _Fired(known)
    found: dict[tuple[str, ...], Circle] = {}
    for first in fired.by(function.full_name):
        way = _way(fired, first, function.full_name)
        if way is not None:
            names = (function.full_name, *way)
            found[names] = Circle(names, all(known[name].chained for name in names))
    return list(found.values())


def _way(fired: _Fired, start: str, goal: str) -> list[str] | None:
    """The shortest way from ``start`` until ``goal`` would be fired, without ``goal``."""
    came_from: dict[str, str | None] = {start: None}
    waiting = [start]
    for name in waiting:
        for after in fired.by(name):
            if after == goal:
                way: list[str] = []
                step: str | None = name
                while step is not None:
                    way.append(step)
                    step = came_from[step]
                return way[::-1]
            if after not in came_from:
                came_from[after] = name
                waiting.append(after)
    return None


class _Fired:
    """Which functions another one's output may fire, found when it is asked for."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._comparison = Comparison(STEPS)
        self._known: dict[str, list[str]] = {}
        self._patterns = [
            (name, glob)
            for name, function in functions.items()
            if function.when.type == "storage.written"
            for glob in globs(function)
        ]

    def by(self, name: str) -> list[str]:
        if name not in self._known:
            outputs = written_globs(self._functions[name])
            met = {other for output in outputs for other, glob in self._patterns if self._meet(output, glob)}
            self._known[name] = sorted(met - {name})
        return self._known[name]

    def _meet(self, output: Glob, pattern: Glob) -> bool:
        one, other = output.literal_directory, pattern.literal_directory
        if not (covers(one, other) or covers(other, one)):
            return False
        try:
            return self._comparison.common_path(pattern, output) is not None
        except TooIntricate:
            return True
