"""Connections to a Kafka cluster, with the settings that were measured to be right.

- never `auto_offset_reset=latest`: it loses what is written to a partition that was added a moment ago;
- no incremental fetch sessions: with several partitions and a lag, polls wait the whole `fetch_max_wait_ms` though
  data is there (3 times slower);
- `fetch_max_bytes` is what bounds a consumer's memory, not `max_poll_records`;
- without the `crc32c` package kafka-python is ten times slower and says nothing.
"""

from __future__ import annotations

from typing import Any

import crc32c  # noqa: F401  kafka-python degrades silently without it
import msgspec
from kafka import KafkaConsumer, KafkaProducer


MOCK_FETCH_WAIT_MS = 10
"""librdkafka's mock cluster, which needs a pinned `api_version`, lets a waiting fetch wait on when data comes."""


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the brokers; ``ca`` is a file."""

    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str | None = None
    password: str | None = None
    ca: str | None = None


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """One Kafka cluster. ``api_version`` is pinned for brokers that announce none properly."""

    bootstrap_servers: tuple[str, ...]
    api_version: tuple[int, ...] | None = None
    security: Security = Security()

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

    def consumer(self, group: str) -> Any:
        """A consumer of a group that commits only what it is told to."""
        return KafkaConsumer(
            **self._common(),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1000,
            max_poll_interval_ms=60_000,
            fetch_max_bytes=4 * 2**20,
            enable_incremental_fetch_sessions=False,
            fetch_max_wait_ms=500 if self.api_version is None else MOCK_FETCH_WAIT_MS,
        )

    def producer(self) -> Any:
        """A producer whose order survives retries; to be made anew after a fatal error."""
        return KafkaProducer(**self._common(), linger_ms=0, batch_size=131_072)
