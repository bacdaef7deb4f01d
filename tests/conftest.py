"""What holds for every test."""

import os
import signal

from hypothesis import settings


def pytest_configure() -> None:
    """A shell that starts the tests in the background has them ignore SIGINT, and what they start would, too. A run
    that decides about a change looks at the same examples each time; new ones are found at desks."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("decides", derandomize=True)
    if os.environ.get("FAAS_REQUIRE_PARTS"):
        settings.load_profile("decides")
