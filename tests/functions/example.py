"""The example functions, called as the job's runner calls them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventflow.function import Function
from faasctl import bundle
from faasctl.functions.file import load

Main = Callable[[dict[str, Any]], dict[str, Any]]


def example(name: str) -> tuple[Function, Main]:
    """A function of ``manifests/functions`` and its ``main``."""
    folder = bundle.manifests() / "functions" / name
    function = load(folder)
    spec = importlib.util.spec_from_file_location(name, folder / str(function.run.main))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return function, module.main


def event(function: Function, source: Path, output: Path, subject: str, **params: Any) -> dict[str, Any]:
    """What ``main`` gets for a file that is here already."""
    return {
        "subject": subject,
        "read": {"path": subject, "local": str(source)},
        "write": {"local": str(output)},
        "params": {**function.params, **params},
    }
