"""`faasctl fn init-ci`: the pipeline of a project with functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from eventflow.errors import FaasError, UsageError
from faasctl import environment
from faasctl.functions.access import address
from faasctl.functions.file import load
from faasctl.options import env_names

EPILOG = """\b
Examples:
  faasctl fn init-ci --component gitlab.example.org/faas/function@1.0 --env desy
  faasctl fn init-ci calibrate unpack --component gitlab.example.org/faas/function@1.0 \\
      --registry https://openwhisk.example.org/api/v1/web/faas/faas/registry --audience https://faas.example.org
"""

FILE = ".gitlab-ci.yml"
_HEAD = "# Functions: checked and tried out always, planned in merge requests, pushed from the default branch.\n"


@click.command(name="init-ci", epilog=EPILOG)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--component", required=True, metavar="HOST/PATH@VERSION", help="The platform's GitLab component.")
@click.option("--registry", metavar="URL", envvar="FAASCTL_REGISTRY", help="Its address.  [default: the environment's]")
@click.option("--audience", metavar="URL", help="Whom id_tokens are for.  [default: the environment's]")
@click.option("--samples", default="", metavar="FILES", help="Files to try the function out on.")
@env_names
def command(
    folders: tuple[Path, ...],
    component: str,
    registry: str | None,
    audience: str | None,
    samples: str,
    environment_name: str | Path | None,
) -> None:
    """Write a .gitlab-ci.yml that checks, tests, plans and pushes the functions in FOLDERS.

    Without FOLDERS, the functions of this folder and those right below it. Run it at the top of the repository.
    """
    found = [_inside(folder) for folder in folders] if folders else _folders()
    if not found:
        raise UsageError("there is no function here or in a folder below", hint="start one with: faasctl fn new")
    for folder in found:
        load(folder)
    if registry is None or audience is None:
        registry, audience = _of_environment(environment_name, registry, audience)
    inputs: dict[str, Any] = {"registry": registry, "audience": audience}
    if samples:
        inputs["samples"] = samples
    entries = [{"component": component, "inputs": {**inputs, "folder": folder.as_posix()}} for folder in found]
    text = yaml.safe_dump({"include": entries}, sort_keys=False, allow_unicode=True, width=200)
    try:
        with Path(FILE).open("x", encoding="utf-8") as file:
            file.write(_HEAD + text)
    except FileExistsError:
        hint = "add this to it:\n" + text
        raise FaasError("is there already", where=FILE, hint=hint) from None
    click.echo(f"wrote {FILE} for {', '.join(folder.as_posix() for folder in found)}", err=True)


def _folders() -> list[Path]:
    return sorted(file.parent for file in (*Path().glob("function.yaml"), *Path().glob("*/function.yaml")))


def _inside(folder: Path) -> Path:
    try:
        return folder.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        raise UsageError(f"{folder} is not below this folder", hint="run it at the top of the repository") from None


def _of_environment(name: str | Path | None, registry: str | None, audience: str | None) -> tuple[str, str]:
    if name is None:
        raise UsageError("where is the registry?", hint="give --registry and --audience, or --env NAME")
    env = environment.load(name, partial=True)
    audiences = [issuer.audience for issuer in env.registry.issuers]
    if audience is None and len(audiences) != 1:
        why = f"the environment {env.name} has {len(audiences)} issuers of id_tokens"
        raise UsageError(why, hint="say whom they are for: --audience URL")
    return registry or address(env), audience or audiences[0]
