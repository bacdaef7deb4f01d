"""`make bench`: run every measurement, print a table, write bench.json.

Each module of this package with a function `measure` adds entries; with arguments, only the named modules run.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import platform
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests import bench
from tests.bench.result import Result


def machine() -> dict[str, object]:
    """What this was measured on; figures of two machines cannot be compared, ratios can."""
    cpu = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def main(names: list[str]) -> None:
    """Run the measurements of the modules in ``names``, or of all."""
    modules = [found.name for found in pkgutil.iter_modules(bench.__path__) if found.name not in ("__main__", "result")]
    results: dict[str, Result] = {}
    for name in names or modules:
        print(f"measuring {name}", file=sys.stderr)
        results |= importlib.import_module(f"tests.bench.{name}").measure()
    document = {"machine": machine(), "results": {name: result.row() for name, result in results.items()}}
    Path("bench.json").write_text(json.dumps(document, indent=2) + "\n")
    table = Table("measurement", "value", "unit", "yardstick", "ratio")
    for name, result in results.items():
        yardstick = "" if result.yardstick is None else f"{result.yardstick:.3g}"
        ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
        table.add_row(name, f"{result.value:.4g}", result.unit, yardstick, ratio)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
