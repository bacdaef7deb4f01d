"""Which of the platform's own modules a Python file needs, found by walking its imports."""

from __future__ import annotations

import ast
import importlib.util
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from faasctl.build.archive import BuildError

PACKAGES = ("eventflow", "faasfeeds")
"""The packages that travel inside an action's zip; everything else comes from its requirements."""

_PARSER = threading.Lock()
"""CPython 3.11 counts the parser's depth in one place for all threads (gh-106905), and actions are built in several."""


def package_roots() -> dict[str, Path]:
    """Where the platform's packages are installed."""
    roots = {}
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            roots[name] = Path(next(iter(spec.submodule_search_locations)))
    return roots


def needed_modules(files: Iterable[Path], roots: dict[str, Path] | None = None) -> dict[str, Path]:
    """The modules of `PACKAGES` that ``files`` import, directly or through others: name in the zip -> file.

    A package's ``__init__.py`` comes with each of its modules, and the files beside it that its ``__shipped__`` lists.
    Imports under ``if TYPE_CHECKING`` do not count.
    """
    roots = package_roots() if roots is None else roots
    found: dict[str, Path] = {}
    todo = [(file, "") for file in files]
    while todo:
        file, package = todo.pop()
        for module in _imported(file, package):
            for name, source in _files_of(module, roots):
                if name not in found:
                    found[name] = source
                    own = name.removesuffix(".py").removesuffix("/__init__")
                    inner = own if name.endswith("__init__.py") else own.rpartition("/")[0]
                    todo.append((source, inner.replace("/", ".")))
                    found |= {f"{inner}/{data}": source.parent / data for data in _shipped(source)}
    return found


def _files_of(module: str, roots: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """The file of a dotted name and the ``__init__.py`` of each package on the way; a trailing attribute is none."""
    parts = module.split(".")
    if parts[0] not in roots:
        return
    base = roots[parts[0]].parent
    for depth in range(1, len(parts) + 1):
        stem = "/".join(parts[:depth])
        for name in (f"{stem}/__init__.py", f"{stem}.py"):
            if (base / name).is_file():
                yield name, base / name


def _shipped(file: Path) -> tuple[str, ...]:
    for node in _parsed(file).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__shipped__"]:
            return tuple(ast.literal_eval(node.value))
    return ()


def _parsed(file: Path) -> ast.Module:
    try:
        with _PARSER:
            return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    except SyntaxError as error:
        raise BuildError(f"is no valid Python: {error.msg}", where=f"{file}:{error.lineno}") from None


def _imported(file: Path, package: str) -> Iterator[str]:
    stack: list[ast.AST] = [_parsed(file)]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            stack.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -(node.level - 1) or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        stack.extend(ast.iter_child_nodes(node))


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )
