"""The recipient decides: what is sent, when, in which words; and the 202 says so."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notifyq.cli.tenants import make_key
from notifyq.domain.hours import Hours
from notifyq.domain.model import Category, MessageClass
from notifyq.entrypoints.api.app import Parts
from notifyq.entrypoints.api.knowing import DEFAULTS_CACHE_S, Knower
from notifyq.services.templates import Library

NOON = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)  # 12:00 in New York, 09:00 in Los Angeles
NIGHT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)  # 03:00 and midnight
ANN = {
    "phones": ["+12125550123"],
    "emails": ["ann@example.org"],
    "time_zone": "America/New_York",
    "locale": "es-MX",
}


SCOPES = (
    "notifications:send",
    "notifications:read",
    "recipients:read",
    "recipients:write",
    "templates:read",
    "templates:write",
)


@pytest.fixture
def key_of(keys: Any, database_url: str) -> Callable[..., Awaitable[str]]:
    """await key_of(tenant, test=False): a key that may do all of it."""

    async def make(tenant: str = "acme", *, test: bool = False) -> str:
        return await make_key(database_url, tenant=tenant, test=test, scopes=SCOPES, by="test")

    return make


@pytest.fixture
async def client(open_client: Any, key_of: Any) -> Any:
    return await open_client(key=await key_of())


@pytest.fixture
async def tester(open_client: Any, key_of: Any) -> Any:
    """By a test key every channel has an account: the sandbox's."""
    return await open_client(key=await key_of(test=True))


@pytest.fixture
def open_at(open_client: Any, key_of: Any, settings: Any) -> Callable[..., Awaitable[Any]]:
    """await open_at(now): a client of an API whose clock stands, with a category of each kind."""
    legal = {"hours": Hours.LEGAL, "cap": 3}
    categories = {
        **settings.categories,
        "order.shipped": Category("order.shipped", hours=Hours.RECIPIENT),
        "reminder": Category("reminder", hours=Hours.COURTESY),
        "sale": Category("sale", MessageClass.MARKETING, "offers", 259_200, **legal),
        "news": Category("news", MessageClass.MARKETING, "offers", 259_200),
        "recall": Category("recall", is_mandatory=True),
        "digest": Category("digest", is_wanted=False),
    }

    async def make(now: datetime | None = None, *, test: bool = False) -> Any:
        def change(parts: Parts) -> Parts:
            routes = parts.notifications
            rules = replace(routes.rules, categories=categories)
            clock = routes.now if now is None else lambda: now
            routes = replace(routes, now=clock, rules=rules)
            return replace(parts, notifications=routes)

        return await open_client(change=change, key=await key_of(test=test))

    return make


@pytest.fixture
async def at_night(open_at: Any) -> Any:
    """A client of an API whose clock stands at three in the morning in New York."""
    return await open_at(NIGHT)


async def put(client: Any, name: str, body: Mapping[str, object]) -> None:
    answer = await client.put(f"/v1/recipients/{name}", json=body)
    assert answer.status_code in (200, 201), answer.text


async def deliveries(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 202, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


async def test_a_recipient_who_is_kept_is_told_by_the_id_alone(
    client: Any, post: Any, body: Any, database: Any
) -> None:
    await put(client, "ann", ANN)
    (one,) = await deliveries(await post(client, body=body(recipient="ann")))
    assert (one["channel"], one["state"], one["reason"]) == ("sms", "pending", None)
    assert await database.rows("SELECT address FROM content") == [("+12125550123",)]
    row = await database.rows("SELECT category, recipient, hours, is_by_id FROM delivery")
    assert row == [("order.shipped", "ann", None, True)]


async def test_what_is_turned_off_is_kept_and_never_sent(
    client: Any, post: Any, body: Any, database: Any, hand: Any
) -> None:
    await put(client, "ann", ANN)
    wish = {"preferences": {"order.shipped": {"sms": False}}}
    assert (await client.patch("/v1/recipients/ann/preferences", json=wish)).status_code == 200
    (one,) = await deliveries(await post(client, body=body(recipient="ann")))
    assert (one["state"], one["reason"]) == ("suppressed", "preference_off")
    assert await database.one("SELECT count(*) FROM job") == 0
    (code,) = await deliveries(
        await post(client, body=body(recipient="ann", category="login.code"))
    )
    assert code["state"] == "pending"


async def test_a_wish_that_comes_after_the_202_counts_too(
    client: Any, post: Any, body: Any, database: Any, hand: Any
) -> None:
    await put(client, "ann", ANN)
    await deliveries(await post(client, body=body(recipient="ann")))
    wish = {"preferences": {"*": {"*": False}}}
    assert (await client.patch("/v1/recipients/ann/preferences", json=wish)).status_code == 200
    assert await hand.begin() == []
    states = await database.rows("SELECT state::text, reason FROM delivery")
    assert states == [("suppressed", "preference_off")]


async def test_what_comes_at_night_waits_for_the_morning_and_says_so(
    at_night: Any, post: Any, body: Any, database: Any
) -> None:
    await put(at_night, "ann", ANN)
    asked = body(recipient="ann", category="reminder")
    (one,) = await deliveries(await post(at_night, body=asked))
    assert (one["state"], one["reason"]) == ("pending", "courtesy_hours")
    opens = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)  # 08:00 in New York
    due = datetime.fromisoformat(one["scheduled_for"])
    assert opens <= due <= opens + timedelta(minutes=10)
    assert await database.one("SELECT due FROM job") == due
    (code,) = await deliveries(
        await post(at_night, body=body(recipient="ann", category="login.code"))
    )
    assert (code["scheduled_for"], code["reason"]) == (None, None)


async def test_own_quiet_hours_hold_what_is_not_urgent(at_night: Any, post: Any, body: Any) -> None:
    quiet = {"quiet_hours": {"start": "22:00", "end": "09:30"}}
    await put(at_night, "ann", {**ANN, **quiet})
    (one,) = await deliveries(await post(at_night, body=body(recipient="ann")))
    opens = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)
    assert one["reason"] == "quiet_hours"
    assert opens <= datetime.fromisoformat(one["scheduled_for"]) <= opens + timedelta(minutes=10)


async def test_marketing_keeps_the_legal_hours_of_everywhere_they_may_be(
    at_night: Any, post: Any, body: Any
) -> None:
    await put(at_night, "ann", ANN)
    (one,) = await deliveries(await post(at_night, body=body(recipient="ann", category="sale")))
    assert one["reason"] == "legal_hours"


# ------------------------------------------------------------------------------ preferences


async def wish(client: Any, said: Mapping[str, object], name: str = "ann") -> None:
    answer = await client.patch(f"/v1/recipients/{name}/preferences", json={"preferences": said})
    assert answer.status_code == 200, answer.text


MANY = {"sms": {"body": "x"}, "email": {"subject": "s", "text": "x"}}


async def test_what_nobody_wants_by_any_channel_is_accepted_and_says_so(
    tester: Any, post: Any, body: Any, database: Any
) -> None:
    await put(tester, "ann", ANN)
    await wish(tester, {"*": {"*": False}})
    for strategy in ("all", "first"):
        answer = await post(tester, body=body(recipient="ann", content=MANY, strategy=strategy))
        found = await deliveries(answer)
        assert [(d["channel"], d["state"], d["reason"], d["scheduled_for"]) for d in found] == [
            ("sms", "suppressed", "preference_off", None),
            ("email", "suppressed", "preference_off", None),
        ]
        seen = (await tester.get(answer.headers["location"])).json()["deliveries"]
        assert [(d["state"], d["reason"]) for d in seen] == [("suppressed", "preference_off")] * 2
    assert await database.one("SELECT count(*) FROM job") == 0
    assert await database.one("SELECT count(*) FROM standby") == 0


async def test_of_several_channels_the_ones_that_are_wanted_are_taken(
    tester: Any, post: Any, body: Any
) -> None:
    await put(tester, "ann", ANN)
    await wish(tester, {"*": {"sms": False}, "order.shipped": {"email": True}})
    found = await deliveries(await post(tester, body=body(recipient="ann", content=MANY)))
    assert [(d["channel"], d["state"]) for d in found] == [
        ("sms", "suppressed"),
        ("email", "pending"),
    ]
    first = body(recipient="ann", content=MANY, strategy="first")
    found = await deliveries(await post(tester, body=first))
    assert [d["state"] for d in found] == ["suppressed", "pending"]


async def test_what_is_mandatory_is_sent_whatever_anybody_wants(
    open_at: Any, post: Any, body: Any
) -> None:
    client = await open_at()
    await put(client, "ann", ANN)
    await wish(client, {"*": {"*": False}, "recall": {"sms": False}})
    (one,) = await deliveries(await post(client, body=body(recipient="ann", category="recall")))
    assert (one["state"], one["reason"]) == ("pending", None)


async def test_what_is_off_until_it_is_wanted_waits_for_a_wish(
    open_at: Any, post: Any, body: Any
) -> None:
    client = await open_at()
    await put(client, "ann", ANN)
    asked = body(recipient="ann", category="digest")
    (one,) = await deliveries(await post(client, body=asked))
    assert (one["state"], one["reason"]) == ("suppressed", "preference_off")
    await wish(client, {"digest": {"*": True}})
    (one,) = await deliveries(await post(client, body=asked))
    assert one["state"] == "pending"


@pytest.mark.parametrize(
    "who", ["ann", {"id": "nobody", "phone": "+12125550123"}, {"phone": "+12125550123"}], ids=str
)
async def test_the_tenant_s_defaults_count_for_everybody(
    client: Any, post: Any, body: Any, who: Any
) -> None:
    await put(client, "ann", ANN)
    await wish(client, {"order.shipped": {"sms": False}}, "*")
    (one,) = await deliveries(await post(client, body=body(recipient=who)))
    assert (one["state"], one["reason"]) == ("suppressed", "preference_off")
    (code,) = await deliveries(await post(client, body=body(recipient=who, category="login.code")))
    assert code["state"] == "pending"


async def test_changed_defaults_count_within_seconds_for_who_is_not_kept(
    open_client: Any, key_of: Any, post: Any, body: Any
) -> None:
    now = 0.0

    def change(parts: Parts) -> Parts:
        knower = Knower(parts.notifications.pool, Library(), clock=lambda: now)
        return replace(parts, notifications=replace(parts.notifications, knower=knower))

    client = await open_client(change=change, key=await key_of())
    assert (await deliveries(await post(client)))[0]["state"] == "pending"
    await wish(client, {"order.shipped": {"sms": False}}, "*")
    now = DEFAULTS_CACHE_S
    assert (await deliveries(await post(client)))[0]["state"] == "suppressed"


# ------------------------------------------------------------------------------------ hours


async def test_a_delivery_that_waits_says_until_when_and_why_in_the_202_and_in_get(
    open_at: Any, post: Any, body: Any
) -> None:
    client = await open_at(datetime.now(UTC))
    now = datetime.now(ZoneInfo("America/New_York"))
    quiet = {
        "start": (now - timedelta(hours=1)).strftime("%H:%M"),
        "end": (now + timedelta(hours=2)).strftime("%H:%M"),
    }
    await put(client, "ann", {**ANN, "quiet_hours": quiet})
    answer = await post(client, body=body(recipient="ann"))
    (said,) = await deliveries(answer)
    assert (said["state"], said["reason"]) == ("pending", "quiet_hours")
    (seen,) = (await client.get(answer.headers["location"])).json()["deliveries"]
    for name in ("id", "state", "reason"):
        assert seen[name] == said[name]
    at = datetime.fromisoformat(said["scheduled_for"])
    assert datetime.fromisoformat(seen["scheduled_for"]) == at
    assert timedelta(hours=1) < at - now < timedelta(hours=2, minutes=10)


async def test_what_would_expire_before_the_hours_open_is_not_kept_waiting(
    at_night: Any, post: Any, body: Any, database: Any
) -> None:
    await put(at_night, "ann", ANN)
    expires_at = (NIGHT + timedelta(hours=2)).isoformat()
    asked = body(recipient="ann", category="reminder", expires_at=expires_at)
    (one,) = await deliveries(await post(at_night, body=asked))
    assert (one["state"], one["reason"]) == ("suppressed", "courtesy_hours")
    assert one["scheduled_for"] is None
    assert await database.one("SELECT count(*) FROM job") == 0


async def test_not_before_and_hours_both_count_and_the_later_one_is_told(
    at_night: Any, post: Any, body: Any
) -> None:
    await put(at_night, "ann", ANN)

    async def asked(hours: float) -> tuple[str, datetime]:
        at = (NIGHT + timedelta(hours=hours)).isoformat()
        answer = await post(
            at_night, body=body(recipient="ann", category="reminder", not_before=at)
        )
        (one,) = await deliveries(answer)
        return one["reason"], datetime.fromisoformat(one["scheduled_for"])

    opens = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
    reason, due = await asked(1)
    assert reason == "courtesy_hours"
    assert opens <= due <= opens + timedelta(minutes=10)
    assert await asked(8) == ("not_before", NIGHT + timedelta(hours=8))


async def test_the_zone_that_the_request_tells_goes_before_the_one_that_is_kept(
    open_at: Any, post: Any, body: Any
) -> None:
    client = await open_at(NOON)
    await put(client, "ann", {**ANN, "time_zone": "Asia/Tokyo"})  # 02:00 there
    asked = body(recipient="ann", category="reminder")
    (one,) = await deliveries(await post(client, body=asked))
    assert one["reason"] == "courtesy_hours"
    here = {"id": "ann", "phone": "+12125550123", "time_zone": "America/New_York"}
    (one,) = await deliveries(await post(client, body=asked | {"recipient": here}))
    assert (one["state"], one["reason"]) == ("pending", None)


async def test_a_list_of_ids_is_looked_up_at_once(
    client: Any, post: Any, body: Any, database: Any
) -> None:
    for n in range(5):
        await put(client, f"u{n}", {"phones": [f"+1212555010{n}"]})
    asked = {**body(), "recipients": [f"u{n}" for n in range(5)]}
    del asked["recipient"]
    answer = await post(client, body=asked)
    assert answer.status_code == 202, answer.text
    assert await database.one("SELECT count(*) FROM delivery") == 5


async def test_test_keys_have_recipients_and_templates_of_their_own(
    client: Any, tester: Any, post: Any, body: Any, problem: Any
) -> None:
    await put(client, "ann", ANN)
    answer = await post(tester, body=body(recipient="ann"))
    problem(answer, 422, "invalid_request", pointer="/recipient", says="kept here")
