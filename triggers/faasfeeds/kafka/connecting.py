"""Why a cluster cannot be reached, in words that name the setting at fault.

kafka-python says "Unable to bootstrap" for a wrong password, a wrong CA, a wrong port and a wrong protocol alike, and
nothing but "timeout" when that comes to be later. The cause stands only in its log, so that is listened to.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from kafka.errors import KafkaConfigurationError, KafkaError

from eventflow.errors import FaasError
from faasfeeds.kafka import knocking

log = logging.getLogger(__name__)

AGAIN_S = 1.0
"""Seconds between two attempts to reach brokers that are away."""


class Cause(msgspec.Struct, frozen=True):
    """What is the matter, and which of the environment's Kafka settings to look at.

    ``lasting`` says that only other settings help, not time; ``sure`` that no more needs to be heard of it.
    """

    why: str
    setting: str = ""
    lasting: bool = True
    sure: bool = True


_PASSWORD = Cause("the user name or password is wrong", "security.username and security.password")
_NO_SASL = Cause("the brokers want SASL", "security.protocol and security.mechanism")
_HUNG_UP = Cause("the brokers hang up", "security.protocol, or the port", sure=False)
_TLS = Cause("the port speaks something else, as it seems TLS", "security.protocol, or the port")

_CAUSES: Sequence[tuple[str, Cause]] = (
    (r"SaslAuthenticationFailed|UnsupportedSaslMechanism|invalid credentials", _PASSWORD),
    (r"IllegalSaslState", Cause("the port wants no SASL", "security.protocol, or the port")),
    (
        r"not valid for|[Hh]ostname mismatch",
        Cause("the certificate is not the host's", "bootstrap_servers, or security.ca"),
    ),
    (r"certificate has expired", Cause("the brokers' certificate has expired", lasting=False)),
    (r"CERTIFICATE_VERIFY_FAILED", Cause("the certificate is not signed by this CA", "security.ca")),
    (r"No such file or directory|NO_CERTIFICATE_OR_CRL|PEM", Cause("the CA file cannot be read", "security.ca")),
    (r"WRONG_VERSION_NUMBER", Cause("the port does not speak TLS", "security.protocol, or the port")),
    (r"Invalid frame length", _TLS),
    (r"AuthorizationFailed", Cause("the user may not do what it has to", "security.username, and at the ACLs")),
    (r"ECONNREFUSED|Connection refused", Cause("nothing listens there", "bootstrap_servers", lasting=False)),
    (
        r"Name or service not known|gaierror|getaddrinfo|DNS",
        Cause("the host name is not known", "bootstrap_servers", lasting=False),
    ),
    (r"UNEXPECTED_EOF|SSLEOF", Cause("the port does not speak TLS", "security.protocol, or the port")),
)
"""What the log says, and what that means; the surest first. Brokers that go down hang up, too, before nothing listens
there any more."""

_HANGS_UP = r"socket disconnected|Connection reset"
_HANGS_UP_LATE = rf"broker_version=\(.*({_HANGS_UP})"
"""Once a broker has told its version, only the login is left to be refused; over TLS the client drops the refusal."""


class Unreachable(FaasError):
    """The Kafka cluster cannot be reached with these settings, for a cause."""

    def __init__(self, cause: Cause, servers: Sequence[str]) -> None:
        hint = f"look at kafka.{cause.setting} in the environment" if cause.setting else "are the brokers well?"
        super().__init__(cause.why, where=f"kafka {', '.join(servers)}", hint=hint)
        self.cause = cause


@contextmanager
def explained(servers: Sequence[str], protocol: str, mechanism: str | None) -> Iterator[None]:
    """Turn the client's failure to connect, or to get an answer, within the block into an `Unreachable` that names the
    cause. ``protocol`` and ``mechanism`` are those that the client speaks, in Kafka's words."""
    listener = _Listener()
    logger = logging.getLogger("kafka.net")
    logger.addHandler(listener)
    try:
        yield
    except (KafkaError, KafkaConfigurationError, OSError, ValueError) as error:
        cause = diagnosis([*listener.lines, f"{type(error).__name__}: {error}"], protocol)
        raise Unreachable(_sharpened(cause, servers, protocol, mechanism), servers) from None
    finally:
        logger.removeHandler(listener)


def diagnosis(lines: Sequence[str], protocol: str) -> Cause:
    """What the log lines of a client that speaks ``protocol`` mean; pure."""
    for pattern, cause in _CAUSES:
        if any(re.search(pattern, line) for line in lines):
            return cause
    if any(re.search(_HANGS_UP_LATE, line) for line in lines):
        return _PASSWORD if protocol.startswith("SASL") else _NO_SASL
    if any(re.search(_HANGS_UP, line) for line in lines):
        return _HUNG_UP
    return Cause(f"no answer: {lines[-1][:300]}", lasting="Configuration" in lines[-1], sure=False)


def _sharpened(cause: Cause, servers: Sequence[str], protocol: str, mechanism: str | None) -> Cause:
    """The cause, or a better one that the brokers themselves tell, as far as they can be asked."""
    tls = protocol.endswith("SSL")
    for server in servers:
        try:
            if cause == _HUNG_UP and not tls and knocking.speaks_tls(server):
                return _TLS
            offered = knocking.mechanisms(server, tls=tls) if cause == _PASSWORD else []
            if offered and mechanism not in offered:
                why = f"the brokers do not offer the SASL mechanism {mechanism}, but {', '.join(offered)}"
                return Cause(why, "security.mechanism")
        except (OSError, ValueError):
            continue
    return cause


def patiently(attempt: Callable[[], None], stop: threading.Event, alive: Callable[[], None]) -> None:
    """Call ``attempt`` until it reaches the brokers or ``stop`` is set, and ``alive`` meanwhile.

    Raises `Unreachable` at once when waiting would not help.
    """
    said = ""
    while not stop.is_set():
        alive()
        try:
            attempt()
        except Unreachable as error:
            if error.cause.lasting:
                raise
            if str(error) != said:
                log.warning("waiting for Kafka: %s (%s)", error, error.hint)
            said = str(error)
            stop.wait(AGAIN_S)
        else:
            if said:
                log.info("Kafka is reached")
            return


class _Listener(logging.Handler):
    """Keeps the last lines about lost and failed connections."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if len(self.lines) < 200:
            self.lines.append(text[:500])
