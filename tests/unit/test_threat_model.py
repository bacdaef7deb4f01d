"""The threat model names the test that shows each of its claims: they must be there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`((?:unit|contract|integration|e2e)/test_\w+\.py)`", _page()))
    assert len(named) >= 8
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).exists()] == []


def test_every_row_says_which_test_shows_it() -> None:
    rows = [line for line in _page().splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 10
    assert [row for row in rows if not row.rstrip(" |").rpartition("|")[2].strip()] == []


def _page() -> str:
    return (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
