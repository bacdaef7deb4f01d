"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """A shell that starts the tests in the background has them ignore SIGINT, and what they start would, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
