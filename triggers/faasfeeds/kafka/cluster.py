"""Connections to a Kafka cluster, with the settings that were measured to be right.

- never `auto_offset_reset=latest`: it loses what is written to a partition that was added a moment ago;
- no incremental fetch sessions: with several partitions and a lag, polls wait the whole `fetch_max_wait_ms` though
  data is there (3 times slower);
- `fetch_max_bytes` is what bounds a consumer's memory, not `max_poll_records`; and a poll takes all that was fetched,
  since kafka-python 3.0.12 forgets what is left of a partition that is paused meanwhile: after `resume` it comes back
  only if no other partition's answer, be it empty, was looked at since (`Fetcher.fetched_records`);
- an idempotent producer dies for good of one record that the broker refuses; one request in flight at a time keeps
  the order without idempotence;
- without the `crc32c` package kafka-python is ten times slower and says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import crc32c  # noqa: F401  kafka-python degrades silently without it
import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import TopicAlreadyExistsError

from faasfeeds.kafka.connecting import Unreachable, explained
from faasfeeds.kafka.knocking import knock

LARGEST_RECORD = 16 * 2**20
"""Bytes of one record that the producer hands to a broker; whether it is too large is the topic's to say."""

FIRST_CONNECT_MS = 2500
CONNECT_MS = 10_000
"""The client goes on trying for as long as it is given, also with a wrong password: so it is asked early what it found,
and given its time only when that may pass."""

MOCK_FETCH_WAIT_MS = 10
"""librdkafka's mock cluster, which needs a pinned `api_version`, lets a waiting fetch wait on when data comes."""

MOCK_READER_WAIT_MS = 100
"""And for what is only followed, where a hundred questions a second would be for nothing."""


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the brokers; ``ca`` is a file."""

    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str | None = None
    password: str | None = None
    ca: str | None = None

    def __repr__(self) -> str:
        return f"Security({self.protocol!r}, {self.mechanism!r}, {self.username!r})"


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """One Kafka cluster. ``api_version`` is pinned for brokers that announce none properly.

    Every method raises `Unreachable`, with the cause, when nothing listens there, or the brokers do not answer within
    10 s.
    """

    bootstrap_servers: tuple[str, ...]
    api_version: tuple[int, ...] | None = None
    security: Security = Security()

    def consumer(self, group: str) -> Any:
        """A consumer of a group that commits only what it is told to."""
        return self._made(KafkaConsumer, **self._reading(MOCK_FETCH_WAIT_MS), group_id=group)

    def reader(self) -> Any:
        """A consumer of no group, for topics that are read from end to end."""
        return self._made(KafkaConsumer, **self._reading(MOCK_READER_WAIT_MS), group_id=None)

    def producer(self, *, linger_ms: int = 0) -> Any:
        """A producer that keeps the order, waits for all replicas, and survives a refused record."""
        return self._made(
            KafkaProducer,
            linger_ms=linger_ms,
            batch_size=131_072,
            acks="all",
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            max_request_size=LARGEST_RECORD,
            delivery_timeout_ms=30_000,
            request_timeout_ms=20_000,
            max_block_ms=10_000,
        )

    def admin(self) -> Any:
        """An administrator's client."""
        return self._made(KafkaAdminClient)

    def ensure_topics(self, topics: Mapping[str, Mapping[str, str]]) -> None:
        """Create those of the topics (name: settings) that do not exist, with the cluster's own defaults.

        A broker before 2.4 has none, so it is left to create them when they are first used.
        """
        if self.api_version is not None and self.api_version < (2, 4):
            return
        with self.explained():
            reader = self.reader()
            try:
                missing = {name: settings for name, settings in topics.items() if not reader.partitions_for_topic(name)}
            finally:
                reader.close()
            if not missing:
                return
            admin = self.admin()
            try:
                for name, settings in missing.items():
                    try:
                        admin.create_topics({name: {"configs": dict(settings)}}, wait_for_metadata=True)
                    except TopicAlreadyExistsError:  # another replica was quicker
                        continue
            finally:
                admin.close()

    def explained(self) -> AbstractContextManager[None]:
        """A block whose failures to get an answer of the brokers are raised as `Unreachable`, with the cause."""
        return explained(self.bootstrap_servers, self.security.protocol, self.security.mechanism)

    def _made(self, kind: Any, **settings: Any) -> Any:
        with self.explained():
            knock(self.bootstrap_servers)
        try:
            return self._connected(kind, FIRST_CONNECT_MS, settings)
        except Unreachable as error:
            if error.cause.lasting and error.cause.sure:
                raise
        return self._connected(kind, CONNECT_MS, settings)

    def _connected(self, kind: Any, patience_ms: int, settings: Mapping[str, Any]) -> Any:
        with self.explained():
            return kind(**self._common(), bootstrap_timeout_ms=patience_ms, **settings)

    def _reading(self, mock_wait_ms: int) -> dict[str, Any]:
        return _READING if self.api_version is None else {**_READING, "fetch_max_wait_ms": mock_wait_ms}

    def _common(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap_servers),
            "security_protocol": self.security.protocol,
            "reconnect_backoff_max_ms": 1000,
            "metadata_max_age_ms": 10_000,
        }
        if self.api_version is not None:
            settings["api_version"] = self.api_version
        if self.security.mechanism is not None:
            settings["sasl_mechanism"] = self.security.mechanism
            settings["sasl_plain_username"] = self.security.username
            settings["sasl_plain_password"] = self.security.password
        if self.security.ca is not None:
            settings["ssl_cafile"] = self.security.ca
        return settings


_READING: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 1000,
    "max_poll_interval_ms": 60_000,
    "max_poll_records": 1_000_000,
    "fetch_max_bytes": 4 * 2**20,
    "enable_incremental_fetch_sessions": False,
}
