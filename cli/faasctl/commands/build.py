"""`faasctl build`: the platform's actions as zips."""

from __future__ import annotations

import json
from pathlib import Path

import click

from faasctl import bundle, environment
from faasctl.build import build_actions
from faasctl.build.archive import megabytes
from faasctl.deploy.sources import target_of
from faasctl.environment import variables
from faasctl.options import env_options, output

EPILOG = """\b
Examples:
  faasctl build
  faasctl build --env desy --output-dir /tmp/actions
  faasctl build -o json | jq -r '.[].sha256'
"""


@click.command(name="build", epilog=EPILOG)
@env_options
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dist/actions"),
    show_default=True,
    help="Where the zips go.",
)
@output
def command(environment_name: str | Path, output_dir: Path, output: str) -> None:
    """Build the platform's actions into zips for the environment's runtime.

    The same sources and requirements give the same bytes, whenever and wherever they are built.
    """
    target = target_of(environment.load(environment_name, look_up=variables.unresolved))
    built = build_actions(bundle.action_folders(), target, output_dir)
    if output == "json":
        rows = [{"name": a.name, "path": str(a.path), "size": a.size, "sha256": a.sha256} for a in built]
        click.echo(json.dumps(rows, indent=2))
        return
    for action in built:
        click.echo(f"{action.name:<16} {megabytes(action.size):>8}  sha256:{action.sha256}  {action.path}")
