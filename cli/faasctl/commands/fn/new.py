"""`faasctl fn new`: a folder with a function that works."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click

from eventflow import function
from eventflow.errors import FaasError, UsageError
from eventflow.function import NAME_PATTERN
from faasctl import bundle, strict_yaml
from faasctl.functions.file import FILE_NAME, SCHEMA_NAME
from faasctl.strict_yaml import YamlError

EPILOG = """\b
Examples:
  faasctl fn new belle.calibrate
  faasctl fn new belle.calibrate --path '/pnfs/belle/raw/{run}/{name}.root' --write '/pnfs/belle/out/{run}/'
"""

_SPEC = """\
# yaml-language-server: $schema={schema}
# A function: what it is run for, with what, and where its output goes.
name: {name}
namespace: {namespace}
contact: {contact}

when: # a file was written that matches:
  path: {path}
  # * within a folder, ** any depth, {{x}} captures a part; more conditions on the event's data:
  # where:
  #   size: [{{numeric: [">", 0]}}]

run:
  main: {module}.py # main(event) in it
  # python: "3.11" # what it needs on the workers; must be given with a requirements.txt

params: {{}} # given to main as event["params"]

write: {write} # every input gets a directory of its own in it

resources: {{cpus: 1, memory: 2GB, runtime: 1h}}
retries: 2
"""

_MAIN = '''\
"""The function {namespace}.{name}."""

import json
from pathlib import Path


def main(event):
    """Called once for every file; the files of the output directory are uploaded when it returns.

    event["read"]["local"] is the input, here on this machine; event["write"]["local"] the output directory;
    event["params"] the parameters of function.yaml. What is returned is kept as the run's result.
    """
    source = Path(event["read"]["local"])
    output = Path(event["write"]["local"])
    summary = {{"file": event["subject"], "bytes": source.stat().st_size}}
    (output / "summary.json").write_text(json.dumps(summary) + "\\n", encoding="utf-8")
    return summary
'''


_TEST = '''\
"""Tests of {namespace}.{name}: python -m unittest discover -s FOLDER; they do not travel with the function."""

import json
import tempfile
import unittest
from pathlib import Path

from {module} import main


class Main(unittest.TestCase):
    def test_the_summary_tells_the_size(self):
        with tempfile.TemporaryDirectory() as name:
            source = Path(name, "input")
            source.write_bytes(b"12345")
            event = {{
                "subject": "/a/file",
                "read": {{"local": str(source)}},
                "write": {{"local": name}},
                "params": {{}},
            }}
            assert main(event) == {{"file": "/a/file", "bytes": 5}}
            assert json.loads(Path(name, "summary.json").read_text())["bytes"] == 5
'''


@click.command(name="new", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE.NAME")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="The folder to make.  [default: ./NAME]")
@click.option("--path", help="The files that it is for, as a pattern.  [default: /pnfs/NAMESPACE/in/{run}/{name}]")
@click.option("--write", help="Where its output goes.  [default: /pnfs/NAMESPACE/out/{run}/]")
@click.option("--contact", default="", help="Whom to ask about it, e.g. a mail address.")
def command(name: str, folder: Path | None, path: str | None, write: str | None, contact: str) -> None:
    """Make a folder with a function.yaml, a Python file and its test to start from.

    Editors with YAML support complete and check function.yaml by the schema that lies beside it.
    """
    namespace, dot, short = name.partition(".")
    if not dot or not all(re.fullmatch(NAME_PATTERN[1:-1], part, re.ASCII) for part in (namespace, short)):
        hint = "write NAMESPACE.NAME, as belle.calibrate; both of letters, digits, _ and -"
        raise UsageError(f"{name!r} is no function's name", hint=hint)
    folder = folder or Path(short)
    if folder.exists() and any(folder.iterdir()):
        raise FaasError("is there already", where=str(folder), hint="give another folder with --dir")
    module = re.sub(r"\W", "_", short, flags=re.ASCII)
    module = f"{module}_" if module[0].isdigit() else module
    values = {
        "name": _yaml(short),
        "namespace": _yaml(namespace),
        "contact": _yaml(contact or f"{namespace}@example.org"),
        "path": _yaml(path or f"/pnfs/{namespace}/in/{{run}}/{{name}}"),
        "write": _yaml(write or f"/pnfs/{namespace}/out/{{run}}/"),
        "module": module,
        "schema": SCHEMA_NAME,
    }
    spec = _SPEC.format(**values)
    function.decode(strict_yaml.parse(spec.encode(), FILE_NAME).value)  # bad options are errors, not files
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE_NAME).write_text(spec, encoding="utf-8")
    names = {"name": short, "namespace": namespace, "module": module}
    (folder / f"{module}.py").write_text(_MAIN.format(**names), encoding="utf-8")
    (folder / f"test_{module}.py").write_text(_TEST.format(**names), encoding="utf-8")
    shutil.copyfile(bundle.manifests() / "function.schema.json", folder / SCHEMA_NAME)
    click.echo(f"made {folder / FILE_NAME}, {module}.py and test_{module}.py", err=True)
    click.echo(f"next: faasctl fn test {folder} FILE", err=True)


def _yaml(text: str) -> str:
    """The text as a YAML scalar that means just itself."""
    quoted = "'" + text.replace("'", "''") + "'"
    try:
        plain = strict_yaml.parse(f"x: {text}".encode(), "").value == {"x": text}
    except YamlError:
        plain = False
    return text if plain else quoted
