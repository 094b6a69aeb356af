"""The command line: one file per group of commands, read only when one of them is used."""

from importlib import import_module

import click

# The commands in the order of --help, each with its module; it is called there as here.
COMMANDS = {
    "up": "notifyq.cli.up",
    "api": "notifyq.cli.serve",
    "worker": "notifyq.cli.serve",
    "janitor": "notifyq.cli.serve",
    "sandbox": "notifyq.cli.serve",
    "db": "notifyq.cli.database",
    "tenant": "notifyq.cli.tenants",
    "key": "notifyq.cli.tenants",
    "provider": "notifyq.cli.provider",
    "send": "notifyq.cli.send",
    "show": "notifyq.cli.show",
    "explain": "notifyq.cli.explain",
    "dlq": "notifyq.cli.dlq",
    "doubt": "notifyq.cli.doubt",
    "optout": "notifyq.cli.optout",
    "consent": "notifyq.cli.consent",
    "audit": "notifyq.cli.audit",
    "doctor": "notifyq.cli.doctor",
}


class _Commands(click.Group):
    """Imports a command's module when it is asked for: each is slow to import, and one is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="notifyq")
def main() -> None:
    """Transactional notifications; all state lives in Postgres."""
