"""A matcher that is slow and plainly right, for the fast one to be compared with."""

from __future__ import annotations

from functools import cache

from eventflow.pattern import Glob, Segment


def naive_match(glob: Glob, path: tuple[str, ...]) -> bool:
    """Whether ``glob`` matches, by trying every possibility."""

    @cache
    def from_here(i: int, j: int) -> bool:
        if i == len(glob.segments):
            return j == len(path)
        segment = glob.segments[i]
        if segment is None:
            return any(from_here(i + 1, k) for k in range(j, len(path) + 1))
        return j < len(path) and _segment(segment, path[j]) and from_here(i + 1, j + 1)

    return from_here(0, 0)


def _segment(segment: Segment, text: str) -> bool:
    @cache
    def from_here(i: int, j: int) -> bool:
        if i == len(segment.parts):
            return j == len(text)
        part = segment.parts[i]
        if isinstance(part, str):
            return text.startswith(part, j) and from_here(i + 1, j + len(part))
        return any(from_here(i + 1, k) for k in range(j + bool(part.name), len(text) + 1))

    return from_here(0, 0)
