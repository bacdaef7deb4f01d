"""How a local service tells its parent that it listens: one line of JSON on stdout."""

from __future__ import annotations

import json


def ready(**facts: object) -> None:
    """Print the line, e.g. ``ready(port=8080)``."""
    print(json.dumps({"ready": True, **facts}), flush=True)
