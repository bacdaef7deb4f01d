"""What an action writes, as log lines with the time at which they arrived, bounded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

SENTINEL = b"XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"
"""Ends each activation's output on both streams (openwhisk-runtime-go, executor.go)."""

END = SENTINEL.decode().rstrip()


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
        """``limit`` bytes are kept between two takes, the rest is counted and dropped."""
        self._name = name
        self._limit = limit
        self._chunks: list[tuple[float, bytes]] = []
        self._kept = 0
        self.truncated = False

    def write(self, chunk: bytes, when: float) -> None:
        room = self._limit - self._kept
        if len(chunk) > room:
            self.truncated = True
            chunk = chunk[:room]
        if chunk:
            self._kept += len(chunk)
            self._chunks.append((when, chunk))

    def take(self) -> list[LogLine]:
        """The lines since the last take; an unfinished last line counts as one, sentinels as none."""
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
        lines = [line._replace(text=line.text.removesuffix(END)) for line in lines if line.text != END]
        self._chunks.clear()
        self._kept = 0
        self.truncated = False
        return lines
