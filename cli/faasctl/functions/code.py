"""What is wrong with a function's code, found without running it.

The rules about light functions are what Apache OpenWhisk's Python runtime trips over (its ``bin/compile`` and
launcher); the others are what a Python worker would trip over hours later.
"""

from __future__ import annotations

import ast
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import msgspec

from eventflow.function import Function, globs
from eventflow.pattern import STAR, Glob, Template
from faasctl.functions.file import FILE_NAME

_HARMLESS = {"test", "this", "antigravity", "__main__", "idlelib", "turtledemo", "lib2to3"}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something found in a function: ``fatal`` when it cannot work, else worth knowing."""

    where: str
    why: str
    hint: str = ""
    fatal: bool = True


def check_code(folder: Path, function: Function) -> list[Finding]:
    """Everything that can be told of the folder's code before it runs, the fatal first."""
    found = [*_main(folder, function), *_command(folder, function), *_shadows(folder, function), *_output(function)]
    return sorted(found, key=lambda finding: not finding.fatal)


def _main(folder: Path, function: Function) -> Iterator[Finding]:
    name = function.run.main
    if name is None:
        return
    path = folder / name
    if not path.is_file():
        here = ", ".join(sorted(str(file.relative_to(folder)) for file in folder.rglob("*.py"))[:10]) or "none"
        why = f"run.main names {name}, which is not in the folder"
        yield Finding(where=str(folder / FILE_NAME), why=why, hint=f"Python files here: {here}")
        return
    content = path.read_bytes()
    light = function.run.backend == "openwhisk"
    if light and content.startswith(b"#!"):
        hint = "remove the line: the runtime takes a file that starts with #! for a compiled program"
        yield Finding(where=f"{path}:1", why="starts with #!", hint=hint)
    if light and content.startswith(b"\xef\xbb\xbf"):
        hint = "save it without: OpenWhisk's runtime does not accept it"
        yield Finding(where=f"{path}:1", why="starts with a byte order mark", hint=hint)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        yield Finding(where=f"{path}:{line}", why="is no UTF-8 text", hint="save it as UTF-8")
        return
    yield from _syntax(path, text, function)


def _syntax(path: Path, text: str, function: Function) -> Iterator[Finding]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            tree = ast.parse(text, filename=str(path))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            why = f"is no valid Python: {getattr(error, 'msg', None) or error}"
            yield Finding(where=f"{path}:{line}", why=why)
            return
    for warning in caught:
        if issubclass(warning.category, SyntaxWarning | DeprecationWarning):
            yield Finding(
                where=f"{path}:{warning.lineno}",
                why=str(warning.message),
                hint=r'write r"\d" or "\\d"; from Python 3.12 on this ends the start of a light function',
                fatal=function.run.backend == "openwhisk",
            )
    yield from _entry_point(path, tree)


def _entry_point(path: Path, tree: ast.Module) -> Iterator[Finding]:
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    mains = [node for node in defined if node.name == "main"]
    if not mains:
        if "main" not in _bound_names(tree):
            names = ", ".join(node.name for node in defined) or "none"
            hint = f"write def main(event): ...; functions there: {names}"
            yield Finding(where=str(path), why="has no function main", hint=hint)
        return
    main = mains[-1]
    where = f"{path}:{main.lineno}"
    if isinstance(main, ast.AsyncFunctionDef):
        yield Finding(where=where, why="main is async", hint="write def main(event) and asyncio.run(...) inside")
    elif _yields(main):
        yield Finding(where=where, why="main is a generator", hint="return one dict instead of yield")
    positional = [*main.args.posonlyargs, *main.args.args]
    needed = len(positional) - len(main.args.defaults)
    named = any(default is None for default in main.args.kw_defaults)
    if (not positional and main.args.vararg is None) or needed > 1 or named:
        why = "main is called with one argument, the event"
        yield Finding(where=where, why=why, hint="write def main(event): ...")


def _bound_names(tree: ast.Module) -> set[str]:
    """What a module binds otherwise than by ``def``: imports and assignments, also below ``if`` and ``try``."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
    return names


def _yields(main: ast.FunctionDef) -> bool:
    todo: list[ast.AST] = list(main.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(node))
    return False


def _command(folder: Path, function: Function) -> Iterator[Finding]:
    command = function.run.command
    if not command or "/" not in command[0] or command[0].startswith("/") or "{" in command[0]:
        return
    path = folder / command[0]
    where = str(folder / FILE_NAME)
    if not path.is_file():
        yield Finding(where=where, why=f"run.command starts {command[0]}, which is not in the folder")
    elif not os.access(path, os.X_OK):
        yield Finding(where=str(path), why="is not executable", hint=f"chmod +x {path}")


def _shadows(folder: Path, function: Function) -> Iterator[Finding]:
    for path in sorted(folder.iterdir()):
        module = path.stem if path.suffix == ".py" else path.name if (path / "__init__.py").is_file() else ""
        if module in sys.stdlib_module_names and module not in _HARMLESS:
            yield Finding(
                where=str(path),
                why=f"hides Python's own module {module}",
                hint="give it another name: whatever imports it would get this one",
                fatal=function.run.backend == "openwhisk" or path.name == function.run.main,
            )


def _output(function: Function) -> Iterator[Finding]:
    """Two files of one name in different directories must not write to one place."""
    if function.write is None:
        return
    used = Template(function.write).captures
    for i, glob in enumerate(globs(function)):
        if _mixes_directories(glob, used):
            yield Finding(
                where=f"{FILE_NAME}: when.path[{i}]",
                why="files of one name in different directories write to the same output directory",
                hint="capture the directories, as {run}, and use them in write",
                fatal=False,
            )


def _mixes_directories(glob: Glob, used: frozenset[str]) -> bool:
    last = len(glob.segments) - 1
    below = glob.segments[-1] is None and glob.segments[-2:] == (STAR, None)
    for segment in glob.segments[: last if not below else last - 1]:
        if segment is None:
            return True
        if any(not isinstance(part, str) and part.name not in used for part in segment.parts):
            return True
    return below
