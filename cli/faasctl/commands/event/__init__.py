"""`faasctl event`: records on their way into the platform."""

from __future__ import annotations

import click

from faasctl.lazy import LazyGroup

VERBS = ("match", "send", "trace")

EPILOG = """\b
Examples:
  faasctl event match record.json
  faasctl event send records.jsonl
  faasctl event trace /pnfs/desy.de/belle/raw/42/f.root
"""


@click.group(
    name="event",
    cls=LazyGroup,
    commands_at={verb: f"faasctl.commands.event.{verb}:command" for verb in VERBS},
    epilog=EPILOG,
)
def command() -> None:
    """Send events, say what they would fire, and what became of them."""
