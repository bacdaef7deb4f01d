"""One platform for all end-to-end tests that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parts.platform import FUNCTIONS, Platform, running


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The local stack with `calibrate` and `uncompress`."""
    folder = tmp_path_factory.mktemp("stack")
    with running(folder, [FUNCTIONS / "calibrate", FUNCTIONS / "uncompress"]) as found:
        yield found
