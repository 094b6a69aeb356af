"""What people do: wait for the outcome, call back, redrive a dead letter, resolve a doubt."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from bin.demo_stage import HTTP, Stage, must, post, say, until

WAITED, DEAD, HELD_BACK = "+12025550163", "+12025550164", "+12025550165"
POSTED = 3


def act(running: Stage, key: str, doubtful: str) -> dict[str, bool]:
    """Do it all; return what has to hold. doubtful: the delivery that is in doubt."""
    return {
        **_wait(running, key),
        **_call_back(running, key),
        **_redrive(running, key),
        **_resolve(running, doubtful),
    }


def _wait(running: Stage, key: str) -> dict[str, bool]:
    answer = post(running, key, "demo-wait", WAITED, "Did it go out?", Prefer="wait=5")
    state = answer.json()["deliveries"][0]["state"]
    applied = answer.headers.get("preference-applied")
    say(f"Prefer: wait=5 -> {answer.status_code}, {applied}, the delivery is {state}")
    settled = answer.status_code == 200 and state in ("sent", "delivered")
    return {"Prefer: wait answers once it is settled": settled and applied == "wait=5"}


def _call_back(running: Stage, key: str) -> dict[str, bool]:
    later = datetime.now(UTC) + timedelta(hours=1)
    made = post(running, key, "demo-cancel", HELD_BACK, "Called back.", not_before=later).json()
    url = f"{running.api}/v1/notifications/{made['id']}/cancel"
    told = HTTP.post(url, headers={"Authorization": f"Bearer {key}"})
    must(told.status_code == 200, f"cancel: {told.status_code} {told.text}")
    came = told.json()["deliveries"][0]["cancel"]
    say(f"one that was to go out in an hour is called back: {came}")
    return {"what is called back in time is canceled": came == "canceled"}


def _redrive(running: Stage, key: str) -> dict[str, bool]:
    """A number is refused once: its delivery is dead, until somebody makes it due again."""
    running.fault(DEAD, "refuse", code=21211)
    delivery = post(running, key, "demo-dead", DEAD, "Refused once.").json()["deliveries"][0]["id"]
    until(lambda: running.state(delivery).startswith("dead"), "the provider refuses it")
    dead = running.state(delivery)
    rehearsed, first, second = (
        _dlq(running, delivery, *more)
        for more in (["--dry-run"], ["--reason", "mended"], ["--reason", "again"])
    )
    until(lambda: running.state(delivery) == "delivered", "the redriven one arrives")
    say(f"a refused one: {dead}; dlq redrive --dry-run: {rehearsed}; then {first}; then {second}")
    return {
        "a dead letter is redriven once": (rehearsed, first, second)
        == ("would_redrive", "redriven", "refused")
    }


def _dlq(running: Stage, delivery: str, *more: str) -> str:
    done = running.notifyq("dlq", "redrive", delivery, *more, "--json")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    must(len(rows) == 1, f"dlq redrive: {done.stdout}{done.stderr}")
    return str(rows[0]["result"])


def _resolve(running: Stage, delivery: str) -> dict[str, bool]:
    """Somebody looked at the provider: it has nothing of it. So it may be sent after all."""
    listed = json.loads(running.notifyq("doubt", "list", "--json").stdout)
    (doubt,) = [one for one in listed if one["id"] == delivery]
    there = [m for m in running.received() if m["reference"] == doubt["reference"]]
    say(f"doubt list: {doubt['reference']} at {doubt['provider']}, next: {doubt['next']}")
    evidence = f"the provider lists {len(there)} messages with this reference"
    claim = "carried-out" if there else "not-carried-out"
    done = running.notifyq(
        "doubt", "resolve", delivery, "--as", claim, "--evidence", evidence, "--reason", "demo"
    )
    must(done.returncode == 0, f"doubt resolve: {done.stderr}")
    say(f"doubt resolve --as {claim}: {done.stdout.strip()}")
    until(lambda: running.state(delivery) == "delivered", "what was not carried out is sent")
    times = sum(m["reference"][:29] == doubt["reference"][:29] for m in running.received())
    return {"a doubt that is refuted by evidence is sent once": times == 1}
