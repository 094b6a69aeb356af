"""POST by a recipient's id, or by a template: what is looked up, what it lacks, what is refused."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from notifyq.config.categories import ProgramSettings
from notifyq.config.settings import SenderSettings
from notifyq.domain.model import Category, MessageClass
from notifyq.entrypoints.api import texts
from tests.entrypoints.test_wishes_http import ANN, client, deliveries, key_of, put, tester, wish

__all__ = ["client", "key_of", "tester"]

PHONE = "+12125550123"
IOS = {"platform": "ios", "app": "org.example.app", "token": "0a" * 32}
TEMPLATE = {
    "default_locale": "en",
    "locales": {
        "en": {"sms": {"body": "Order {{ order }} has shipped."}},
        "es": {"sms": {"body": "Su pedido {{ order }} va en camino."}},
    },
}
EVERYWHERE = {
    "default_locale": "en",
    "locales": {
        "en": {
            "sms": {"body": "Order {{ order }}."},
            "email": {"subject": "Order {{ order }}", "text": "Hi {{ name }}",
                      "html": "<p>Hi {{ name }}</p>"},
            "push": {"title": "Order", "body": "{{ order }}"},
        },
        "es": {"sms": {"body": "Pedido {{ order }}."}},
        "es-MX": {"push": {"title": "Pedido", "body": "{{ order }}"}},
    },
}  # fmt: skip


async def save(client: Any, body: Mapping[str, object] = TEMPLATE, name: str = "shipped") -> int:
    answer = await client.put(f"/v1/templates/{name}", json=body)
    assert answer.status_code == 200, answer.text
    version: int = answer.json()["version"]
    return version


def told(recipient: object = "ann", data: object = None, **more: object) -> dict[str, Any]:
    """A request by a template."""
    asked = {"recipient": recipient, "category": "order.shipped", "template": "shipped"}
    return asked | {"data": {"order": "8123"} if data is None else data} | more


def by_list(*recipients: object, **more: object) -> dict[str, Any]:
    asked = {"recipients": [*recipients], "category": "order.shipped"}
    return asked | {"content": {"sms": {"body": "x"}}} | more


# -------------------------------------------------------------------------------- recipients


async def test_who_is_not_kept_is_refused_and_the_mend_is_told(
    client: Any, post: Any, body: Any, problem: Any, stores_nothing: Any
) -> None:
    await put(client, "ann", ANN)
    rule = "is no recipient that is kept here: PUT it first, or send its addresses"
    async with stores_nothing():
        answer = await post(client, body=body(recipient="anne"))
        problem(answer, 422, "invalid_request", pointer="/recipient", says=rule)
        answer = await post(client, body=by_list("ann", "anne", {"phone": PHONE[:-1] + "4"}, "bob"))
        found = problem(answer, 422, "invalid_request", pointer="/recipients/1", says=rule)
        assert [fault["pointer"] for fault in found["errors"]] == ["/recipients/1", "/recipients/3"]


async def test_who_is_erased_is_not_kept(client: Any, post: Any, body: Any, problem: Any) -> None:
    await put(client, "ann", ANN)
    asked = body(recipient="ann")
    first = await post(client, "k", asked)
    assert (await client.delete("/v1/recipients/ann")).status_code == 204
    problem(await post(client, body=asked), 422, "invalid_request", pointer="/recipient")
    again = await post(client, "k", asked)  # what was accepted stays accepted
    assert (again.status_code, again.content) == (202, first.content)


@pytest.mark.parametrize("asked", [by_list("*"), by_list({"id": "*", "phone": PHONE})], ids=str)
async def test_the_tenant_s_defaults_are_nobody_to_be_told(
    client: Any, post: Any, problem: Any, asked: Any, stores_nothing: Any
) -> None:
    await wish(client, {"*": {"email": False}}, "*")
    pointer = "/recipients/0" + ("/id" if isinstance(asked["recipients"][0], dict) else "")
    async with stores_nothing():
        answer = await post(client, body=asked)
        problem(answer, 422, "invalid_request", pointer=pointer, says="the tenant's defaults")


async def test_who_cannot_be_reached_so_is_refused_with_what_is_missing(
    tester: Any, post: Any, body: Any, problem: Any
) -> None:
    await put(tester, "ann", {"emails": ["ann@example.org"]})
    answer = await post(tester, body=body(recipient="ann"))
    says = "has no address for what is said: sms"
    problem(answer, 422, "invalid_request", pointer="/recipient", says=says)
    answer = await post(tester, body=body(recipient="ann", channels=["sms"]))
    says = "has no phone kept here: PUT it, or leave sms out of channels"
    problem(answer, 422, "invalid_request", pointer="/recipient", says=says)
    inline = body(recipient={"email": "ann@example.org"}, channels=["sms"])
    says = "is required: channels names sms"
    answer = await post(tester, body=inline)
    problem(answer, 422, "invalid_request", pointer="/recipient/phone", says=says)


async def test_nobody_is_told_twice_by_two_ids(
    tester: Any, post: Any, problem: Any, stores_nothing: Any
) -> None:
    await put(tester, "ann", {"phones": [PHONE]})
    await put(tester, "bob", {"phones": ["+12125550124", PHONE]})
    await put(tester, "cid", {"phones": [PHONE, "+12125550125"]})
    await put(tester, "dan", {"phones": ["+12125550126"], "devices": [IOS]})
    await put(tester, "eve", {"phones": ["+12125550127"], "devices": [IOS]})
    both = {"sms": {"body": "x"}, "push": {"title": "x", "body": "x"}}
    twice = {
        "phone as /recipients/0": by_list("ann", "bob", "ann"),
        "same phone as /recipients/0": by_list("ann", "bob", "cid"),
        "phone as /recipients/0: remove one": by_list({"phone": PHONE}, "bob", "ann"),
        "same devices as /recipients/1": by_list("bob", "dan", "eve", content=both),
    }
    async with stores_nothing():
        for says, asked in twice.items():
            answer = await post(tester, body=asked)
            problem(answer, 422, "invalid_request", pointer="/recipients/2", says=says)
    assert (await post(tester, body=by_list("ann", "bob", "dan"))).status_code == 202


async def test_two_that_were_merged_are_one_in_a_list(
    client: Any, post: Any, problem: Any, database: Any
) -> None:
    await put(client, "ann", {"phones": [PHONE]})
    await put(client, "old", {"phones": ["+12125550124"]})
    answer = await client.post("/v1/recipients/ann/merge", json={"from": "old"})
    assert answer.status_code == 200, answer.text
    answer = await post(client, body=by_list("ann", "old"))
    problem(answer, 422, "invalid_request", pointer="/recipients/1", says="same phone")
    assert (await post(client, body=by_list("old"))).status_code == 202
    assert await database.rows("SELECT address FROM content") == [(PHONE,)]


async def test_each_channel_s_first_address_and_every_device_are_told(
    tester: Any, post: Any, body: Any, database: Any
) -> None:
    other = IOS | {"token": "0b" * 32}
    await put(tester, "ann", {**ANN, "phones": [PHONE, PHONE[:-1] + "4"], "devices": [IOS, other]})
    asked = body(
        recipient="ann",
        content={
            "sms": {"body": "x"},
            "email": {"subject": "s", "text": "x"},
            "push": {"title": "t", "body": "x"},
        },
    )
    found = await deliveries(await post(tester, body=asked))
    assert [one["channel"] for one in found] == ["push", "push", "sms", "email"]
    addresses = [address for (address,) in await database.rows("SELECT address FROM content")]
    device = "ios:org.example.app:"
    assert sorted(addresses) == sorted(
        [PHONE, "ann@example.org", device + "0a" * 32, device + "0b" * 32]
    )
    seen = await database.rows("SELECT DISTINCT recipient FROM delivery")
    assert seen == [("ann",)]


# --------------------------------------------------------------------------------- templates


async def test_a_template_speaks_the_recipient_s_language_and_is_stamped(
    client: Any, post: Any, database: Any
) -> None:
    await put(client, "ann", ANN)
    assert await save(client) == 1
    await deliveries(await post(client, body=told()))
    newer = {**TEMPLATE, "locales": {"en": {"sms": {"body": "Order {{ order }} is on its way."}}}}
    assert await save(client, newer) == 2
    await deliveries(await post(client, body=told()))
    assert await database.rows(
        "SELECT c.body, d.template, d.template_version, d.locale"
        "  FROM delivery d JOIN content c ON c.delivery_id = d.id ORDER BY d.id"
    ) == [
        ("Su pedido 8123 va en camino.", "shipped", 1, "es"),
        ("Order 8123 is on its way.", "shipped", 2, "en"),
    ]


async def test_what_the_request_says_itself_has_no_stamp(
    client: Any, post: Any, database: Any
) -> None:
    await deliveries(await post(client))
    stamps = "SELECT template, template_version, locale FROM delivery"
    assert await database.rows(stamps) == [(None, None, None)]


@pytest.mark.parametrize(
    ("locale", "taken"),
    [
        ("es-MX", {"sms": "es", "email": "en", "push": "es-MX"}),
        ("es", {"sms": "es", "email": "en", "push": "en"}),
        ("fr-CA", {"sms": "en", "email": "en", "push": "en"}),
        (None, {"sms": "en", "email": "en", "push": "en"}),
    ],
)
async def test_each_channel_falls_back_by_itself(
    tester: Any, post: Any, database: Any, locale: str | None, taken: dict[str, str]
) -> None:
    await save(tester, EVERYWHERE)
    await put(tester, "ann", {**ANN, "locale": locale, "devices": [IOS]})
    data = {"order": 8123, "name": "Ann"}
    await deliveries(await post(tester, body=told(data=data)))
    rows = await database.rows("SELECT channel::text, locale FROM delivery")
    assert dict(rows) == taken


async def test_the_locale_that_the_request_tells_goes_before_the_one_that_is_kept(
    client: Any, post: Any, database: Any
) -> None:
    await save(client)
    await put(client, "ann", ANN)
    await deliveries(await post(client, body=told({"id": "ann", "phone": PHONE})))
    await deliveries(await post(client, body=told({"id": "ann", "phone": PHONE, "locale": "en"})))
    rows = await database.rows("SELECT locale FROM delivery ORDER BY id")
    assert rows == [("es",), ("en",)]


async def test_what_the_data_lacks_is_pointed_at_by_every_text_that_wants_it(
    tester: Any, post: Any, problem: Any, stores_nothing: Any
) -> None:
    await save(tester, EVERYWHERE)
    await put(tester, "ann", ANN)
    async with stores_nothing():
        answer = await post(tester, body=told(data={"name": "x"}))
        says = "es/sms/body: order is undefined"
        found = problem(answer, 422, "invalid_request", pointer="/data/order", says=says)
        told_of = sorted(fault["detail"].partition(":")[0] for fault in found["errors"])
        assert told_of == ["en/email/subject", "es/sms/body"]


async def test_one_text_s_fault_is_told_once_however_many_get_it(
    client: Any, post: Any, problem: Any
) -> None:
    await save(client)
    who = [{"phone": f"+1212555{n:04}", "locale": f"es-A{n}"} for n in range(100, 200)]
    asked = told(data={}) | {"recipients": who}
    del asked["recipient"]
    found = problem(await post(client, body=asked), 422, "invalid_request", pointer="/data/order")
    assert len(found["errors"]) == 1


async def test_a_text_is_rendered_once_however_many_get_it(
    client: Any, post: Any, monkeypatch: pytest.MonkeyPatch, database: Any
) -> None:
    made: list[object] = []
    right = texts.rendered

    def counted(*given: Any, **named: Any) -> Any:
        made.append(given)
        return right(*given, **named)

    monkeypatch.setattr(texts, "rendered", counted)
    await save(client)
    locales = [None, "en", "fr", "de-CH", *(f"es-A{n}" for n in range(96))]
    who = [{"phone": f"+1212555{n:04}", "locale": at} for n, at in enumerate(locales, 100)]
    asked = told() | {"recipients": who}
    del asked["recipient"]
    assert (await post(client, body=asked)).status_code == 202
    assert len(made) == 2
    rows = "SELECT locale, count(*) FROM delivery GROUP BY 1 ORDER BY 1"
    assert await database.rows(rows) == [("en", 4), ("es", 96)]


async def test_a_channel_that_the_template_lacks_is_named(
    tester: Any, post: Any, problem: Any
) -> None:
    await save(tester)
    await put(tester, "ann", ANN)
    answer = await post(tester, body=told(channels=["sms", "email"]))
    says = "names email, which the template has no text for: leave it out, or add one"
    problem(answer, 422, "invalid_request", pointer="/channels", says=says)
    (one,) = await deliveries(await post(tester, body=told()))
    assert one["channel"] == "sms"


async def test_a_template_that_is_not_there_is_one_fault(
    tester: Any, post: Any, problem: Any
) -> None:
    await put(tester, "ann", ANN)
    for channels in (None, ["sms", "email"]):
        answer = await post(tester, body=told(channels=channels))
        found = problem(answer, 422, "invalid_request", pointer="/template", says="PUT it first")
        assert len(found["errors"]) == 1


@pytest.mark.parametrize(
    ("said", "data", "pointer", "says"),
    [
        ({"sms": {"body": "{{ x }}"}}, "x" * 1_601, "/data", "at most 1600 characters, has 1601"),
        ({"sms": {"body": "{{ x }}"}}, " \n", "/data", "at least 1 characters"),
        ({"sms": {"body": "x"}, "push": {"title": "t", "body": "b", "data": {"k": "{{ x }}"}}},
         "x" * 4_000, "/template", "en/push: must have at most 4096 bytes"),
        ({"email": {"subject": "{{ x }}", "text": "t"}}, "x" * 251, "/data", "at most 250"),
    ],
    ids=["a long sms", "an empty sms", "a large push", "a long subject"],
)  # fmt: skip
async def test_what_is_too_long_once_it_is_filled_is_refused(
    tester: Any,
    post: Any,
    problem: Any,
    stores_nothing: Any,
    said: Any,
    data: str,
    pointer: str,
    says: str,
) -> None:
    await save(tester, {"default_locale": "en", "locales": {"en": said}})
    await put(tester, "ann", {**ANN, "devices": [IOS]})
    async with stores_nothing():
        answer = await post(tester, body=told(data={"x": data}))
        problem(answer, 422, "invalid_request", pointer=pointer, says=says)


async def test_every_locale_that_is_used_is_held_to_the_size_that_the_vendor_takes(
    tester: Any, post: Any, problem: Any
) -> None:
    """The long text is not the last one that is looked at."""
    long = {"title": "t", "body": "b", "data": {"k": "{{ x }}{{ x }}"}}
    short = {"title": "t", "body": "b"}
    locales = {"en": {"push": short}, "de": {"push": long}, "es": {"push": short}}
    await save(tester, {"default_locale": "en", "locales": locales})
    who = [
        {"devices": [IOS | {"token": f"{n:02}" * 32}], "locale": locale}
        for n, locale in enumerate(["en", "de", "es"])
    ]
    asked = told(data={"x": "x" * 2_000}) | {"recipients": who}
    del asked["recipient"]
    answer = await post(tester, body=asked)
    problem(answer, 422, "invalid_request", pointer="/template", says="de/push: must have at most")


async def test_html_is_escaped_in_the_mail_and_nowhere_else(
    tester: Any, post: Any, database: Any
) -> None:
    await save(tester, EVERYWHERE)
    await put(tester, "ann", ANN)
    data = {"order": "8<1", "name": "<script>alert(1)</script>"}
    await deliveries(await post(tester, body=told(data=data)))
    rows = dict(await database.rows("SELECT body, more FROM content"))
    assert rows.keys() == {"Pedido 8<1.", "Hi <script>alert(1)</script>"}
    more = rows["Hi <script>alert(1)</script>"]
    assert "<p>Hi &lt;script&gt;alert(1)&lt;/script&gt;</p>" in more
    assert '"subject":"Order 8<1"' in more


async def test_a_slow_template_is_refused_and_holds_nobody_up(
    client: Any, post: Any, problem: Any
) -> None:
    await put(client, "ann", ANN)
    endless = "{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}x"
    await save(client, {"default_locale": "en", "locales": {"en": {"sms": {"body": endless}}}})
    answer = await post(client, body=told())
    problem(answer, 422, "invalid_request", pointer="/data", says="too much work")


# ----------------------------------------------------------------------------------- batches


async def test_in_a_batch_each_has_its_own_fault_and_the_others_go_on(
    client: Any, database: Any
) -> None:
    await save(client)
    await put(client, "ann", ANN)
    asked = [told(), told("nobody"), told(template="none"), told(data={}), told("*"), told()]
    body = {"notifications": [one | {"idempotency_key": f"k{n}"} for n, one in enumerate(asked)]}
    answer = await client.post("/v1/notifications/batch", json=body)
    found = answer.json()["results"]
    assert [one["status"] for one in found] == [202, 422, 422, 422, 422, 202]
    pointers = [one["body"]["errors"][0]["pointer"] for one in found[1:5]]
    assert pointers == ["/recipient", "/template", "/data/order", "/recipient"]
    assert await database.one("SELECT count(*) FROM delivery") == 2


# ----------------------------------------------------------------------------------- senders


async def test_marketing_of_a_brand_without_a_sender_is_refused(
    open_client: Any, key_of: Any, settings: Any, post: Any, body: Any, problem: Any
) -> None:
    sale = Category("sale", MessageClass.MARKETING, "offers", 259_200)
    here = settings.model_copy(update={"categories": {**settings.categories, "sale": sale}})
    client = await open_client(settings=here, key=await key_of("mute"))
    answer = await post(client, body=body(category="sale"))
    problem(answer, 422, "no_sender", says="brand mute, program offers, by sms")


@pytest.mark.parametrize(
    ("category", "sender", "status"),
    [
        ("login", "codes", 202),
        ("login", "default", 422),
        ("order.shipped", "codes", 422),
        ("order.shipped", "default", 202),
        ("sale", "default", 202),
    ],
)
async def test_a_separate_program_is_spoken_for_by_its_own_numbers_alone(
    open_client: Any,
    key_of: Any,
    settings: Any,
    post: Any,
    body: Any,
    category: str,
    sender: str,
    status: int,
) -> None:
    """Who answers STOP to a number means what that number sends."""
    login = Category("login", MessageClass.OTP, "codes", 300, is_separate=True)
    sale = Category("sale", MessageClass.MARKETING, "offers", 259_200)
    number = SenderSettings(provider="twilio-main", brand="acme", program=sender)
    here = settings.model_copy(
        update={
            "categories": {**settings.categories, "login": login, "sale": sale},
            "programs": {"codes": ProgramSettings(separate=True)},
            "senders": {"+14155550110": number},
        }
    )
    client = await open_client(settings=here, key=await key_of())
    answer: httpx.Response = await post(client, body=body(category=category))
    assert answer.status_code == status, answer.text
    assert status == 202 or answer.json()["code"] == "no_sender"
