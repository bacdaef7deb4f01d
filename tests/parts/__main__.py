"""`make parts`: fetch the real servers and clients that the tests use, once, into `.parts`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from _pytest.outcomes import OutcomeException

from tests.parts import htcondor, kafka, npm, prometheus, xrootd

PARTS: dict[str, Callable[[], Path]] = {
    "Apache Kafka": kafka.jars,
    "HTCondor": htcondor.prefix,
    "XRootD": xrootd.prefix,
    "npm clients of OpenWhisk": npm.clients,
    "Prometheus's promtool": prometheus.promtool,
}


def main() -> int:
    """Prepare every part; returns how many cannot be had on this machine."""
    lacking = 0
    for name, prepare in PARTS.items():
        began = time.monotonic()
        try:
            place = prepare()
            print(f"{name}: {place} ({time.monotonic() - began:.1f} s)")
        except OutcomeException as refusal:
            lacking += 1
            print(f"{name}: not on this machine: {refusal.msg}")
    return lacking


if __name__ == "__main__":
    sys.exit(main())
