"""The database that the orders of a race share."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
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


# Of a test with more orders than this, so many are run, evenly spread; all of them with
# NOTIFYQ_TEST_FULL, as `bin/chaos --only races` does.
SAMPLE = 12


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a sample of the orders, unless all are asked for."""
    one_by_name = any("[" in argument for argument in config.args)
    if os.environ.get("NOTIFYQ_TEST_FULL") or one_by_name:
        return
    here = Path(__file__).parent
    by_test: dict[str, list[pytest.Item]] = {}
    for item in items:
        if here in item.path.parents:
            by_test.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out: set[pytest.Item] = set()
    for its in by_test.values():
        if len(its) > SAMPLE:
            its.sort(key=lambda item: item.nodeid)  # whatever order they were shuffled into
            left_out |= set(its) - {its[n * len(its) // SAMPLE] for n in range(SAMPLE)}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]
