"""The forwarder: from the pipe that XRootD writes its notes to, to a Kafka topic.

While the broker is away events wait in memory; when too many wait, the pipe is left alone, and then XRootD's own queue
(``ofs.notify msgs``) fills. What waits is lost with this process: XRootD keeps no notes.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from kafka.errors import KafkaError

from faasfeeds.xrootd.notes import GRACE_S, Closed, Written, cloud_event, parse

log = logging.getLogger(__name__)

MOST_WAITING = 100_000
RETRY_S = 1.0
SEND_S = 30.0


class ForwarderState(msgspec.Struct, frozen=True, kw_only=True):
    """Events that Kafka has taken since the start, and those that wait because it did not take them."""

    topic: str
    sent: int = 0
    waiting: int = 0


class Forwarder:
    """Forwards the notes of one server.

    ``pipe`` is the FIFO of ``ofs.notify``, ``root`` the folder of ``oss.localroot``; ``source`` names the server in the
    events; ``producer`` makes a Kafka producer. ``state`` is a snapshot, for any thread to read.
    """

    def __init__(self, pipe: Path, root: Path, topic: str, source: str, producer: Callable[[], Any]) -> None:
        # Opened for writing too: a pipe without a writer would look ended between two runs of the server.
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        self._root = root
        self._topic = topic
        self._source = source
        self._make_producer = producer
        self._producer: Any = None
        self._rest = b""
        self._closed = Closed()
        self._waiting: list[dict[str, object]] = []
        self.state = ForwarderState(topic=topic)

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Forward until told to stop, and then what is at hand; ``beat`` is called after each turn."""
        try:
            while not stop.is_set():
                self.turn(GRACE_S)
                beat()
            time.sleep(GRACE_S)
            self.turn(0)
        finally:
            os.close(self._pipe)
            if self._waiting:
                log.error("%d events were not sent", len(self._waiting))
            self._hang_up()

    def turn(self, patience: float) -> None:
        """Wait up to ``patience`` seconds for notes, take them, and send the events whose time has come."""
        if len(self._waiting) < MOST_WAITING and select.select([self._pipe], [], [], patience)[0]:
            self._take()
        for path in self._closed.take(time.monotonic()):
            written = self._look(path)
            if written is not None:
                self._waiting.append(cloud_event(written, self._source))
        if self._waiting:
            self._send()

    def _take(self) -> None:
        *lines, self._rest = (self._rest + os.read(self._pipe, 1 << 16)).split(b"\n")
        for line in lines:
            note = parse(line)
            if note is not None:
                self._closed.note(note, time.monotonic())

    def _look(self, path: str) -> Written | None:
        """The file as it stands; None when it is gone, or no file."""
        try:
            found = (self._root / path.lstrip("/")).stat()
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return Written(path, found.st_size, found.st_ino, found.st_mtime_ns)

    def _send(self) -> None:
        """Send what waits and keep what the broker did not take."""
        before = len(self._waiting)
        try:
            if self._producer is None:
                self._producer = self._make_producer()
            futures = [self._produce(event) for event in self._waiting]
            self._waiting = [
                event for event, future in zip(self._waiting, futures, strict=True) if not self._arrived(future)
            ]
        except Exception as error:  # no broker, no topic, whatever its client meets: the events wait
            log.warning("%d events wait for Kafka: %s", len(self._waiting), error)
            self._hang_up()
        waiting = len(self._waiting)
        self.state = ForwarderState(topic=self._topic, sent=self.state.sent + before - waiting, waiting=waiting)
        if waiting:
            time.sleep(RETRY_S)

    def _hang_up(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=5)
            self._producer = None

    def _produce(self, event: dict[str, object]) -> Any:
        key = str(event["subject"]).encode()
        headers: Sequence[tuple[str, bytes]] = [("content-type", b"application/cloudevents+json")]
        return self._producer.send(self._topic, key=key, value=msgspec.json.encode(event), headers=list(headers))

    def _arrived(self, future: Any) -> bool:
        try:
            future.get(timeout=SEND_S)
        except KafkaError as error:
            log.warning("an event waits for Kafka: %s", error)
            return False
        return True
