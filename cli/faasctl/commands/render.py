"""`faasctl render`: what a site's other tools need to know of an environment, in their own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from faasctl import environment, htcondor_policy, kafka_commands, strict_yaml
from faasctl.deploy import template
from faasctl.deploy.manifest import INIT_ANNOTATION
from faasctl.environment import variables
from faasctl.options import env_options

TARGETS: Mapping[str, Callable[[environment.Environment], str]] = {
    "htcondor": htcondor_policy.of_environment,
    "kafka": kafka_commands.script,
}
"""What is rendered for others than OpenWhisk."""

EPILOG = """\b
Examples:
  faasctl render
  faasctl render --env desy --write && faasctl build --env desy && wskdeploy -m wskdeploy.yaml
  faasctl render --env desy --target kafka | less
  faasctl render --env desy --target htcondor --write 61-faas-policies.conf
"""

_HEADER = """\
# The platform for wskdeploy, written by: faasctl render --env {name} --write
# Build the zips that it names first (faasctl build) and export the variables that it uses.
"""


@click.command(name="render", epilog=EPILOG)
@env_options
@click.option(
    "--target",
    type=click.Choice(["wskdeploy", *TARGETS]),
    default="wskdeploy",
    show_default=True,
    help="For whom: wskdeploy, or the administrators of Kafka or HTCondor.",
)
@click.option(
    "--write",
    type=click.Path(path_type=Path, dir_okay=False),
    is_flag=False,
    flag_value="wskdeploy.yaml",
    help="Save it in a file, wskdeploy.yaml unless named, instead of printing it.",
)
def command(environment_name: str | Path, target: str, write: Path | None) -> None:
    """Print the platform's OpenWhisk manifest for an environment, or what another system must be told of it.

    ${env:NAME} becomes ${NAME}: no secret's value is ever in it.
    """
    if target in TARGETS:
        _put(TARGETS[target](environment.load(environment_name, look_up=variables.unresolved)), write)
        return
    text = wskdeploy_manifest(environment.load(environment_name, look_up=variables.as_wskdeploy))
    _put(text, write)
    click.echo(
        "What a plain wskdeploy cannot express, and deploys as ordinary parameters instead of init-only ones:", err=True
    )
    for action, names in init_only(text):
        click.echo(f"  {action}: {names}", err=True)


def _put(text: str, write: Path | None) -> None:
    if write is None:
        click.echo(text, nl=False)
    else:
        write.write_text(text, encoding="utf-8")
        click.echo(f"wrote {write}", err=True)


def wskdeploy_manifest(env: environment.Environment) -> str:
    """The manifest of an environment that was loaded with its references left standing."""
    rendered = template.render(env, lambda name: f"dist/actions/{name}.zip", standing=True)
    return _HEADER.format(name=env.name) + rendered.text


def init_only(text: str) -> list[tuple[str, str]]:
    """The actions of a rendered manifest with the inputs that only faasctl can make init-only."""
    packages = strict_yaml.parse(text.encode(), template.TEMPLATE).value["project"]["packages"]
    return [
        (f"{package}/{name}", action["annotations"][INIT_ANNOTATION])
        for package, part in packages.items()
        for name, action in part["actions"].items()
    ]
