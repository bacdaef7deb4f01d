"""The JSON schema of ``function.yaml``, for editors; made from the model, so that the two cannot differ.

``python -m faasctl.functions.schema`` prints it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from eventflow.function import ALSO, Function


def schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of what a person may write; finer checks are `faasctl fn check`'s."""
    parts = _alternatives(msgspec.json.schema(Function)["$defs"])
    function = {**parts.pop("Function"), "title": "function.yaml of faasctl", "$defs": parts}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **function}


def _alternatives(node: Any) -> Any:
    """Put what may be written instead beside each value that has such a form; join wrapped descriptions."""
    if isinstance(node, list):
        return [_alternatives(each) for each in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _alternatives(value) for name, value in node.items()}
    if isinstance(plain.get("description"), str):
        plain["description"] = " ".join(plain["description"].replace("``", "").split())
    if ALSO not in plain:
        return plain
    also = plain.pop(ALSO)
    default = {"default": plain.pop("default")} if "default" in plain else {}
    return {"anyOf": [plain, also], **default}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
