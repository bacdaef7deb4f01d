"""One site for all tests of the feed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parts import feed
from tests.parts.feed import Site


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two providers on a real Kafka, in front of a platform whose jobs wait, with a second storage."""
    with feed.running(tmp_path_factory.mktemp("site"), providers=2, far=True) as found:
        yield found
