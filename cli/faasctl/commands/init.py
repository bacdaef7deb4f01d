"""`faasctl init`: an environment file to start from."""

from __future__ import annotations

import re
from pathlib import Path

import click
import jinja2

from eventflow.errors import FaasError, UsageError
from faasctl import bundle

EPILOG = """\b
Examples:
  faasctl init desy
  faasctl init desy --directory ~/.config/faasctl/environments
"""


@click.command(name="init", epilog=EPILOG)
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("environments"),
    show_default=True,
    help="Where the file goes; faasctl finds it in ./environments and ~/.config/faasctl/environments.",
)
def command(name: str, directory: Path) -> None:
    """Write a commented environment file for NAME, and a folder for its policies."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise UsageError(f"{name!r} is no name", hint="small letters, digits, - and _")
    template = jinja2.Template(
        (bundle.manifests() / "environment.yaml.j2").read_text(encoding="utf-8"), keep_trailing_newline=True
    )
    file, policies = directory / f"{name}.yaml", directory / f"policies-{name}"
    try:
        policies.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(template.render(name=name))
    except FileExistsError:
        raise FaasError("is there already", where=str(file), hint="edit it, or choose another name") from None
    except OSError as error:
        raise FaasError(f"cannot be written: {error.strerror}", where=str(file)) from None
    click.echo(
        f"wrote {file}; fill it in, add policies to {directory / f'policies-{name}'}, then: faasctl plan --env {name}"
    )
