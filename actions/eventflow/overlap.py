"""Whether two path patterns can match one path, and an example of such a path.

Both are read as small automata and walked together; every pair of positions is visited once, so the cost is at
most the product of the two lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from eventflow.pattern import Glob, Segment, Wild

_ANY_RUN = object()
"""Any number of items, even none (``*`` among characters, ``**`` among segments)."""

_ANY_CHARACTER = object()


def common_path(left: Glob, right: Glob) -> str | None:
    """A path that both patterns match, or ``None`` when there is none; names of captures are not compared."""
    path = _meet(_items(left), _items(right), _common_segment)
    return None if path is None else "".join("/" + segment for segment in path)


def _items(glob: Glob) -> list[Any]:
    return [_ANY_RUN if segment is None else segment for segment in glob.segments]


def _common_segment(left: Any, right: Any) -> str | None:
    found = _meet(_characters(left), _characters(right), _common_character)
    return None if found is None else "".join(found) or "x"


def _characters(segment: Segment | None) -> list[Any]:
    characters: list[Any] = []
    for part in segment.parts if segment else (Wild(None),):
        if isinstance(part, str):
            characters += part
        else:
            characters += [_ANY_CHARACTER, _ANY_RUN] if part.name else [_ANY_RUN]
    return characters


def _common_character(left: Any, right: Any) -> str | None:
    if left in (None, _ANY_CHARACTER):
        left, right = right, left
    if left in (None, _ANY_CHARACTER):
        return "x"
    return str(left) if right in (None, left) or right is _ANY_CHARACTER else None


def _meet(left: Sequence[Any], right: Sequence[Any], common: Callable[[Any, Any], str | None]) -> list[str] | None:
    """One sequence that both describe; ``common`` gives what two items share (``None``: anything)."""
    start, goal = (0, 0), (len(left), len(right))
    came_from: dict[tuple[int, int], tuple[tuple[int, int], str | None]] = {start: (start, None)}
    waiting = [start]
    while waiting and goal not in came_from:
        here = waiting.pop()
        for step, item in _steps(left, right, here, common):
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


def _steps(
    left: Sequence[Any],
    right: Sequence[Any],
    here: tuple[int, int],
    common: Callable[[Any, Any], str | None],
) -> list[tuple[tuple[int, int], str | None]]:
    i, j = here
    a = left[i] if i < len(left) else None
    b = right[j] if j < len(right) else None
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
