"""Templates over HTTP: saved as versions, shown, rendered; each refusal says what to mend."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from notifyq.cli.tenants import make_key
from notifyq.entrypoints.api.openapi import document
from notifyq.entrypoints.api.templates import READ, WRITE
from tests.entrypoints.test_openapi import validator

ALL = (READ, WRITE)
SHIPPED = {
    "default_locale": "en",
    "locales": {
        "en": {
            "sms": {"body": "Order {{ order.id }} has shipped."},
            "email": {
                "subject": "Order {{ order.id }}",
                "text": "Hi {{ name }}",
                "html": "<p>Hi {{ name }}</p>",
            },
            "push": {
                "title": "Shipped",
                "body": "{{ order.id }}",
                "data": {"id": "{{ order.id }}"},
            },
        },
        "es": {"sms": {"body": "El pedido {{ order.id }} está en camino ✓"}},
    },
}
DATA = {"order": {"id": 8123}, "name": "<Ana>"}
URL = "/v1/templates/order-shipped"


@pytest.fixture
def key_of(keys: Any, database_url: str) -> Callable[..., Awaitable[str]]:
    async def make(
        tenant: str = "acme", *, test: bool = False, scopes: tuple[str, ...] = ALL
    ) -> str:
        return await make_key(database_url, tenant=tenant, test=test, scopes=scopes, by="test")

    return make


@pytest.fixture
async def author(open_client: Any, key_of: Any) -> Any:
    return await open_client(key=await key_of())


def sms(source: str, **more: Any) -> dict[str, Any]:
    return {"default_locale": "en", "locales": {"en": {"sms": {"body": source}}}} | more


async def put(client: Any, body: Any, url: str = URL) -> dict[str, Any]:
    answer = await client.put(url, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    validator("SavedAnswer").validate(found)
    return found


async def render(client: Any, url: str = URL, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"{url}/render", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    validator("RenderAnswer").validate(found)
    return found


# ------------------------------------------------------------------------- saved and shown


async def test_it_is_saved_as_versions_and_the_same_again_is_none(author: Any) -> None:
    first = await put(author, SHIPPED)
    assert (first["name"], first["version"], first["changed"]) == ("order-shipped", 1, True)
    assert first["variables"] == ["name", "order.id"]
    assert first["created_by"] == author.headers["Authorization"].split()[1][:16]
    same = {"locales": SHIPPED["locales"], "default_locale": "EN", "example": DATA}
    assert await put(author, same) == first | {"changed": False}
    assert (await put(author, sms("Other")))["version"] == 2
    assert (await put(author, SHIPPED))["version"] == 3


async def test_it_is_shown_as_it_was_saved(author: Any, problem: Any) -> None:
    await put(author, SHIPPED)
    await put(author, sms("Other"))
    seen = {}
    for version in ("", "?version=1", "?version=2"):
        answer = await author.get(URL + version)
        validator("TemplateAnswer").validate(answer.json())
        seen[version] = answer.json()
    assert seen[""] == seen["?version=2"]
    assert seen["?version=1"]["locales"] == SHIPPED["locales"]
    assert (seen["?version=1"]["default_locale"], seen["?version=1"]["version"]) == ("en", 1)
    problem(await author.get(f"{URL}?version=3"), 404, "not_found")
    for bad in ("0", "x", "-1", "99999999999", "2147483648"):
        problem(
            await author.get(f"{URL}?version={bad}"), 422, "invalid_request", pointer="/version"
        )


async def test_locales_are_kept_in_their_normal_form(author: Any, problem: Any) -> None:
    said = {"sms": {"body": "x"}}
    await put(author, {"default_locale": "pt_br", "locales": {"PT-br": said}})
    shown = (await author.get(URL)).json()
    assert (shown["default_locale"], list(shown["locales"])) == ("pt-BR", ["pt-BR"])
    twice = {"default_locale": "en-us", "locales": {"en-US": said, "en_us": said}}
    problem(
        await author.put(URL, json=twice), 422, "invalid_request",
        pointer="/locales/en_us", says="en-US once more",
    )  # fmt: skip


async def test_what_is_replaced_must_be_the_newest(author: Any, problem: Any) -> None:
    assert (await put(author, sms("one", replaces=0)))["version"] == 1
    answer = await author.put(URL, json=sms("two", replaces=0))
    assert problem(answer, 409, "version_conflict")["detail"] == "the newest version is 1"
    assert (await put(author, sms("two", replaces=1)))["version"] == 2
    assert (await put(author, sms("two", replaces=1)))["version"] == 2


async def test_two_at_once_that_replace_the_same_are_not_both_saved(author: Any) -> None:
    await put(author, sms("one"))
    found = await asyncio.gather(
        *(author.put(URL, json=sms(f"text {n}", replaces=1)) for n in range(5))
    )
    assert sorted(answer.status_code for answer in found) == [200, 409, 409, 409, 409]


async def test_each_tenant_mode_and_scope_has_its_own(
    author: Any, open_client: Any, key_of: Any, problem: Any
) -> None:
    await put(author, SHIPPED)
    for whose in (await key_of("globex"), await key_of(test=True)):
        other = await open_client(key=whose)
        problem(await other.get(URL), 404, "not_found")
        problem(await other.post(f"{URL}/render", json={}), 404, "not_found")
        assert (await put(other, sms("theirs")))["version"] == 1
    assert (await author.get(URL)).json()["locales"] == SHIPPED["locales"]
    reader = await open_client(key=await key_of(scopes=(READ,)))
    assert (await reader.get(URL)).status_code == 200
    problem(await reader.put(URL, json=SHIPPED), 403, "missing_scope", says=WRITE)
    writer = await open_client(key=await key_of(scopes=(WRITE,)))
    problem(await writer.get(URL), 403, "missing_scope", says=READ)
    problem(await writer.post(f"{URL}/render", json={}), 403, "missing_scope", says=READ)


# --------------------------------------------------------------------------------- rendered


async def test_it_is_rendered_by_channel_with_segments(author: Any) -> None:
    await put(author, SHIPPED)
    assert await render(author, data=DATA) == {
        "name": "order-shipped",
        "version": 1,
        "sms": {
            "body": "Order 8123 has shipped.",
            "segments": 1,
            "encoding": "gsm",
            "locale": "en",
        },
        "email": {
            "subject": "Order 8123",
            "text": "Hi <Ana>",
            "html": "<p>Hi &lt;Ana&gt;</p>",
            "locale": "en",
        },
        "push": {"title": "Shipped", "body": "8123", "data": {"id": "8123"}, "locale": "en"},
    }


async def test_each_channel_falls_back_by_itself(author: Any) -> None:
    await put(author, SHIPPED)
    found = await render(author, data=DATA, locale="es_mx")
    assert {channel: found[channel]["locale"] for channel in ("sms", "email", "push")} == {
        "sms": "es",
        "email": "en",
        "push": "en",
    }
    assert found["sms"]["encoding"] == "utf16"
    assert (await render(author, data=DATA, locale="fr"))["sms"]["locale"] == "en"


async def test_a_version_and_channels_can_be_picked(author: Any, problem: Any) -> None:
    await put(author, SHIPPED)
    await put(author, sms("x" * 161))
    found = await render(author)
    assert (found["version"], found["sms"]["segments"]) == (2, 2)
    assert found.keys() == {"name", "version", "sms"}
    old = await render(author, version=1, channels=["push"], data=DATA)
    assert old.keys() == {"name", "version", "push"}
    answer = await author.post(f"{URL}/render", json={"channels": ["email"]})
    problem(answer, 422, "invalid_request", pointer="/channels", says="no text")
    answer = await author.post(f"{URL}/render", json={"version": 9})
    problem(answer, 404, "not_found")


async def test_what_the_data_lacks_is_pointed_at(author: Any, problem: Any) -> None:
    await put(author, SHIPPED)
    answer = await author.post(f"{URL}/render", json={"data": {"order": {}, "name": "x"}})
    problem(
        answer, 422, "invalid_request",
        pointer="/data/order/id", says="en/sms/body: order.id is undefined",
    )  # fmt: skip
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"/data/order/id"}
    assert len(answer.json()["errors"]) == 4
    answer = await author.post(f"{URL}/render", json={"data": {"a/b": 1}, "channels": ["sms"]})
    problem(answer, 422, "invalid_request", pointer="/data/order/id")


@pytest.mark.parametrize(
    ("said", "data", "says"),
    [
        (
            {"sms": {"body": "{{ x }}"}},
            "x" * 1_601,
            "en/sms/body: what it says must have at most 1600",
        ),
        ({"sms": {"body": "{{ x }}"}}, " \n ", "what it says must have at least 1"),
        ({"sms": {"body": "{{ x }}"}}, "a\0", "NUL"),
        (
            {"push": {"title": "t", "body": "b", "data": {"k": "{{ x }}"}}},
            "x" * 4_000,
            "4096 bytes",
        ),
        ({"push": {"title": "{{ x }}", "body": "b"}}, "x" * 201, "at most 200"),
        ({"email": {"subject": "{{ x }}", "text": "t"}}, "x" * 251, "at most 250"),
        (
            {"email": {"subject": "s", "text": "t", "html": "{{ x }}"}},
            "<" * 30_000,
            "at most 100000",
        ),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_what_is_too_long_is_refused_when_saved_and_when_said(
    author: Any, problem: Any, said: Any, data: str, says: str
) -> None:
    body = {"default_locale": "en", "locales": {"en": said}}
    answer = await author.put(URL, json=body | {"example": {"x": data}})
    problem(answer, 422, "invalid_request", pointer="/example", says=says)
    problem(await author.get(URL), 404, "not_found")
    await put(author, body | {"example": {"x": "x"}})
    answer = await author.post(f"{URL}/render", json={"data": {"x": data}})
    problem(answer, 422, "invalid_request", pointer="/data", says=says)


async def test_an_endless_template_holds_nobody_up(author: Any, problem: Any) -> None:
    endless = sms("{% for i in (1..99999999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}x")
    answer = await author.put(URL, json=endless | {"example": {}})
    problem(answer, 422, "invalid_request", pointer="/example", says="too much work")
    await put(author, endless)  # by its source alone it cannot be told
    async with asyncio.timeout(20):
        found = await asyncio.gather(
            *(author.post(f"{URL}/render", json={}) for _ in range(3)), author.get("/healthz")
        )
    assert [answer.status_code for answer in found] == [422, 422, 422, 200]


# --------------------------------------------------------------------------------- refused

LOCALES: dict[str, Any] = {"en": {"sms": {"body": "x"}}}
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({}, "/default_locale", "required"),
    ({"locales": {}}, "/locales", "at least 1"),
    ({"locales": {"en": {}}}, "/locales/en", "says nothing"),
    ({"locales": {"en": {"fax": {}}}}, "/locales/en/fax", "unknown field"),
    ({"locales": {"en": {"sms": {"body": ""}}}}, "/locales/en/sms/body", "at least 1"),
    ({"locales": {"en": {"sms": {"body": "x" * 100_001}}}}, "/locales/en/sms/body", "at most 10"),
    ({"locales": {"en": {"email": {"subject": "x"}}}}, "/locales/en/email/text", "required"),
    ({"locales": {"x/y~": LOCALES["en"]}}, "/locales/x~1y~0", "language tag"),
    ({"default_locale": "english"}, "/default_locale", "language tag"),
    ({"default_locale": "de"}, "/locales", "must have the default_locale, de"),
    ({"locales": {"en": LOCALES["en"], "de": {"push": {"title": "t", "body": "b"}}}},
     "/locales/en/push", "is required: other locales have it"),
    ({"locales": {"en": {"sms": {"body": "a\n{{ b"}}}}, "/locales/en/sms/body", "line 2: {{ is"),
    ({"locales": {"en": {"sms": {"body": "{{ b | nope }}"}}}}, "/locales/en/sms/body",
     "there is no filter 'nope'; there are: abs"),
    ({"locales": {"en": {"sms": {"body": "{% include 'x' %}"}}}}, "/locales/en/sms/body",
     "there is no tag 'include'"),
    ({"locales": {"en": {"push": {"title": "t", "body": "b", "data": {"a/b": "{{"}}}}},
     "/locales/en/push/data/a~1b", "line 1"),
    ({"locales": {"en": {"sms": {"body": "{{ a.b }}"}}}, "example": {"a": {}}}, "/example/a/b",
     "en/sms/body: a.b is undefined"),
    ({"example": {"a": [0] * 2_001}}, "/example", "at most 2000 values"),
    ({"example": []}, "/example", "dictionary"),
    ({"replaces": -1}, "/replaces", "greater"),
    ({"replaces": "1"}, "/replaces", "integer"),
    ({"name": "x"}, "/name", "unknown field"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "pointer", "says"), BAD, ids=lambda value: str(value)[:40])
async def test_a_bad_template_is_not_saved(
    author: Any, problem: Any, stores_nothing: Any, change: Any, pointer: str, says: str
) -> None:
    body = {"default_locale": "en", "locales": LOCALES} | change if change else {"locales": LOCALES}
    async with stores_nothing():
        answer = await author.put(URL, json=body)
    problem(answer, 422, "invalid_request", pointer=pointer, says=says)
    validator("ProblemAnswer").validate(answer.json())


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"data": []}, "/data"),
        ({"locale": "english"}, "/locale"),
        ({"version": 0}, "/version"),
        ({"version": "1"}, "/version"),
        ({"channels": []}, "/channels"),
        ({"channels": ["fax"]}, "/channels/0"),
        ({"extra": 1}, "/extra"),
    ],
    ids=str,
)
async def test_a_bad_render_is_refused(author: Any, problem: Any, body: Any, pointer: str) -> None:
    await put(author, sms("x"))
    answer = await author.post(f"{URL}/render", json=body)
    problem(answer, 422, "invalid_request", pointer=pointer)


async def test_names_and_sizes_have_bounds(author: Any, problem: Any) -> None:
    await put(author, sms("x"), "/v1/templates/" + "a" * 100)
    for name in ("A", "a" * 101, "a%20b", "%C3%BC"):
        url = f"/v1/templates/{name}"
        problem(await author.put(url, json=sms("x")), 422, "invalid_request", pointer="/name")
        problem(await author.get(url), 404, "not_found")
        problem(await author.post(f"{url}/render", json={}), 404, "not_found")
    many = {f"{one}{two}": {"email": {"subject": "s", "text": "t" * 50_000}} for one in "ab"
            for two in "abcdefghijklmnop"}  # fmt: skip
    big = {"default_locale": "aa", "locales": many}
    problem(await author.put(URL, json=big), 413, "body_too_large", says="1048576")
    del many["bp"]
    fits = {"default_locale": "aa", "locales": dict(list(many.items())[:20])}
    assert (await put(author, fits))["version"] == 1


async def test_other_methods_are_told_what_there_is(author: Any, problem: Any) -> None:
    answer = await author.delete(URL)
    problem(answer, 405, "method_not_allowed")
    assert {"GET", "PUT"} <= {word.strip() for word in answer.headers["allow"].split(",")}


def test_every_answer_is_described() -> None:
    paths = document()["paths"]
    put_codes = {"200", "400", "401", "403", "409", "413", "415", "422", "503"}
    assert paths["/v1/templates/{name}"]["put"]["responses"].keys() >= put_codes
    get_codes = {"200", "401", "403", "404", "422", "503"}
    assert paths["/v1/templates/{name}"]["get"]["responses"].keys() >= get_codes
    assert paths["/v1/templates/{name}/render"]["post"]["responses"].keys() >= get_codes
