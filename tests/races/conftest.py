"""The database that the orders of a race share."""

import itertools
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from pytest_postgresql.janitor import DatabaseJanitor

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shared_url(server: dict[str, Any], template: str) -> Iterator[str]:
    """One database for the orders of a module: cloning costs more than the race.

    Each order has a tenant, a lane and a person of its own.
    """
    name = f"notifyq_{os.getpid()}_races_{next(_numbers)}"
    where = {key: server[key] for key in ("host", "port", "user")}
    with DatabaseJanitor(dbname=name, template_dbname=template, **server):
        yield (
            "postgresql:///"
            + name
            + "?"
            + "&".join(f"{key}={quote(str(value), safe='')}" for key, value in where.items())
        )
