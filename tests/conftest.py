"""One real server for the session, one migrated template, a clone of it for every test.

`NOTIFYQ_TEST_PG` (16 or 18) picks the major version of the embedded server, newest by default.
`NOTIFYQ_TEST_DATABASE_URL` names a running server instead; its role must be a superuser.
"""

import importlib
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pytest_postgresql.janitor import DatabaseJanitor

from notifyq.embedded import EmbeddedPostgres

# A commit still waits for its WAL as in production; only an operating system's crash is not
# survived, which no test makes.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "256MB",
}
_MEMORY, _MEMORY_MIN = Path("/dev/shm"), 4 * 2**30
_numbers = itertools.count(1)


# The files that take longest, first: else one of two workers is left with them at the end.
LONGEST = (
    "test_embedded.py",
    "test_worker.py",
    "test_points.py",
    "test_kill.py",
    "test_sixty_days.py",
    "test_lists.py",
    "test_machine.py",
    "test_callback_fuzz.py",
    "test_hours_by_the_minute.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, in whatever order the rest was shuffled."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def test_major() -> int | None:
    """The major version that this run asked for."""
    return int(os.environ["NOTIFYQ_TEST_PG"]) if os.environ.get("NOTIFYQ_TEST_PG") else None


test_major.__test__ = False  # type: ignore[attr-defined]


def in_memory() -> Path | None:
    """Where a server of clones is quickest: thousands of small files are made and removed.

    None where there is no room: then they are on the disk.
    """
    try:
        roomy = shutil.disk_usage(_MEMORY).free >= _MEMORY_MIN
    except OSError:
        return None
    return _MEMORY if roomy and os.access(_MEMORY, os.W_OK | os.X_OK) else None


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedPostgres]:
    """The session's own server. Tests that stop or kill a server start another one."""
    with EmbeddedPostgres.start(major=test_major(), settings=SETTINGS, below=in_memory()) as server:
        yield server


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where the tests' server is: host, port, user, password as pytest-postgresql takes them."""
    url = os.environ.get("NOTIFYQ_TEST_DATABASE_URL") or request.getfixturevalue("cluster").url()
    info = conninfo_to_dict(url)
    return {
        "host": info.get("host", "localhost"),
        "port": info.get("port", 5432),
        "user": info.get("user", "postgres"),
        "password": info.get("password"),
        "maintenance_dbname": info.get("dbname", "postgres"),
    }


@pytest.fixture(scope="session")
def template(server: dict[str, Any]) -> Iterator[str]:
    """The name of a migrated database that is only cloned."""
    name = f"notifyq_{os.getpid()}_template"
    with DatabaseJanitor(dbname=name, as_template=True, **server) as janitor:
        janitor.load(_migrate)
        yield name


@pytest.fixture
def template_name(template: str) -> str:
    """What a test's database is cloned from; a folder of tests may put more into it first."""
    return template


@pytest.fixture
def database_url(server: dict[str, Any], template_name: str) -> Iterator[str]:
    """A fresh migrated database, dropped afterwards whoever is still connected."""
    with cloned(server, template_name) as url:
        yield url


@contextmanager
def cloned(server: dict[str, Any], template: str, *, as_template: bool = False) -> Iterator[str]:
    """A database of its own, cloned from another one; as_template: to be cloned in its turn."""
    name = f"notifyq_{os.getpid()}_{next(_numbers)}"
    with DatabaseJanitor(dbname=name, template_dbname=template, as_template=as_template, **server):
        yield _url(dbname=name, **server)


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """An autocommit connection to the test's database."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        yield connection


def _migrate(**where: Any) -> None:
    # Imported here, so that the tests which need no schema do not need the migrations either.
    importlib.import_module("notifyq.migrate").upgrade(_url(**where))


def _url(host: str, port: object, user: str, dbname: str, password: str | None, **_: Any) -> str:
    query = {"host": host, "port": port, "user": user}
    if password:
        query["password"] = password
    return f"postgresql:///{quote(dbname, safe='')}?{urlencode(query, quote_via=quote)}"
