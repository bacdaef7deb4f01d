"""Why a cluster cannot be reached, in words that name the setting at fault.

kafka-python says "Unable to bootstrap" for a wrong password, a wrong CA, a wrong port and a wrong protocol alike. The
cause stands only in its log, so that is listened to while a connection is made.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kafka.errors import KafkaConfigurationError, KafkaError

from eventflow.errors import FaasError

_CAUSES: Sequence[tuple[str, str, str]] = (
    (r"SaslAuthenticationFailed|invalid credentials", "the user name or password is wrong", "username, password"),
    (r"UnsupportedSaslMechanism", "the brokers do not offer this SASL mechanism", "mechanism"),
    (r"IllegalSaslState", "the port wants no SASL", "protocol, or the port"),
    (r"not valid for|[Hh]ostname mismatch", "the certificate is not the host's", "the host name, or the ca"),
    (r"CERTIFICATE_VERIFY_FAILED", "the certificate is not signed by this CA", "ca"),
    (r"No such file or directory|NO_CERTIFICATE_OR_CRL|PEM", "the CA file cannot be read", "ca"),
    (r"UNEXPECTED_EOF|WRONG_VERSION_NUMBER|SSLEOF", "the port does not speak TLS", "protocol, or the port"),
    (r"Invalid frame length", "the port speaks something else, as it seems TLS", "protocol, or the port"),
    (r"ECONNREFUSED|Connection refused", "nothing listens there", "bootstrap_servers"),
    (r"Name or service not known|gaierror|getaddrinfo|DNS", "the host name is not known", "bootstrap_servers"),
    (r"socket disconnected|Connection reset", "the brokers hang up: SASL or TLS is missing", "protocol, mechanism"),
)
"""What the log says, what it means, and which of the environment's Kafka settings to look at; the surest first."""


class Unreachable(FaasError):
    """The Kafka cluster cannot be reached with these settings."""


@contextmanager
def explained(servers: Sequence[str]) -> Iterator[None]:
    """Turn the client's failure to connect within the block into an `Unreachable` that names the cause."""
    listener = _Listener()
    logger = logging.getLogger("kafka.net")
    logger.addHandler(listener)
    try:
        yield
    except (KafkaError, KafkaConfigurationError, OSError, ValueError) as error:
        why, setting = diagnosis([*listener.lines, f"{type(error).__name__}: {error}"])
        hint = f"look at kafka.{setting} in the environment" if setting else "is the broker up?"
        raise Unreachable(why, where=f"kafka {', '.join(servers)}", hint=hint) from None
    finally:
        logger.removeHandler(listener)


def diagnosis(lines: Sequence[str]) -> tuple[str, str]:
    """What a client's log lines mean, and the setting to look at; pure."""
    for pattern, meaning, setting in _CAUSES:
        for line in lines:
            if re.search(pattern, line):
                return meaning, setting
    return f"no answer: {lines[-1][:300]}", ""


class _Listener(logging.Handler):
    """Keeps the last lines about lost and failed connections."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if len(self.lines) < 200:
            self.lines.append(text[:500])
