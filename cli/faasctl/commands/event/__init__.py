"""`faasctl event`: records on their way into the platform."""

from __future__ import annotations

import click

from faasctl.lazy import LazyGroup

VERBS = ("match", "send")

EPILOG = """\b
Examples:
  faasctl event match record.json
  faasctl event send records.jsonl
"""


@click.group(
    name="event",
    cls=LazyGroup,
    commands_at={verb: f"faasctl.commands.event.{verb}:command" for verb in VERBS},
    epilog=EPILOG,
)
def command() -> None:
    """Send events, and say what they would fire."""
