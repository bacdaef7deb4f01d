"""Which offsets may be committed: never past a record that is not settled."""

from __future__ import annotations

from collections.abc import Mapping

from eventflow.batch import Origin

Partition = tuple[str, int]


class Progress:
    """Counts records in and out, per partition. No I/O."""

    def __init__(self) -> None:
        self._open: dict[Partition, set[int]] = {}
        self._next: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}

    def received(self, origin: Origin) -> None:
        """A record was read and is now in flight."""
        partition = (origin.topic, origin.partition)
        self._open.setdefault(partition, set()).add(origin.offset)
        self._next[partition] = max(self._next.get(partition, 0), origin.offset + 1)

    def settled(self, origin: Origin) -> None:
        """Everything about a record is final."""
        self._open.get((origin.topic, origin.partition), set()).discard(origin.offset)

    def in_flight(self) -> int:
        """How many records are not settled."""
        return sum(map(len, self._open.values()))

    def committable(self) -> Mapping[Partition, int]:
        """The next offset to read after a crash, for the partitions where it moved since `committed`."""
        moved = {}
        for partition, following in self._next.items():
            waiting = self._open.get(partition)
            offset = min(waiting) if waiting else following
            if offset > self._committed.get(partition, -1):
                moved[partition] = offset
        return moved

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """These offsets are safe in Kafka."""
        self._committed.update(offsets)

    def forget(self, partition: Partition) -> None:
        """The partition belongs to another consumer now."""
        for known in (self._open, self._next, self._committed):
            known.pop(partition, None)
