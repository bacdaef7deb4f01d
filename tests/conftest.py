"""What holds for every test."""

import os
import signal

import pytest
from hypothesis import settings


def pytest_configure() -> None:
    """A shell that starts the tests in the background has them ignore SIGINT, and what they start would, too. A run
    that decides about a change looks at the same examples each time; new ones are found at desks."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("decides", derandomize=True)
    if os.environ.get("FAAS_REQUIRE_PARTS"):
        settings.load_profile("decides")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files run side by side; the feed's stay together, since they share a site that takes long to start."""
    for item in items:
        group = item.path.parent if item.path.parent.name == "feed" else item.path
        item.add_marker(pytest.mark.xdist_group(group.stem))
