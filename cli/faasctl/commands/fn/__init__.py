"""`faasctl fn`: a scientist's functions, from an empty folder to the registry."""

from __future__ import annotations

import click

from faasctl.lazy import LazyGroup

VERBS = (
    "cancel",
    "check",
    "init-ci",
    "invoke",
    "list",
    "logs",
    "new",
    "pause",
    "push",
    "remove",
    "resume",
    "show",
    "test",
)

EPILOG = """\b
Examples:
  faasctl fn new belle.calibrate
  faasctl fn check calibrate
  faasctl fn test calibrate run1.csv
  faasctl fn push calibrate --env desy
"""


@click.group(
    name="fn",
    cls=LazyGroup,
    commands_at={verb: f"faasctl.commands.fn.{verb.replace('-', '_')}:command" for verb in VERBS},
    epilog=EPILOG,
)
def command() -> None:
    """Write, check, try out, register and look after functions."""
