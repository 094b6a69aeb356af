"""The command line: one file per group of commands."""

import click

from notifyq.cli import (
    audit,
    consent,
    database,
    dlq,
    doctor,
    doubt,
    optout,
    provider,
    send,
    serve,
    show,
    tenants,
    up,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="notifyq")
def main() -> None:
    """Transactional notifications; all state lives in Postgres."""


for command in (
    up.up,
    serve.api,
    serve.worker,
    serve.janitor,
    serve.sandbox,
    database.db,
    tenants.tenant,
    tenants.key,
    provider.provider,
    send.send,
    show.show,
    dlq.dlq,
    doubt.doubt,
    optout.optout,
    consent.consent,
    audit.audit,
    doctor.doctor,
):
    main.add_command(command)
