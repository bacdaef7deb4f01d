"""The JSON schema that editors use is the model's."""

import json
from typing import Any

from faasctl import bundle
from faasctl.functions.schema import schema


def test_the_committed_schema_is_what_the_model_says() -> None:
    committed = (bundle.manifests() / "function.schema.json").read_text()
    assert committed == json.dumps(schema(), indent=2) + "\n", (
        "run: python -m faasctl.functions.schema > manifests/function.schema.json"
    )


def test_what_people_write_for_sizes_durations_and_paths_is_in_it() -> None:
    # given
    parts: dict[str, Any] = schema()["$defs"]

    # then
    kinds = {each.get("type") for each in parts["Resources"]["properties"]["memory"]["anyOf"]}
    assert kinds == {"integer", "string"}
    assert parts["Resources"]["properties"]["memory"]["default"] == 2 * 10**9
    assert {each.get("type") for each in parts["When"]["properties"]["path"]["anyOf"]} == {"array", "string"}
