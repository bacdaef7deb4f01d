"""One measured figure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import msgspec


class Result(msgspec.Struct, frozen=True):
    """A value with its unit; ``yardstick`` is what it is held against, measured in the same run."""

    value: float
    unit: str
    yardstick: float | None = None
    ratio: float | None = None

    def row(self) -> dict[str, object]:
        """The entry in bench.json."""
        return {"value": self.value, "unit": self.unit, "yardstick": self.yardstick, "ratio": self.ratio}


def against(value: float, unit: str, yardstick: float) -> Result:
    """A value with its ratio to a yardstick."""
    return Result(round(value, 4), unit, round(yardstick, 4), round(value / yardstick, 3))


def times_as_fast(value: float, unit: str, yardstick: float) -> Result:
    """A duration with the ratio that says how many times as fast as its yardstick it is."""
    return Result(round(value, 4), unit, round(yardstick, 4), round(yardstick / value, 2))


def median_ms(action: Callable[[], object], times: int) -> float:
    """The median duration of an action, in milliseconds."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(taken)
