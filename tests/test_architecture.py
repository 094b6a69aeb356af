"""The floors, kept by reading the code: imports point down, limits hold, some calls have one home.

`python tests/test_architecture.py` prints the map: floor, module, lines, longest function.
Every rule is a function from modules to faults, and meets a planted fault that it must name.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "notifyq"

# A file or folder directly below notifyq, and its floor. An import goes to a lower floor, or
# stays within its own folder.
FLOORS = {
    "__init__": 0,
    "errors": 0,
    "boottime": 0,
    "domain": 1,
    "store": 2,
    "providers": 2,
    "services": 3,
    "running": 3,  # loops kept alive: for entrypoints and above, so not among the lower ones
    "entrypoints": 4,
    "sandbox": 4,
    "config": 5,
    "bootstrap": 6,
    "migrate": 6,
    "embedded": 6,
    "cli": 7,
    "__main__": 8,
}
# What these may know of ours, whatever lies below them.
KNOWS_ONLY = {
    "domain": ("notifyq.domain", "notifyq.errors"),
    "sandbox": ("notifyq.sandbox", "notifyq.domain.ids"),
    "migrate": ("notifyq.errors", "notifyq.store"),
    "embedded": ("notifyq.embedded",),
    "running": (),
}
# Floors where each module is a room of its own; a folder inside is one room.
ROOMS = ("services", "providers", "entrypoints")
# once.py is the helper of wire.py
SHARED_BY_PROVIDERS = ("wire", "http2", "once", "answers", "checking", "sockets")

# Packages from outside, by floor: what each is there for. One that is not needed goes out.
OUTSIDE: dict[str, dict[str, str]] = {
    "domain": {
        "phonenumbers": "numbering plans are data that somebody must keep current",
        "email_validator": "so are the rules for mail addresses",
        "liquid": "templates of strangers run in an engine that somebody maintains",
    },
    "store": {
        "psycopg": "the statements",
        "psycopg_pool": "connections for requests",
        "sqlalchemy": "cold queries, and the tables that alembic compares",
    },
    "providers": {
        "aiohttp": "the fast client below the transport",
        "botocore": "AWS signatures",
        "cryptography": "certificates, and signatures by key pairs",
        "h2": "HTTP/2's frames, streams and windows",
        "hpack": "header fields that are never indexed",
        "jwt": "tokens for APNs and for Google",
        "httpx": "requests, as they are handed to the transport",
        "yarl": "URLs for aiohttp",
    },
    "services": {"psycopg": "its error classes: a lock that is held is a fact to decide on"},
    "entrypoints": {
        "http_sf": "Idempotency-Key as a structured field",
        "orjson": "JSON in and out",
        "psycopg": "its error classes: a broken connection is opened again",
        "psycopg_pool": "its error classes: no connection in time is a 503",
        "pydantic": "the models of requests, which OpenAPI shows",
        "pydantic_core": "pydantic's own error types",
        "rfc8785": "the canonical form that is fingerprinted",
        "starlette": "HTTP",
    },
    "sandbox": {
        "aiohttp": "the providers' side of HTTP, and their callbacks",
        "cryptography": "the providers' keys and certificates",
        "h2": "APNs speaks HTTP/2",
        "hyperframe": "frames that h2 does not let a good server send",
        "jwt": "the tokens that clients show",
        "yarl": "callback URLs byte for byte as they were given",
    },
    "config": {"pydantic": "bounds of settings", "pydantic_core": "pydantic's own error types"},
    "bootstrap": {"psycopg": "its error classes: a database that is away is not ready"},
    "migrate": {
        "alembic": "runs the numbered migrations",
        "psycopg": "takes the URL as libpq does",
        "sqlalchemy": "alembic's connection",
    },
    "embedded": {"psycopg": "asks the server that was started whether it answers"},
    "cli": {
        "aiohttp": "`send` keeps many requests on their way",
        "click": "commands",
        "httpx": "`up` and `doctor` ask what is running",
        "orjson": "--json",
        "psycopg": "its error classes: said in a sentence, not a traceback",
        "rich": "tables and progress",
        "uvloop": "the event loop of every part",
        "sqlalchemy": "its error classes: what a migration failed with",
        "uvicorn": "serves the API",
    },
}
OUTSIDE_IN_ONE_FILE = {
    "phonenumbers": ("domain/address.py", "domain/places.py"),
    "email_validator": ("domain/address.py",),
    "liquid": ("domain/liquid/engine.py", "domain/liquid/filters.py", "domain/liquid/tags.py"),
}
# No clock, no dice, no I/O: what remains of the standard library for pure rules.
DOMAIN_STDLIB = {
    *(
        "base64",
        "bisect",
        "collections",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "json",
    ),
    *("itertools", "math", "re", "struct", "typing", "unicodedata", "uuid"),
    *("io", "pkgutil", "zoneinfo"),  # for zones.py: time zones out of a package, as data
}
IMPURE_CALLS = {
    *("now", "utcnow", "today", "uuid1", "uuid4", "uuid7", "open", "input", "print", "eval"),
    *("exec", "read_text", "write_text", "read_bytes", "write_bytes"),
}

CATCHES_EVERYTHING = "entrypoints/worker/lane.py"  # a slot: a bug in one send ends that send
# A command is imported when it is run, by a table of names.
IMPORTS_COMMANDS = "cli/__init__.py"
# `except BaseException` that does not raise again.
HANDS_ON = {"embedded/process.py": "what stopped a thread goes to who waits for it, by a future"}
# Who else opens connections, commits or rolls back than store/db.py: file, call, reason.
CONNECTS = {
    ("providers/wire.py", "self._opened_pool().connect"): "HTTP, not the database",
    ("embedded/server.py", "psycopg.connect"): "asks whether the server is up; runs nothing",
    ("migrate.py", "psycopg.connect"): "alembic's connection, made by libpq's rules",
    ("migrate.py", "engine.connect"): "alembic's connection",
    ("migrate.py", "connection.commit"): "ends the statement that took the migration lock",
    ("entrypoints/worker/lane.py", "conn.rollback"): "ends a read of the fence",
}
OUR_WRAPPERS = {"db.connect", "store_db.connect"}
SQL_ELSEWHERE = {
    "migrate.py": "the lock and the first rows of a database that has no other writer yet",
}
SQL = re.compile(
    r"\s*(WITH\s+\w+\s+AS|SELECT\s|INSERT\s+INTO|UPDATE\s|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE\s|"
    r"CREATE\s|ALTER\s|DROP\s|GRANT\s|SET\s+\w+\s*=|LISTEN\s|NOTIFY\s|LOCK\s|COPY\s|VACUUM\b|"
    r"BEGIN\b|COMMIT\b|ROLLBACK\b)"
)

FILE_LINES_MAX = 250
FUNCTION_LINES_MAX = 50
DOMAIN_FUNCTION_LINES_MAX = 25
NESTING_MAX = 3
# Debts: over a limit when the limit was set. None may grow; one that is paid leaves this table.
DEBTS: dict[tuple[str, str], int] = {}

_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file: its path from notifyq, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, self.path)

    @property
    def parts(self) -> list[str]:
        """The path's parts without the ending: ["store", "db"]."""
        return self.path.removesuffix(".py").split("/")

    @property
    def name(self) -> str:
        """The dotted name: notifyq.store.db."""
        return ".".join(["notifyq", *(part for part in self.parts if part != "__init__")])

    @property
    def floor(self) -> str:
        """The file or folder directly below notifyq."""
        return self.parts[0]

    @property
    def lines(self) -> int:
        """How many lines."""
        return len(self.text.splitlines())

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def functions(self) -> list[Function]:
        """Every function and method, nested ones too."""
        return [node for node in self.nodes if isinstance(node, _FUNCTIONS)]

    @cached_property
    def calls(self) -> list[tuple[str, int]]:
        """Every call's function as it is written, with its line."""
        found = [node for node in self.nodes if isinstance(node, ast.Call)]
        return [(ast.unparse(call.func), call.lineno) for call in found]

    @cached_property
    def imports(self) -> list[tuple[str, int]]:
        """Every imported dotted name with its line: `from a import b` is a.b."""
        found: list[tuple[str, int]] = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [(alias.name, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                package = ["notifyq", *self.parts][: -node.level] if node.level else []
                base = ".".join([*package, *([node.module] if node.module else [])])
                found += [(f"{base}.{alias.name}", node.lineno) for alias in node.names]
        return found

    @property
    def ours(self) -> list[tuple[list[str], int]]:
        """The imports from notifyq, as the parts behind it."""
        return [
            (name.split(".")[1:], line)
            for name, line in self.imports
            if name.split(".")[0] == "notifyq"
        ]

    @property
    def outside(self) -> list[tuple[str, int]]:
        """The top names of the imports that are not from notifyq."""
        tops = [(name.split(".")[0], line) for name, line in self.imports]
        return [(top, line) for top, line in tops if top != "notifyq"]


Modules = list[Module]


def read_modules() -> Modules:
    """Return every module of notifyq as it stands."""
    paths = sorted(ROOT.rglob("*.py"))
    return [Module(p.relative_to(ROOT).as_posix(), p.read_text(encoding="utf-8")) for p in paths]


def every_module_has_a_floor(modules: Modules) -> Iterator[str]:
    """A new folder is put somewhere on purpose."""
    for module in modules:
        if module.floor not in FLOORS:
            yield f"{module.path}: on no floor; add {module.floor} to FLOORS"


def imports_point_down(modules: Modules) -> Iterator[str]:
    """An import goes to a lower floor or stays in its folder."""
    for module in modules:
        for parts, line in module.ours:
            target = parts[0] if parts else "__init__"
            own, other = FLOORS.get(module.floor, -1), FLOORS.get(target, 99)
            if target != module.floor and other >= own:
                yield f"{module.path}:{line}: imports {target}, which is not below it"


def some_know_little(modules: Modules) -> Iterator[str]:
    """The domain, the sandbox and the tools beside them know only what is listed."""
    for module in modules:
        known = KNOWS_ONLY.get(module.floor)
        for parts, line in module.ours:
            name = ".".join(["notifyq", *parts])
            inside = known is None or any(f"{name}.".startswith(f"{each}.") for each in known)
            if not inside:
                yield f"{module.path}:{line}: must not know {name}"


def room_of(parts: list[str]) -> str:
    """Return the room on a floor: a module, a folder, or a vendor's files together."""
    room = parts[1] if len(parts) > 1 else "__init__"
    return room.partition("_")[0] if parts[0] == "providers" and room != "__init__" else room


def neighbours_are_strangers(modules: Modules) -> Iterator[str]:
    """Services, providers and entrypoints do not import the one beside them."""
    for module in modules:
        if module.floor not in ROOMS:
            continue
        for parts, line in module.ours:
            if parts[0] != module.floor or room_of(parts) == room_of(module.parts):
                continue
            if module.floor == "providers" and room_of(parts) in SHARED_BY_PROVIDERS:
                continue
            yield f"{module.path}:{line}: imports its neighbour {'.'.join(parts)}"


def shared_helpers_serve_all_vendors(modules: Modules) -> Iterator[str]:
    """What providers share knows no vendor; the helper is the helper's of wire.py alone."""
    for module in modules:
        for parts, line in module.ours:
            if parts[:2] == ["providers", "once"] and room_of(module.parts) not in (
                *SHARED_BY_PROVIDERS,
            ):
                yield f"{module.path}:{line}: once.py is behind wire.py"


def there_are_no_cycles(modules: Modules) -> Iterator[str]:
    """No module imports itself by way of others, within a folder neither."""
    names = {module.name for module in modules}
    graph: dict[str, set[str]] = {}
    for module in modules:
        found = {".".join(["notifyq", *parts]) for parts, _ in module.ours}
        found = {name if name in names else name.rpartition(".")[0] for name in found}
        graph[module.name] = (found & names) - {module.name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"cycle: {' -> '.join(error.args[1])}"


def outside_packages_are_listed(modules: Modules) -> Iterator[str]:
    """Each floor leans on the packages that it is allowed, and says why."""
    for module in modules:
        allowed = OUTSIDE.get(module.floor, {})
        for top, line in module.outside:
            homes = OUTSIDE_IN_ONE_FILE.get(top, (module.path,))
            is_let = top in allowed and module.path in homes
            if top not in sys.stdlib_module_names and not is_let:
                yield f"{module.path}:{line}: {top} is not for {module.floor}"


def no_allowance_is_left_over(modules: Modules) -> Iterator[str]:
    """An allowance that nothing uses any more is taken back."""
    used = {(module.floor, top) for module in modules for top, _ in module.outside}
    for floor, packages in OUTSIDE.items():
        for package in packages:
            if (floor, package) not in used:
                yield f"OUTSIDE: {floor} no longer uses {package}"


def domain_is_pure(modules: Modules) -> Iterator[str]:
    """No clock, no dice, no I/O: they are arguments."""
    for module in modules:
        if module.floor == "domain":
            yield from (f"{module.path}:{fault}" for fault in _impurities(module))


def _impurities(module: Module) -> Iterator[str]:
    for top, line in module.outside:
        if top in sys.stdlib_module_names and top not in DOMAIN_STDLIB:
            yield f"{line}: {top} is not for pure rules"
    for name, line in module.imports:
        if name.startswith("uuid.uuid"):
            yield f"{line}: {name} throws dice"
    for called, line in module.calls:
        if called.rpartition(".")[2] in IMPURE_CALLS:
            yield f"{line}: {called}() is a clock, dice or I/O"
    for function in module.functions:
        if isinstance(function, ast.AsyncFunctionDef) and _has_body(function):
            yield f"{function.lineno}: {function.name} waits for something"


def _has_body(function: ast.AsyncFunctionDef) -> bool:
    """Say whether a function does anything: a protocol's method is only a docstring and dots."""
    return not all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for node in function.body
    )


def nothing_is_imported_by_its_name_in_a_string(modules: Modules) -> Iterator[str]:
    """What this file reads is all that is imported, but for the commands."""
    for module in modules:
        if module.path == IMPORTS_COMMANDS:
            continue
        for called, line in module.calls:
            if called.rpartition(".")[2] in ("import_module", "__import__"):
                yield f"{module.path}:{line}: {called}() hides an import"


def everything_is_caught_in_one_place(modules: Modules) -> Iterator[str]:
    """`except Exception` exists once; BaseException is raised again or handed on."""
    places: list[str] = []
    for module in modules:
        for node, caught in _catches(module):
            if "Exception" in caught:
                places.append(f"{module.path}:{node.lineno}")
            elif not _raises_again(node) and module.path not in HANDS_ON:
                yield f"{module.path}:{node.lineno}: swallows BaseException"
    elsewhere = [place for place in places if place.rpartition(":")[0] != CATCHES_EVERYTHING]
    yield from (f"{place}: catches Exception" for place in elsewhere)
    if len(places) - len(elsewhere) != 1:
        yield f"{CATCHES_EVERYTHING}: has {len(places) - len(elsewhere)} except Exception, not one"


def _catches(module: Module) -> Iterator[tuple[ast.ExceptHandler | ast.Call, set[str]]]:
    """Yield handlers and suppress() calls that catch everything, with the names in them."""
    for node in module.nodes:
        caught: list[ast.expr] = []
        if isinstance(node, ast.ExceptHandler):
            caught = [node.type or ast.Name("BaseException")]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            caught = node.args
        else:
            continue
        words = {word for each in caught for word in re.findall(r"\w+", ast.unparse(each))}
        if words & {"Exception", "BaseException"}:
            yield node, words


def _raises_again(node: ast.ExceptHandler | ast.Call) -> bool:
    last = node.body[-1] if isinstance(node, ast.ExceptHandler) else node
    return isinstance(last, ast.Raise) and last.exc is None


def one_file_connects_and_commits(modules: Modules) -> Iterator[str]:
    """Only store/db.py opens connections and ends transactions; the exceptions are listed."""
    found: set[tuple[str, str]] = set()
    for module in modules:
        for called, line in module.calls:
            last = called.rpartition(".")[2]
            opens = last in ("ConnectionPool", "AsyncConnectionPool")
            ends = "." in called and last in ("connect", "commit", "rollback", "transaction")
            if module.path == "store/db.py" or called in OUR_WRAPPERS or not (opens or ends):
                continue
            found.add((module.path, called))
            if (module.path, called) not in CONNECTS:
                yield f"{module.path}:{line}: {called}() is for store/db.py"
    for path, called in CONNECTS.keys() - found:
        yield f"CONNECTS: {path} no longer calls {called}()"


def sql_lives_in_the_store(modules: Modules) -> Iterator[str]:
    """Which SQL is asked in store/, and nowhere else."""
    for module in modules:
        if module.floor == "store" or module.path in SQL_ELSEWHERE:
            continue
        docs = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
        for node in module.nodes:
            if isinstance(node, ast.Constant) and id(node) not in docs:
                text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
                if isinstance(text, str) and SQL.match(text):
                    yield f"{module.path}:{node.lineno}: SQL outside the store: {text.strip()[:30]}"


def length(function: Function) -> int:
    """Return the lines of a function, its signature included, its decorators not."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def depth(nodes: Iterable[ast.AST]) -> int:
    """Return how deep blocks are nested; `elif` is no deeper than its `if`."""
    deepest = 0
    for node in nodes:
        if isinstance(node, (*_FUNCTIONS, ast.Lambda, ast.ClassDef)):
            continue
        if (
            isinstance(node, ast.If)
            and len(node.orelse) == 1
            and isinstance(node.orelse[0], ast.If)
        ):
            found = max(1 + depth(node.body), depth(node.orelse))
        else:
            found = isinstance(node, _BLOCKS) + depth(ast.iter_child_nodes(node))
        deepest = max(deepest, found)
    return deepest


def measured(modules: Modules) -> Iterator[tuple[str, str, int, int]]:
    """Yield everything that has a limit: what, where, how much, the limit."""
    for module in modules:
        longest = DOMAIN_FUNCTION_LINES_MAX if module.floor == "domain" else FUNCTION_LINES_MAX
        yield "lines", module.path, module.lines, FILE_LINES_MAX
        for function in module.functions:
            place = f"{module.path}:{function.name}"
            yield "length", place, length(function), longest
            yield "nesting", place, depth(function.body), NESTING_MAX


def limits_hold(modules: Modules) -> Iterator[str]:
    """At the most 250 lines a file, 50 a function (25 in the domain), blocks three deep."""
    over = set()
    for what, place, found, most in measured(modules):
        if found > most:
            over.add((what, place))
            if found > DEBTS.get((what, place), most):
                yield f"{place}: {what} {found}, at most {most}"
    for what, place in DEBTS.keys() - over:
        yield f"{place}: its debt in {what} is paid: take it out of DEBTS"


Rule = Callable[[Modules], Iterator[str]]
# Each rule with what it must name: (path, text of a module put in its place).
PLANTED: dict[Rule, list[tuple[str, str]]] = {
    every_module_has_a_floor: [("utils/strings.py", "")],
    imports_point_down: [
        ("domain/x.py", "from notifyq.store import db"),
        ("store/x.py", "from notifyq.providers.wire import Wire"),
        ("providers/x.py", "import notifyq.store.db"),
        ("services/x.py", "from notifyq import config"),
        ("services/x.py", "from notifyq.running import keep_running"),
        ("services/x.py", "from ..entrypoints import janitor"),
        ("entrypoints/x.py", "from notifyq.sandbox.twilio.vendor import Twilio"),
        ("entrypoints/api/x.py", "def late():\n    from notifyq.bootstrap import accounts"),
        ("config/x.py", "from notifyq.bootstrap import loops"),
        ("bootstrap/x.py", "from notifyq.cli import main"),
    ],
    some_know_little: [
        ("sandbox/x.py", "from notifyq.domain.model import Message"),
        ("sandbox/x.py", "from notifyq.errors import NotifyqError"),
        ("migrate.py", "from notifyq.services import maintain"),
        ("embedded/x.py", "from notifyq.errors import NotifyqError"),
        ("running.py", "from notifyq.domain import ids"),
    ],
    neighbours_are_strangers: [
        ("services/x.py", "from notifyq.services.deliver import begin_due"),
        ("services/x.py", "from . import deliver"),
        ("providers/sinch.py", "from notifyq.providers.twilio.client import Twilio"),
        ("providers/wire.py", "from notifyq.providers.twilio.callback import read_status"),
        ("entrypoints/janitor.py", "from notifyq.entrypoints.worker import process"),
        ("entrypoints/worker/x.py", "from notifyq.entrypoints.api.problems import Problem"),
    ],
    shared_helpers_serve_all_vendors: [
        ("providers/x.py", "from notifyq.providers.once import Once")
    ],
    there_are_no_cycles: [("domain/states.py", "from notifyq.domain.verdict import judge")],
    outside_packages_are_listed: [
        ("domain/x.py", "import httpx"),
        ("domain/x.py", "import phonenumbers"),
        ("services/x.py", "from aiohttp import web"),
        ("entrypoints/x.py", "import sqlalchemy"),
        ("store/x.py", "import pydantic"),
        ("running.py", "import psycopg"),
    ],
    domain_is_pure: [
        ("domain/x.py", "import time"),
        ("domain/x.py", "from random import random"),
        ("domain/x.py", "import logging"),
        ("domain/x.py", "from uuid import uuid4"),
        ("domain/x.py", "def f():\n    return datetime.now(UTC)"),
        ("domain/x.py", "def f():\n    return datetime.datetime.utcnow()"),
        ("domain/x.py", "def f():\n    return open('x')"),
        ("domain/x.py", "async def f():\n    await g()"),
    ],
    nothing_is_imported_by_its_name_in_a_string: [
        ("domain/x.py", "import_module('notifyq.store.db')"),
    ],
    everything_is_caught_in_one_place: [
        ("services/x.py", "try:\n    f()\nexcept Exception:\n    pass"),
        ("services/x.py", "try:\n    f()\nexcept (OSError, Exception):\n    pass"),
        ("services/x.py", "try:\n    f()\nexcept:\n    pass"),
        ("services/x.py", "try:\n    f()\nexcept BaseException:\n    pass"),
        ("services/x.py", "with contextlib.suppress(Exception):\n    f()"),
        ("entrypoints/worker/lane.py", ""),
    ],
    one_file_connects_and_commits: [
        ("services/x.py", "async def f(conn):\n    await conn.commit()"),
        ("services/x.py", "async def f(conn):\n    await conn.rollback()"),
        ("services/x.py", "async def f(conn):\n    async with conn.transaction(): pass"),
        ("entrypoints/x.py", "psycopg.AsyncConnection.connect(url)"),
        ("bootstrap/x.py", "AsyncConnectionPool(url)"),
        ("migrate.py", ""),
    ],
    sql_lives_in_the_store: [
        ("services/x.py", "X = 'SELECT 1'"),
        ("services/x.py", "X = b'SET x = 1'"),
        ("cli/x.py", "X = '''\n    WITH a AS (SELECT 1)\n    DELETE FROM job'''"),
        ("entrypoints/x.py", "X = f'UPDATE {table} SET a = 1'"),
    ],
    limits_hold: [
        ("services/x.py", "\n" * (FILE_LINES_MAX + 1)),
        ("domain/x.py", "def f():\n" + "    x()\n" * DOMAIN_FUNCTION_LINES_MAX),
        ("services/x.py", "class A:\n    async def f():\n" + "        x()\n" * FUNCTION_LINES_MAX),
        ("services/x.py", "def f():\n for a in b:\n  if a:\n   with c:\n    while d:\n     e()"),
        (
            "services/x.py",
            "def f():\n if a: pass\n elif b:\n  for c in d:\n   if e:\n    if g: h()",
        ),
    ],
}
# At a limit, not over it.
ALLOWED: list[tuple[Rule, str, str]] = [
    (limits_hold, "services/x.py", "\n" * FILE_LINES_MAX),
    (limits_hold, "domain/x.py", "def f():\n" + "    x()\n" * 24),
    (limits_hold, "services/x.py", "def f():\n" + "    x()\n" * 49),
    (limits_hold, "services/x.py", "def f():\n for a in b:\n  if a:\n   with c:\n    d()"),
    (limits_hold, "services/x.py", "def f():\n if a: b()\n elif c: d()\n elif e: g()"),
    (sql_lives_in_the_store, "services/x.py", '"""SELECT is a word here."""'),
    (
        neighbours_are_strangers,
        "providers/twilio/client.py",
        "from notifyq.providers.wire import Wire",
    ),
    (neighbours_are_strangers, "entrypoints/api/x.py", "from notifyq.entrypoints.api import body"),
    (everything_is_caught_in_one_place, "services/x.py", "try: f()\nexcept BaseException: raise"),
]
NOW = read_modules()


@cache
def now_broken(rule: Rule) -> list[str]:
    """Return what a rule finds in the code as it stands."""
    return list(rule(NOW))


def with_planted(path: str, text: str) -> Modules:
    """Return the modules as they stand, with one put in or replaced."""
    return [*(module for module in NOW if module.path != path), Module(path, text)]


@pytest.mark.parametrize("rule", [*PLANTED, no_allowance_is_left_over], ids=lambda r: r.__name__)
def test_the_code_keeps(rule: Rule) -> None:
    assert now_broken(rule) == []


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [(rule, path, text) for rule, cases in PLANTED.items() for path, text in cases],
    ids=lambda value: value.__name__ if callable(value) else value[:40].replace("\n", " "),
)
def test_a_planted_fault_is_named(rule: Rule, path: str, text: str) -> None:
    new = set(rule(with_planted(path, text))) - set(now_broken(rule))
    assert any(path in fault or fault.startswith("cycle") for fault in new), new


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    ALLOWED,
    ids=lambda value: value.__name__ if callable(value) else value[:40].replace("\n", " "),
)
def test_what_stays_within_a_rule_is_let_be(rule: Rule, path: str, text: str) -> None:
    assert set(rule(with_planted(path, text))) <= set(now_broken(rule))


def test_an_allowance_without_use_is_named() -> None:
    homes = OUTSIDE_IN_ONE_FILE["phonenumbers"]
    without = [module for module in NOW if module.path not in homes]
    assert list(no_allowance_is_left_over(without)) == [
        "OUTSIDE: domain no longer uses phonenumbers",
        "OUTSIDE: domain no longer uses email_validator",
    ]


def test_every_exception_to_a_rule_still_has_its_file() -> None:
    paths = {module.path for module in NOW}
    named = {*HANDS_ON, *SQL_ELSEWHERE, CATCHES_EVERYTHING, "store/db.py"}
    assert named | {path for path, _ in CONNECTS} <= paths  # DEBTS: see limits_hold
    assert set(OUTSIDE) | set(KNOWS_ONLY) <= set(FLOORS)


def module_map(modules: Modules) -> Iterator[str]:
    """Yield the map, a line a module, by floor; then the longest file and function."""
    functions = [(length(f), f"{m.path}:{f.name}") for m in modules for f in m.functions]
    for module in sorted(modules, key=lambda m: (FLOORS.get(m.floor, -1), m.path)):
        own = max(((length(f), f.name) for f in module.functions), default=(0, "-"))
        floor = FLOORS.get(module.floor, -1)
        yield f"{floor:>2}  {module.path:<38} {module.lines:>4} lines  {own[0]:>3} {own[1]}"
    lines = sum(module.lines for module in modules)
    longest = max(modules, key=lambda module: module.lines)
    yield f"{len(modules)} modules, {lines} lines, {len(functions)} functions"
    yield f"longest file      {longest.path} ({longest.lines} of {FILE_LINES_MAX} lines)"
    yield "longest function  {1} ({0} lines)".format(*max(functions))


def test_the_map_has_every_module() -> None:
    lines = list(module_map(NOW))
    assert len(lines) == len(NOW) + 3
    assert "longest file" in lines[-2]


if __name__ == "__main__":
    sys.stdout.write("\n".join(module_map(NOW)) + "\n")
