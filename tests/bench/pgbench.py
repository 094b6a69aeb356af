"""The production statements as a pgbench script: what the same work costs without Python.

Made from the constants of store/, so it changes with them. Parameters become pgbench variables;
an array that a statement needs from the one before is gathered there by array_agg and `\\gset`,
in the order in which the worker would pass it. What is the same for every batch is a constant.
"""

import os
import re
import subprocess
import tempfile
from typing import Any
from uuid import UUID

from notifyq.bootstrap.accounts import CELL
from notifyq.domain.model import Channel
from notifyq.store import attempts, consents, db, facts, queue, results
from notifyq.store.partitions import leaf_sql
from tests.bench.ground import Ground

CRITICALITY = 1  # of the backlog
_EVER = "2000-01-01 00:00:00+00"
_WORKER = UUID(int=0)
_TPS = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: (\d+)/(\d+)", re.MULTILINE)

# What each statement hands to the next.
_FROM_CLAIM = (
    "array_agg(delivery_id ORDER BY delivery_id) AS ids, "
    "array_agg(place ORDER BY delivery_id) AS places, "
    f"ARRAY['{_EVER}'::timestamptz, max(due) - interval '2 s', '{_EVER}', '{_EVER}'] AS low_waters"
)
_FROM_FACTS = (
    "array_agg(brand ORDER BY brand, address_key) AS brands, "
    "array_agg(address_key ORDER BY brand, address_key) AS address_keys"
)
_FROM_BEGIN = "array_agg(delivery_id) AS begun, array_agg(uuidv7()) AS event_id"
_FROM_HOLD = (
    "array_agg(delivery_id) AS delivery_id, array_agg(attempt_place) AS attempt_place, "
    "array_agg(delivery_place) AS delivery_place"
)


def cycles_per_s(ground: Ground, *, day: str, batch: int, clients: int, jobs: int) -> float:
    """Drain `jobs` of the backlog; return deliveries a second, connecting not counted."""
    turns = jobs // (batch * clients)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_script(day))
        script.flush()
        command = [str(ground.server.bin / "pgbench"), "--no-vacuum", "--protocol=prepared"]
        command += [f"--client={clients}", f"--jobs={clients}", f"--transactions={turns}"]
        command += [f"--file={script.name}"]
        command += [f"--define={name}={value}" for name, value in _constants(ground, batch).items()]
        done = subprocess.run(
            [*command, ground.url],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PGOPTIONS": _options()},
        )
    tps, processed = _TPS.search(done.stdout), _DONE.search(done.stdout)
    if done.returncode or not tps or not processed or len(set(processed.groups())) > 1:
        raise RuntimeError(f"pgbench: {done.stderr[-2_000:]}{done.stdout[-500:]}")
    left = ground.run("SELECT count(*) FROM job")[0][0]
    settled = ground.run("SELECT count(*) FROM attempt WHERE outcome = 'accepted'")[0][0]
    if settled != turns * clients * batch:  # a faster figure for less work would be no figure
        raise RuntimeError(f"pgbench settled {settled} of {turns * clients * batch}, {left} left")
    return float(tps.group(1)) * batch


def _script(day: str) -> str:
    channel = Channel.SMS
    return "\n".join(
        [
            "BEGIN;",
            _gathering(leaf_sql(queue.CLAIM, channel=channel), _FROM_CLAIM),
            _gathering(leaf_sql(facts.FACTS, channel=channel, day=day), _FROM_FACTS),
            _plain(consents.LOCK),
            _gathering(
                leaf_sql(attempts.BEGIN, channel=channel, day=day),
                _FROM_BEGIN,
                names="(fence_open, delivery_id, job_gone)",
            ),
            "COMMIT;",
            "BEGIN;",
            _gathering(
                leaf_sql(results.HOLD, day=day),
                _FROM_HOLD,
                names="(delivery_id, attempt_place, delivery_place, state, cancel_requested)",
            ),
            _plain(leaf_sql(results.SETTLE, channel=channel, day=day)),
            "COMMIT;",
        ]
    )


def _constants(ground: Ground, batch: int) -> dict[str, str]:
    """Return what is the same for every batch: all deliveries are at their first attempt."""

    def same(value: object) -> str:
        return "{" + ",".join([str(value)] * batch) + "}"

    return {
        "criticalities": "{0,1,2,3}",
        "low_waters": "{" + ",".join([f'"{_EVER}"'] * 4) + "}",
        "cell": str(CELL),
        "lane": str(ground.lane.id),
        "room": str(batch),
        "channel": Channel.SMS.value,
        "is_mail": "false",
        "epoch": "1",
        "region": "default",
        "worker": str(_WORKER),
        "lease_s": "15",
        "numbers": same(1),
        "revisions": same(0),
        "number": same(1),
        "epochs": same(1),
        "outcome": same("accepted"),
        "provider_id": same("SM" + "0" * 32),
        "code": same("NULL"),
        "state": same("sent"),
        "reason": same("NULL"),
        "retry_in_s": same("NULL"),
        "criticality": same(CRITICALITY),
        "tries": same(0),
        "cause": same("NULL"),
        "dedupe_days": "30",
        "settle_window_s": "60",
        "look_up_s": "5",
    }


def _plain(statement: Any) -> str:
    text = statement if isinstance(statement, str) else statement.as_string()
    return re.sub(r"%\((\w+)\)s", r":\1", text).strip() + ";"


def _gathering(statement: Any, columns: str, *, names: str = "") -> str:
    """Return the statement with its last SELECT below one that gathers arrays.

    Not all of it goes below: a CTE that writes must stay on top. names: for the columns of that
    SELECT, where it leaves them without or gives two the same.
    """
    head, select, tail = ("\n" + _plain(statement).removesuffix(";")).rpartition("\nSELECT ")
    return f"{head}\nSELECT {columns}\n  FROM ({select}{tail}) AS found {names} \\gset"


def _options() -> str:
    settings = {**db._SETTINGS, **db._HOT_SETTINGS}
    return " ".join(f"-c {name}={value}" for name, value in settings.items())
