"""`faasctl validate`: is what is written right? Nothing is asked, nothing is sent."""

from __future__ import annotations

import os
from pathlib import Path

import click

from faasctl import bundle, environment, strict_yaml
from faasctl.build import needed_modules
from faasctl.build.archive import folder_files
from faasctl.deploy import manifest as manifests
from faasctl.deploy import template
from faasctl.deploy.model import Desired
from faasctl.environment import variables
from faasctl.functions.policies import policies_of
from faasctl.options import env_options

EPILOG = """\b
Examples:
  faasctl validate --env desy
  faasctl validate --env-file environments/desy.yaml
  faasctl validate --manifest manifest.yaml --deployment deployment.yaml
"""


@click.command(name="validate", epilog=EPILOG)
@env_options
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Check this wskdeploy manifest instead of an environment.",
)
@click.option(
    "--deployment",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Its deployment file.",
)
def command(environment_name: str | Path, manifest: Path | None, deployment: Path | None) -> None:
    """Check an environment with its policies and the platform's manifest, or a manifest of your own.

    The variables that an environment takes its secrets from need not be set.
    """
    if manifest is not None:
        click.echo(f"{manifest}: {_counted(_own(manifest, deployment))}")
        return
    env = environment.load(environment_name, look_up=variables.unresolved)
    parts = [_count(len(env.storages), "storage"), _count(len(env.kafka.topics), "topic")]
    click.echo(f"environment {env.name}: {', '.join(parts)}")
    click.echo(f"policies: {', '.join(sorted(policies_of(env))) or 'none'}")
    for folder in bundle.action_folders():
        needed_modules([path for name, path in folder_files(folder) if name.endswith(".py")])
    rendered = template.render(env, lambda name: str(bundle.actions() / name))
    wanted = manifests.desired(
        strict_yaml.parse(rendered.text.encode(), template.TEMPLATE),
        namespace=env.openwhisk.platform.namespace,
        base=bundle.actions(),
        variables=rendered.variables,
    )
    click.echo(f"platform: {_counted(wanted)}")


def _own(manifest: Path, deployment: Path | None) -> Desired:
    return manifests.desired(
        strict_yaml.read(manifest),
        namespace="_",
        base=manifest.parent,
        variables=os.environ,
        deployment=strict_yaml.read(deployment) if deployment else None,
    )


def _counted(wanted: Desired) -> str:
    """``1 package, 5 actions``: the entities of each kind."""
    kinds = [type(entity).__name__.lower() for entity in wanted.entities]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    return ", ".join(_count(count, kind) for kind, count in counts.items()) or "nothing"


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
