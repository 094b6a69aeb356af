"""What people want: one writes STOP, one is not to be disturbed now; and why, told of both."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bin.demo_stage import HTTP, Stage, must, say, until
from notifyq.sandbox.twilio.rules import SENDER

STOPPED, NIGHT = "+12025550166", "+12025550167"
SLEEPER = "demo-sleeper"
CATEGORY = "order.digest"  # demo.toml: goes by the recipient's hours
POSTED = 3
WAITING = 1  # of them, until the recipient's quiet hours are over
ANSWERED = 1  # the confirmation of the STOP
BEFORE = "Your order 11 has shipped."


def act(running: Stage, key: str) -> dict[str, bool]:
    """Do it all; return what has to hold."""
    return {**_stop(running, key), **_sleep(running, key)}


def _stop(running: Stage, key: str) -> dict[str, bool]:
    """Somebody who got a message writes back that they want no more."""
    first = _post(running, key, "demo-stop-1", {"phone": STOPPED}, BEFORE)
    until(lambda: running.state(first["id"]) == "delivered", "the first one arrives")
    text = {"vendor": "twilio", "from": STOPPED, "to": SENDER, "body": "please stop texting me!!"}
    HTTP.post(f"{running.sandbox}/sandbox/inbound", json=text).raise_for_status()
    took_s = until(lambda: _is_blocked(running, key), "the opt-out is in force")
    second = _post(running, key, "demo-stop-2", {"phone": STOPPED}, "Your order 12 has shipped.")
    until(lambda: running.state(second["id"]).startswith("suppressed"), "it is not sent")
    state = running.state(second["id"])
    until(lambda: len(_to(running, STOPPED)) == 2, "the opt-out is confirmed")
    got = [body for body in _to(running, STOPPED) if body != BEFORE]
    say(f'"please stop texting me!!" is in force {took_s:.2f} s after it was written: {state}')
    say(f'answered once: "{got[0]}"')
    _explain(running, STOPPED, "order.shipped")
    held = state == "suppressed (opted_out)" and len(got) == 1 and "unsubscribed" in got[0]
    return {"a STOP is confirmed once, and nothing goes out after it": held}


def _sleep(running: Stage, key: str) -> dict[str, bool]:
    """Somebody whose quiet hours are now gets it when they are over."""
    now = datetime.now(UTC)
    quiet = {
        "start": f"{now - timedelta(hours=1):%H:%M}",
        "end": f"{now + timedelta(hours=2):%H:%M}",
    }
    person = {"phones": [NIGHT], "time_zone": "Etc/UTC", "quiet_hours": quiet}
    url = f"{running.api}/v1/recipients/{SLEEPER}"
    saved = HTTP.put(url, json=person, headers={"Authorization": f"Bearer {key}"})
    must(saved.is_success, f"PUT {url}: {saved.status_code} {saved.text}")
    later = _post(running, key, "demo-sleep", SLEEPER, "Your week.", category=CATEGORY)
    say(f"quiet hours {quiet['start']}-{quiet['end']} UTC: the 202 says {later['reason']},")
    say(f"scheduled_for {later['scheduled_for']}")
    _explain(running, SLEEPER, CATEGORY)
    due = datetime.fromisoformat(later["scheduled_for"] or now.isoformat())
    over = now.replace(second=0, microsecond=0) + timedelta(hours=2)
    told = later["reason"] == "quiet_hours" and over <= due < over + timedelta(hours=1)
    unsent = not _to(running, NIGHT)
    return {"in quiet hours it waits, and the 202 says until when": told and unsent}


def _post(
    running: Stage,
    key: str,
    idempotency_key: str,
    recipient: dict[str, str] | str,
    text: str,
    *,
    category: str = "order.shipped",
) -> dict[str, Any]:
    """Post one message; return its one delivery as the 202 shows it."""
    body = {"recipient": recipient, "category": category, "content": {"sms": {"body": text}}}
    named = {"Authorization": f"Bearer {key}", "Idempotency-Key": idempotency_key}
    answer = HTTP.post(f"{running.api}/v1/notifications", json=body, headers=named)
    must(answer.status_code == 202, f"{answer.status_code}: {answer.text}")
    (delivery,) = answer.json()["deliveries"]
    found: dict[str, Any] = delivery
    return found


def _is_blocked(running: Stage, key: str) -> bool:
    asked = HTTP.post(
        f"{running.api}/v1/suppressions/lookup",
        json={"addresses": [STOPPED]},
        headers={"Authorization": f"Bearer {key}"},
    )
    must(asked.is_success, f"lookup: {asked.status_code} {asked.text}")
    return bool(asked.json()["data"][0]["blocked"])


def _to(running: Stage, number: str) -> list[str]:
    return [message["body"] for message in running.received() if message["to"] == number]


def _explain(running: Stage, recipient: str, category: str) -> None:
    told = running.notifyq("explain", recipient, category, "--tenant", "acme-rides", "--test")
    must(told.returncode == 0, f"explain: {told.stderr}")
    say(f"\nnotifyq explain {recipient} {category}\n{told.stdout.rstrip()}\n")
