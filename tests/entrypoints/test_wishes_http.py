"""The recipient decides: what is sent, when, in which words; and the 202 says so."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifyq.domain.hours import Hours
from notifyq.domain.model import Category, MessageClass
from notifyq.entrypoints.api.app import Parts

NOON = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)  # 12:00 in New York, 09:00 in Los Angeles
NIGHT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)  # 03:00 and midnight
ANN = {
    "phones": ["+12125550123"],
    "emails": ["ann@example.org"],
    "time_zone": "America/New_York",
    "locale": "es-MX",
}


@pytest.fixture
async def at_night(open_client: Any, settings: Any) -> Any:
    """A client of an API whose clock stands at three in the morning in New York."""
    categories = {
        **settings.categories,
        "reminder": Category("reminder", hours=Hours.COURTESY),
        "sale": Category(
            "sale", MessageClass.MARKETING, "offers", 259_200, hours=Hours.LEGAL, cap=3
        ),
    }

    def change(parts: Parts) -> Parts:
        from dataclasses import replace

        rules = replace(parts.notifications.rules, categories=categories)
        routes = replace(parts.notifications, now=lambda: NIGHT, rules=rules)
        return replace(parts, notifications=routes)

    return await open_client(change=change)


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
    row = await database.rows("SELECT category, recipient, hours FROM delivery")
    assert row == [("order.shipped", "ann", None)]


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


TEMPLATE = {
    "default_locale": "en",
    "locales": {
        "en": {"sms": {"body": "Order {{ order }} has shipped."}},
        "es": {"sms": {"body": "Su pedido {{ order }} va en camino."}},
    },
}


async def test_a_template_speaks_the_recipient_s_language_and_is_stamped(
    client: Any, post: Any, body: Any, database: Any
) -> None:
    await put(client, "ann", ANN)
    saved = await client.put("/v1/templates/order-shipped", json=TEMPLATE)
    assert saved.status_code == 200, saved.text
    asked = body(recipient="ann", content=None, template="order-shipped", data={"order": "8123"})
    await deliveries(await post(client, body=asked))
    assert await database.rows("SELECT body FROM content") == [("Su pedido 8123 va en camino.",)]
    stamps = await database.rows("SELECT template, template_version, locale FROM delivery")
    assert stamps == [("order-shipped", 1, "es")]


async def test_what_the_template_lacks_is_refused_at_once(
    client: Any, post: Any, body: Any, problem: Any, stores_nothing: Any
) -> None:
    await client.put("/v1/templates/order-shipped", json=TEMPLATE)
    asked = body(content=None, template="order-shipped", data={})
    async with stores_nothing():
        problem(await post(client, body=asked), 422, "invalid_request", pointer="/data/order")


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
    client: Any, open_client: Any, keys: Any, post: Any, body: Any, problem: Any
) -> None:
    await put(client, "ann", ANN)
    other = await open_client(key=keys.test)
    answer = await post(other, body=body(recipient="ann"))
    problem(answer, 422, "invalid_request", pointer="/recipient", says="kept here")
