"""provider: whether an account could send, asked of the vendor without sending."""

import click

from notifyq.bootstrap.accounts import accounts, provider_of
from notifyq.cli.output import Misused, json_option, running, settings, show


@click.group()
def provider() -> None:
    """Provider accounts."""


@provider.command()
@click.argument("name")
@json_option
@running
async def check(name: str, as_json: bool) -> None:
    """Ask the vendor of account NAME, step by step, whether it could send. Nothing is sent.

    It ends with the first step that fails, and exits with 1 then.
    """
    known = {account.name: account for account in accounts(settings())}
    if name not in known:
        raise Misused(f"there is no provider {name!r}; there are: {', '.join(known) or 'none'}")
    client = provider_of(known[name])
    try:
        steps = await client.check(timeout_s=known[name].timeout_s)
    finally:
        await client.close()
    rows = [{"step": step.name, "ok": step.ok, "detail": step.detail} for step in steps]
    if as_json:
        show(rows, as_json=True)
    else:
        for step in steps:
            click.echo(f"{'ok ' if step.ok else 'NO '} {step.name}: {step.detail}")
    if not all(step.ok for step in steps):
        click.get_current_context().exit(1)
