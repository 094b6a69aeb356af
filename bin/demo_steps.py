"""The demo: the samples over HTTP, a repeated POST, an opt-out, a worker killed in mid-send, what
people do by hand (wait, call back, redrive, resolve), and what they want (STOP, quiet hours).

Exit 0 only if every delivery is where it should be and nobody received anything twice.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bin import demo_people, demo_vendors, demo_wishes
from bin.demo_stage import (
    HTTP,
    DemoFailed,
    Stage,
    expected,
    must,
    post,
    samples,
    say,
    stage,
    until,
)
from notifyq.cli.tenants import SCOPES, make_key
from notifyq.store import db, tenants

OPTED_OUT_PER_TENANT = 1
HELD_BEFORE, HELD_AFTER = "+12025550160", "+12025550161"
TEXT = {HELD_BEFORE: "Held before it was accepted.", HELD_AFTER: "Held after it was accepted."}


def main() -> int:
    """Run the demo; return the exit code."""
    began = time.monotonic()
    try:
        with stage() as running:
            say(f"API {running.api}   sandbox {running.sandbox}")
            keys = asyncio.run(_tenants(running))
            stopped = _opt_out(running)
            _send_samples(running, keys)
            _repeat(running, keys["acme-rides"])
            killed = _kill_a_worker(running, keys["acme-rides"])
            _settle_down(running)
            before = _held_before(running, killed[HELD_BEFORE])
            by_hand = demo_people.act(running, keys["acme-rides"], killed[HELD_BEFORE])
            by_hand |= demo_vendors.act(running)
            by_hand |= demo_wishes.act(running, keys["acme-rides"])
            _settle_down(running)
            ok = _table(running, stopped, killed, before | by_hand)
            _explain(running, next(iter(stopped.values())))
    except DemoFailed as error:
        click.echo(f"\nNOT AS IT SHOULD BE: {error}", err=True)
        return 1
    verdict = "All as it should be" if ok else "NOT AS IT SHOULD BE"
    say(f"{verdict}; {time.monotonic() - began:.0f} s")
    return 0 if ok else 1


async def _tenants(running: Stage) -> dict[str, str]:
    keys = {}
    for name in expected():
        async with await db.connect(running.url, autocommit=True) as conn:
            await tenants.create(conn, cell=0, name=name, brand=name, actor="demo")
        keys[name] = await make_key(running.url, tenant=name, test=True, scopes=SCOPES, by="demo")
    return keys


def _opt_out(running: Stage) -> dict[str, str]:
    """Opt one recipient of each tenant out; return {tenant: number}."""
    stopped = {}
    for name in expected():
        refused = expected()[name]["refused"]
        lines = (samples() / f"{name}.ndjson").read_text(encoding="utf-8").splitlines()
        good = [line for n, line in enumerate(lines, 1) if line and str(n) not in refused]
        stopped[name] = _address(json.loads(good[0])["recipient"])
        done = running.notifyq(
            "optout", "add", stopped[name], "--brand", name, "--test", "--reason", "asked by phone"
        )
        must(done.returncode == 0, f"optout add: {done.stderr}")
    say(f"opted out before anything was sent: {', '.join(stopped.values())}")
    return stopped


def _send_samples(running: Stage, keys: dict[str, str]) -> None:
    for name, wanted in expected().items():
        path = str(samples() / f"{name}.ndjson")
        done = running.notifyq("send", path, "--json", NOTIFYQ_API_KEY=keys[name])
        report = json.loads(done.stdout)
        refused = {
            str(r["line"]): (r["status"], r["code"], r.get("pointer")) for r in report["refused"]
        }
        should = {
            line: (r["status"], r["code"], r.get("pointer"))
            for line, r in wanted["refused"].items()
        }
        for line in sorted(refused.keys() | should.keys(), key=int):
            must(
                refused.get(line) == should.get(line),
                f"{name} line {line}: refused {refused.get(line)}, expected {should.get(line)}",
            )
        accepted = Counter(line["replayed"] for line in report["accepted"])
        must(accepted[False] == wanted["accepted"], f"{name}: {accepted[False]} accepted")
        must(accepted[True] == wanted["replayed"], f"{name}: {accepted[True]} replayed")
        say(
            f"{name}: {wanted['lines']} lines, {accepted[False]} accepted, "
            f"{accepted[True]} replayed, {len(refused)} refused, each with its expected reason"
        )


def _repeat(running: Stage, key: str) -> None:
    first, again = (post(running, key, "demo-repeat", "+12025550162", "Once.") for _ in "ab")
    must(first.content == again.content, "a repeated POST got another answer")
    must(again.headers.get("idempotent-replayed") == "true", "the replay is not marked")
    say("a POST repeated with its key: the same bytes again, Idempotent-Replayed: true")


def _kill_a_worker(running: Stage, key: str) -> dict[str, str]:
    """kill -9 the worker while the provider holds two requests; return {number: delivery}."""
    for number, fault in ((HELD_BEFORE, "hold_before_accept"), (HELD_AFTER, "hold_after_accept")):
        running.fault(number, fault)
    made = {}
    for number, text in TEXT.items():
        answer = post(running, key, f"demo-{number}", number, text)
        made[number] = answer.json()["deliveries"][0]["id"]
    until(lambda: len(_held(running)) == 2, "the sandbox holds both requests")
    pid = running.kill("worker")
    say(f"kill -9 of worker {pid} while the provider holds a request before and one after")
    running.start("worker", "worker", "--channel", "all")
    return made


def _held_before(running: Stage, delivery: str) -> dict[str, bool]:
    """What nobody accepted is in doubt, for nobody can know it; and it is not sent again."""
    state, times = running.state(delivery), _times(running.received(), HELD_BEFORE)
    say(f"held before acceptance: {state}; the provider has it {times}x")
    claim = "held before: in doubt, not sent again"
    return {claim: state == "in_doubt (lease_expired)" and times == 0}


def _address(recipient: dict[str, Any]) -> str:
    return str(recipient.get("phone") or recipient.get("email"))


def _settle_down(running: Stage) -> None:
    # APNs, FCM and a mail relay report nothing back: what they took stays `sent`.
    waiting = """SELECT count(*) FROM notifyq.delivery d
                  WHERE (state = 'pending' AND reason IS DISTINCT FROM 'quiet_hours')
                     OR (state = 'sent' AND NOT EXISTS (
                        SELECT FROM notifyq.attempt a JOIN notifyq.lane l USING (cell)
                         WHERE a.cell = d.cell AND a.delivery_id = d.id AND l.id = a.lane
                           AND l.provider IN ('smtp-main', 'sandbox-apns', 'sandbox-fcm')))"""
    took_s = until(lambda: running.rows(waiting)[0][0] == 0, "no delivery is pending or sent", 90)
    say(f"everything came to rest after {took_s:.1f} s")


def _table(
    running: Stage, stopped: dict[str, str], killed: dict[str, str], so_far: dict[str, bool]
) -> bool:
    """Print what became of everything; return whether all is as it should be."""
    received = running.received()
    by_delivery = Counter(_delivery(message["reference"]) for message in received)
    by_person = Counter((message["to"], message["body"]) for message in received)
    states = running.rows(
        """SELECT t.name, d.state::text, coalesce(d.reason, ''), count(*)
             FROM notifyq.delivery d JOIN notifyq.tenant t ON t.cell = d.cell AND t.id = d.tenant_id
            GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
    )
    table = Table("tenant", "state", "reason", "deliveries", title="What became of them", box=None)
    for tenant, state, reason, count in states:
        table.add_row(tenant, state, reason, str(count))
    Console(width=100).print(table)
    twice = [key for key, count in (by_delivery + by_person).items() if count > 1]
    say(f"the providers accepted {len(received)} messages; received twice: {len(twice)}")
    after = running.state(killed[HELD_AFTER])
    say(f"held after acceptance:  {after}; the provider has it {_times(received, HELD_AFTER)}x")
    arrived = ("delivered", "sent")
    delivered = sum(count for _, state, _, count in states if state in arrived)
    waits = ("pending", "quiet_hours")
    unsent = {row[1] for row in states if row[1:3] != waits}
    unsent -= {*arrived, "suppressed", "canceled"}
    to_stopped = [m for m in received if m["to"] in stopped.values()]
    wanted = sum(entry.get("deliveries", entry["accepted"]) for entry in expected().values())
    wanted += 3 + demo_people.POSTED + demo_vendors.POSTED
    wanted += demo_wishes.POSTED + demo_wishes.ANSWERED
    checks = {
        "nobody received anything twice": not twice,
        "every acceptance is a delivery that says so": delivered == len(received),
        "all but the opted-out, the called back and the one that waits went out": not unsent,
        "nothing was lost": sum(row[3] for row in states) == wanted,
        "nobody who opted out received anything": not to_stopped,
        **so_far,
        "held after: settled by its callback": after == "delivered"
        and _times(received, HELD_AFTER) == 1,
    }
    for claim, holds in checks.items():
        say(f"{'ok ' if holds else 'NO '} {claim}")
    return all(checks.values())


def _explain(running: Stage, number: str) -> None:
    say(f"\nWhy did {number} get nothing? notifyq show {number}")
    click.echo("\n".join(running.notifyq("show", number).stdout.splitlines()[:14]))


def _held(running: Stage) -> list[Any]:
    held: list[Any] = HTTP.get(f"{running.sandbox}/sandbox/held").json()["data"]
    return held


def _delivery(reference: str) -> str:
    """Return what names the delivery in a reference; a push carries nothing else."""
    return reference if reference.startswith("dlv_") else f"dlv_{reference[:29]}"


def _times(received: list[dict[str, Any]], number: str) -> int:
    return sum(message["to"] == number for message in received)


if __name__ == "__main__":
    sys.exit(main())
