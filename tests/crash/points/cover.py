"""Which commit sites and provider calls production code has, by its syntax tree.

The enumeration fails if a scenario reaches one of them no longer, or if there is a new one that
no scenario reaches: it cannot shrink quietly.
"""

import ast
from collections.abc import Collection, Iterator

from tests.crash.points.steps import ROOT, Step, provider_calls

FOLDERS = ("services", "entrypoints")
_TRANSACT = "transact"
# Statements of the store that need no scenario: what becomes of a message does not hang on them.
ASIDE = {
    "store/catalog.py": "looks at the schema",
    "store/health.py": "what doctor asks",
    "store/views.py": "what show and the API read",
    "store/audits.py": "what the audits read",
    "store/tenants.py": "keys and tenants; a request without one is refused before accept",
    "store/lanes.py": "lanes are made at start, again and again; heartbeats are for people",
    "store/wakeup.py": "hints: a poll finds what no hint told",
    "store/db.py:rows": "cold queries",
    "store/fence.py:open_first": "when a database is made",
    "store/fence.py:waits_for_standby": "what the 202 says of itself",
    "store/blocked.py": "what an export reads",
    "store/dossier.py:everywhere": "what a person asks",
    "store/explaining.py": "what explain reads",
    "store/packs.py": "what a pack of evidence reads",
    "store/dead_letters.py:groups": "what a person asks",
    "store/doubts.py:listed": "what a person asks",
    "store/recipients.py": "reads who somebody is; what writes it is not aside",
    "store/templates.py:find": "what a person asks",
    "store/templates.py:newest": "reads what a template says",
    "store/settling.py": "what a request with Prefer: wait reads",
}


def commit_sites() -> set[str]:
    """Every function of services and entrypoints that commits through the one wrapper."""
    return _sites({_TRANSACT})


def call_sites() -> set[str]:
    """Every function of services and entrypoints that asks a provider for something."""
    return {site for site in _sites(set(provider_calls()), of_attribute="provider")}


def missed(hit: Collection[Step]) -> list[str]:
    """Return what production code has and no step was met at."""
    commits = {step.via for step in hit if step.kind == "commit"}
    calls = {step.via for step in hit if step.kind in ("call", "look")}
    return sorted(
        [f"commit in {site}" for site in commit_sites() - commits]
        + [f"provider call in {site}" for site in call_sites() - calls]
        + [f"statement in {site}" for site in statements() - {step.inner for step in hit}]
    )


def statements() -> set[str]:
    """Every function of the store that executes something, but for those aside."""
    found = _sites({"execute"}, folders=("store",))
    return {site for site in found if site not in ASIDE and site.split(":")[0] not in ASIDE}


def _sites(
    names: set[str], *, folders: tuple[str, ...] = FOLDERS, of_attribute: str = ""
) -> set[str]:
    found = set()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name, call in _calls(ast.parse(path.read_text())):
                if _called(call.func, of_attribute) in names:
                    found.add(f"{path.relative_to(ROOT)}:{name}")
    return found


def _called(func: ast.expr, of_attribute: str) -> str:
    """Return the name that is called; '' if it is of something else than `of_attribute`."""
    if isinstance(func, ast.Name):
        return "" if of_attribute else func.id
    if not isinstance(func, ast.Attribute):
        return ""
    owner = ast.unparse(func.value)
    return func.attr if owner.lower().endswith(of_attribute) else ""


def _calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with the outermost function around it; a method's has its class."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((node.name, call) for call in _within(node))
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from ((f"{node.name}.{member.name}", call) for call in _within(member))


def _within(node: ast.AST) -> Iterator[ast.Call]:
    yield from (found for found in ast.walk(node) if isinstance(found, ast.Call))
