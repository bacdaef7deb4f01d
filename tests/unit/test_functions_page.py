"""The page about functions shows every key, with values that are right."""

from __future__ import annotations

import re
from typing import Any

from eventflow import function
from eventflow.function import Function, Limits, Resources, Run, When
from eventflow.job import runner
from faasctl import bundle, strict_yaml

PAGE = (bundle.root() / "docs" / "functions.md").read_text()


def example() -> dict[str, Any]:
    block = PAGE.split("```yaml\n")[1].split("```")[0]
    found = strict_yaml.parse(block.encode(), "functions.md").value
    assert isinstance(found, dict)
    return found


def test_the_example_is_a_function() -> None:
    assert function.decode(example()).full_name == "belle.calibrate"


def test_every_key_is_in_it() -> None:
    shown = example()
    for kind, keys in [
        (Function, shown.keys()),
        (When, shown["when"].keys()),
        (Run, shown["run"].keys() | {"command"}),
        (Resources, shown["resources"].keys()),
        (Limits, shown["limits"].keys()),
    ]:
        assert set(kind.__struct_fields__) == set(keys)
    assert "command: [" in PAGE


def test_the_exit_codes_are_the_runners() -> None:
    listed = PAGE.partition("Exit codes:")[2].partition("##")[0]
    names = ("DONE", "INPUT_REFUSED", "INPUT_TRANSIENT", "FUNCTION_FAILED", "WRONG_INTERPRETER", "TOKEN_EXPIRED")
    told = {int(code) for code in re.findall(r"\b(\d+)\b", listed)}
    assert {getattr(runner, name) for name in names} <= told
    assert told == {0, 10, 11, 12, 13, 20, 21, 30, 31, 40}
