"""What an action writes, as log lines with the time at which they arrived, bounded."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NamedTuple


class LogLine(NamedTuple):
    """``when`` in seconds since the epoch; ``text`` without its newline."""

    when: float
    stream: str
    text: str


def render(line: LogLine) -> str:
    """As OpenWhisk stores it: ``f"$time%-30s $stream: $log"`` (DockerToActivationLogStore.scala)."""
    when = datetime.fromtimestamp(line.when, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return f"{when:<30} {line.stream}: {line.text}"


class LogStream:
    """One stream of a container. Bytes come in; complete lines are taken out, once for each activation."""

    def __init__(self, name: str, limit: int) -> None:
        """``limit`` bytes are kept between two takes, the rest is dropped."""
        self._name = name
        self._limit = limit
        self._chunks: list[tuple[float, bytes]] = []
        self._kept = 0
        self.truncated = False

    def write(self, chunk: bytes, /) -> None:
        room = self._limit - self._kept
        if len(chunk) > room:
            self.truncated = True
            chunk = chunk[:room]
        if chunk:
            self._kept += len(chunk)
            self._chunks.append((time.time(), chunk))

    def end(self) -> None:
        """Nothing to note: lines are taken before the next activation begins."""

    def take(self) -> list[LogLine]:
        """The lines since the last take; an unfinished last line counts as one."""
        lines: list[LogLine] = []
        rest = b""
        since = 0.0
        for when, chunk in self._chunks:
            if not rest:
                since = when
            *complete, rest = (rest + chunk).split(b"\n")
            for text in complete:
                lines.append(LogLine(since, self._name, text.decode("utf-8", "replace")))
                since = when
        if rest:
            lines.append(LogLine(since, self._name, rest.decode("utf-8", "replace")))
        self._chunks.clear()
        self._kept = 0
        self.truncated = False
        return lines
