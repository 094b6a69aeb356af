"""The vendors: mail and text by a live key too, a dead device, and who received what."""

import asyncio
from collections import Counter
from typing import Any

from bin.demo_stage import HTTP, Stage, must, say, until
from notifyq.cli.tenants import SCOPES, make_key

VENDORS = ("apns", "fcm", "sendgrid", "ses", "sinch", "smtp", "twilio")
LIVE = (
    ("order.shipped", {"phone": "+14155550177"}, {"sms": {"body": "By Sinch."}}),
    (
        "order.shipped",
        {"email": "ines@example.org"},
        {"email": {"subject": "S", "text": "By SES."}},
    ),
    ("trip.mailed", {"email": "hugo@example.org"}, {"email": {"subject": "R", "text": "By SMTP."}}),
)
POSTED = len(LIVE)


def act(running: Stage) -> dict[str, bool]:
    """Send by the accounts of a live key; return what has to hold of all seven vendors."""
    key = asyncio.run(
        make_key(running.url, tenant="meadow-market", test=False, scopes=SCOPES, by="demo")
    )
    for number, (category, recipient, content) in enumerate(LIVE):
        asked = {"category": category, "recipient": recipient, "content": content}
        _post(running, key, f"demo-live-{number}", asked)
    until(lambda: _has_all(running), "every vendor received something")
    counts = Counter(message["vendor"] for message in running.received())
    say("accepted, by vendor: " + ", ".join(f"{vendor} {counts[vendor]}" for vendor in VENDORS))
    checked = {
        name: running.notifyq("provider", "check", name) for name in ("sinch-main", "ses-main")
    }
    for name, done in checked.items():
        say(f"provider check {name}: " + "; ".join(done.stdout.splitlines()))
    return {
        "every one of the seven vendors received something": all(counts[v] for v in VENDORS),
        "provider check finds nothing wrong": not any(done.returncode for done in checked.values()),
    }


def _has_all(running: Stage) -> bool:
    return {message["vendor"] for message in running.received()} >= set(VENDORS)


def _post(running: Stage, key: str, idempotency_key: str, asked: dict[str, Any]) -> None:
    named = {"Authorization": f"Bearer {key}", "Idempotency-Key": idempotency_key}
    answer = HTTP.post(f"{running.api}/v1/notifications", json=asked, headers=named)
    must(answer.status_code == 202, f"{answer.status_code}: {answer.text}")
