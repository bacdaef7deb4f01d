"""Whether two path patterns can match one path, and an example of such a path.

Both are read as small automata and walked together; every pair of positions is visited once, so the cost is at
most the product of the two lengths, and bounded besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from eventflow.pattern import Glob, Segment

_ANY_RUN = object()
"""Any number of items, even none (``*`` among characters, ``**`` among segments)."""

_ANY_CHARACTER = object()

Common = Callable[[Any, Any], str | None]
"""What two items share; ``None`` for an item stands for anything."""


class TooIntricate(Exception):
    """It would take too long to tell."""


class Comparison:
    """Finds paths that two patterns share; ``steps`` is how much work all its comparisons may be together."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def common_path(self, one: Glob, other: Glob) -> str | None:
        """A path that both patterns match, or ``None`` when there is none; names of captures are not compared.

        Raises `TooIntricate` when the steps are used up.
        """
        path = self._meet(_items(one), _items(other), self._common_segment)
        return None if path is None else "".join("/" + segment for segment in path)

    def _common_segment(self, one: Segment | None, other: Segment | None) -> str | None:
        if one is not None and other is not None and one.literal is not None and other.literal is not None:
            return one.literal if one.literal == other.literal else None
        found = self._meet(_characters(one), _characters(other), _common_character)
        return None if found is None else "".join(found) or "x"

    def _meet(self, one: Sequence[Any], other: Sequence[Any], common: Common) -> list[str] | None:
        """One sequence that both describe."""
        start, goal = (0, 0), (len(one), len(other))
        came_from: dict[tuple[int, int], tuple[tuple[int, int], str | None]] = {start: (start, None)}
        waiting = [start]
        while waiting and goal not in came_from:
            self._left -= 1
            if self._left < 0:
                raise TooIntricate
            here = waiting.pop()
            for step, item in _steps(one, other, here, common):
                if step not in came_from:
                    came_from[step] = (here, item)
                    waiting.append(step)
        if goal not in came_from:
            return None
        found = []
        while goal != start:
            goal, item = came_from[goal]
            if item is not None:
                found.append(item)
        return found[::-1]


def _items(glob: Glob) -> list[Any]:
    return [_ANY_RUN if segment is None else segment for segment in glob.segments]


def _characters(segment: Segment | None) -> list[Any]:
    characters: list[Any] = []
    for part in segment.parts if segment else ():
        if isinstance(part, str):
            characters += part
        else:
            characters += [_ANY_CHARACTER, _ANY_RUN] if part.name else [_ANY_RUN]
    return characters if segment else [_ANY_RUN]


def _common_character(one: Any, other: Any) -> str | None:
    if one in (None, _ANY_CHARACTER):
        one, other = other, one
    if one in (None, _ANY_CHARACTER):
        return "x"
    return str(one) if other in (None, one) or other is _ANY_CHARACTER else None


def _steps(
    one: Sequence[Any], other: Sequence[Any], here: tuple[int, int], common: Common
) -> list[tuple[tuple[int, int], str | None]]:
    i, j = here
    a = one[i] if i < len(one) else None
    b = other[j] if j < len(other) else None
    steps: list[tuple[tuple[int, int], str | None]] = []
    if a is _ANY_RUN:
        steps.append(((i + 1, j), None))
    if b is _ANY_RUN:
        steps.append(((i, j + 1), None))
    if a is None or b is None or (a is _ANY_RUN and b is _ANY_RUN):
        return steps
    item = common(None if a is _ANY_RUN else a, None if b is _ANY_RUN else b)
    if item is not None:
        steps.append(((i + (a is not _ANY_RUN), j + (b is not _ANY_RUN)), item))
    return steps
