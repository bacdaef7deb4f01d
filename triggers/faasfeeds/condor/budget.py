"""The failure budget: how many jobs of a function may fail one after the other before it is paused. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from faasfeeds.outcomes import Outcome

NO_FAULT = frozenset({"exit_12", "exit_13", "exit_40"})
"""Ends that say nothing of the function: its input is on tape, gone or superseded, or its tokens ran out."""


class Budget:
    """Counts failures in a row, by function and version: a new version begins anew, and so does a watcher."""

    def __init__(self, allowed: Mapping[str, int], default: int) -> None:
        self._allowed = allowed
        self._default = default
        self._failures: dict[tuple[str, str], int] = {}

    def spend(self, several: Iterable[Outcome]) -> list[tuple[str, str, int]]:
        """Count; returns the functions whose budget is used up now, with the version that failed and how often.

        Only jobs that ran count, and none that ended for want of their input: what was removed, or expired in the
        queue, says nothing of the function.
        """
        over = []
        for one in several:
            place = (one.function or "", one.version or "")
            if one.outcome == "completed":
                self._failures.pop(place, None)
            elif one.outcome == "failed" and one.code not in NO_FAULT:
                count = self._failures[place] = self._failures.get(place, 0) + 1
                allowed = self._allowed.get(place[0].partition(".")[0], self._default)
                if allowed and count >= allowed:
                    over.append((*place, count))
                    del self._failures[place]
        return over
