"""What a service tells systemd (sd_notify(3)): that it is ready, that it lives, that it stops.

The watchdog is fed by whoever works, so that a service that hangs is started again; it says nothing of Kafka, which
may be away for hours without anything being wrong here.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Systemd:
    """The connection to the supervisor, as the variables it set say; every method does nothing when it set none."""

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        address = variables.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._interval = int(variables.get("WATCHDOG_USEC", "0")) / 1e6 / 3
        self._told_at = -1e9

    def ready(self, status: str) -> None:
        """The service does its work from now on."""
        self._tell(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """The work goes on; call it often, it is passed on three times per watchdog interval."""
        if self._interval and time.monotonic() - self._told_at > self._interval:
            self._told_at = time.monotonic()
            self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The service was asked to end, and ends what it has begun."""
        self._tell("STOPPING=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            try:
                connection.sendto(text.encode(), self._address)
            except OSError:  # a supervisor that is gone must not end the service
                return
