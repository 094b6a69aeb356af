"""The command line on the database of a test, and rows in it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from notifyq.cli import main
from notifyq.store import db
from notifyq.store.db import Conn

Work = Callable[[Conn], Awaitable[Any]]


@pytest.fixture
def command(database_url: str) -> Callable[..., Result]:
    """Runs a command of notifyq, as jo unless told otherwise."""

    def invoke(*arguments: str, **environ: str) -> Result:
        environ = {"NOTIFYQ_DATABASE_URL": database_url, "NOTIFYQ_ACTOR": "jo"} | environ
        return CliRunner().invoke(main, arguments, env=environ)

    return invoke


@pytest.fixture
def plant(database_url: str) -> Callable[[Work], Any]:
    """Does work on a connection of its own and returns what it returns."""

    def do(work: Work) -> Any:
        async def inside() -> Any:
            async with await db.connect(database_url) as conn:
                return await work(conn)

        return asyncio.run(inside())

    return do
