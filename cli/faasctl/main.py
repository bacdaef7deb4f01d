"""The entry point: a lazy group of commands, and the one place where errors become messages."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from eventflow.errors import FaasError, UsageError
from faasctl import __version__

COMMANDS = {
    "build": "faasctl.commands.build:command",
    "demo": "faasctl.commands.demo:command",
    "deploy": "faasctl.commands.deploy:command",
    "doctor": "faasctl.commands.doctor:command",
    "dlq": "faasctl.commands.dlq:command",
    "event": "faasctl.commands.event:command",
    "feed": "faasctl.commands.feed:command",
    "fn": "faasctl.commands.fn:command",
    "init": "faasctl.commands.init:command",
    "local": "faasctl.commands.local:command",
    "plan": "faasctl.commands.plan:command",
    "render": "faasctl.commands.render:command",
    "secret": "faasctl.commands.secret:command",
    "token": "faasctl.commands.token:command",
    "status": "faasctl.commands.status:command",
    "undeploy": "faasctl.commands.undeploy:command",
    "usage": "faasctl.commands.usage:command",
    "validate": "faasctl.commands.validate:command",
}


class LazyGroup(click.Group):
    """Imports a command only when it is named, so that `faasctl fn new` never loads Kafka or HTCondor."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, attribute = target.split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=LazyGroup,
    context_settings={"auto_envvar_prefix": "FAASCTL", "help_option_names": ["-h", "--help"]},
    epilog="Start with: faasctl demo",
)
@click.version_option(__version__, prog_name="faasctl")
def cli() -> None:
    """Event-driven workflows for scientific storage: a file written to dCache processes itself."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; a `FaasError` becomes a message and an exit code, never a traceback."""
    color = False if os.environ.get("NO_COLOR") else None
    try:
        given = list(args) if args is not None else None
        code = cli.main(args=given, prog_name="faasctl", standalone_mode=False, color=color)
        if isinstance(code, int) and code:  # so click returns what a command left with
            sys.exit(code)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.exceptions.Abort:
        click.echo("aborted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(UsageError.exit_code if isinstance(error, click.UsageError) else error.exit_code)
    except FaasError as error:
        click.echo(f"{click.style('error:', fg='red')} {error}", err=True, color=color)
        if error.hint:
            click.echo(f"hint: {error.hint}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
