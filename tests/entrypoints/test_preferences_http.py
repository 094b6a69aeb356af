"""What recipients want, over HTTP: entry by entry, by category and by channel."""

from typing import Any

import pytest

from notifyq.cli.tenants import make_key
from tests.entrypoints.test_openapi import validator
from tests.entrypoints.test_recipients_http import ALL, ANN, URL, at, get, patch, put, wishes


@pytest.fixture
async def api(open_client: Any, keys: Any, database_url: str) -> Any:
    key = await make_key(database_url, tenant="acme", test=False, scopes=ALL, by="test")
    return await open_client(key=key)


async def test_preferences_are_changed_entry_by_entry(api: Any) -> None:
    await put(api, {})
    body = {
        "preferences": {"order.shipped": {"sms": False, "*": True}, "*": {"email": False}},
        "quiet_hours": {"start": "22:00", "end": "07:00"},
    }
    found = await patch(api, body)
    assert found == {"id": "user_42", "version": 2, **body}
    assert await patch(api, body) == found
    assert await patch(api, {}) == found
    found = await patch(api, {"preferences": {"order.shipped": {"sms": None, "push": False}}})
    assert found["preferences"] == {
        "*": {"email": False},
        "order.shipped": {"*": True, "push": False},
    }
    assert found["quiet_hours"] == body["quiet_hours"]
    found = await patch(api, {"preferences": {"order.shipped": None}, "quiet_hours": None})
    assert (found["preferences"], found["quiet_hours"]) == ({"*": {"email": False}}, None)
    found = await patch(api, {"preferences": {"*": {"email": None}, "none": {"sms": None}}})
    assert found == {"id": "user_42", "version": 5, "preferences": {}, "quiet_hours": None}
    assert await wishes(api) == found


async def test_a_wish_of_who_is_not_there_yet_is_kept(api: Any, problem: Any) -> None:
    problem(await api.get(f"{URL}/preferences"), 404, "not_found")
    await patch(api, {"preferences": {"*": {"sms": False}}})
    await put(api, ANN)
    assert (await wishes(api))["preferences"] == {"*": {"sms": False}}
    assert (await get(api))["phones"] == ANN["phones"]


async def test_the_tenants_defaults_are_preferences_and_nothing_else(
    api: Any, problem: Any
) -> None:
    url = at("*", "/preferences")
    assert url == "/v1/recipients/%2A/preferences"
    nothing = {"id": "*", "version": 0, "preferences": {}, "quiet_hours": None}
    for plain in (url, "/v1/recipients/*/preferences"):
        assert await wishes(api, plain) == nothing
    quiet = {"quiet_hours": {"start": "22:00", "end": "07:00"}}
    answer = await api.patch(url, json=quiet)
    problem(answer, 422, "invalid_request", pointer="/quiet_hours", says="a person's own")
    said = {"preferences": {"news": {"sms": False}}, "quiet_hours": None}
    assert await patch(api, said, url) == nothing | said | {"version": 1}
    assert await wishes(api, "/v1/recipients/*/preferences") == nothing | said | {"version": 1}


WISHES_TAKEN: list[dict[str, Any]] = [
    {"preferences": {"x" * 64: {"*": True}}},
    {"preferences": {"a.b-c_d.1": {"sms": None}}},
    {"preferences": {"a": {}}},
    {"preferences": {"a": {"sms": True, "email": True, "push": True, "*": False}}},
    {"preferences": {f"c{n}": {"*": False} for n in range(100)}},
    {"quiet_hours": {"start": "23:59", "end": "00:00"}},
]
WISHES_REFUSED: list[tuple[Any, str, str]] = [
    ([], "", ""),
    ({"wishes": {}}, "/wishes", "unknown field"),
    ({"preferences": None}, "/preferences", ""),
    ({"preferences": []}, "/preferences", ""),
    ({"preferences": {"a": True}}, "/preferences/a", ""),
    ({"preferences": {"a": {"sms": "on"}}}, "/preferences/a/sms", "boolean"),
    ({"preferences": {"a": {"sms": 1}}}, "/preferences/a/sms", "boolean"),
    ({"preferences": {"a": {"fax": True}}}, "/preferences/a/fax", "must be one of sms"),
    ({"preferences": {"a": {"webhook": True}}}, "/preferences/a/webhook", "must be one of sms"),
    ({"preferences": {"A": {}}}, "/preferences/A", "like order.shipped"),
    ({"preferences": {"": {}}}, "/preferences/", "like order.shipped"),
    ({"preferences": {"**": {}}}, "/preferences/**", "like order.shipped"),
    ({"preferences": {"a/b": {}}}, "/preferences/a~1b", "like order.shipped"),
    ({"preferences": {"a\n": {}}}, "/preferences/a\n", "like order.shipped"),
    ({"preferences": {"x" * 65: {}}}, "/preferences/" + "x" * 65, "at most 64"),
    ({"preferences": {f"c{n}": {} for n in range(101)}}, "/preferences", "at most 100 entries"),
    ({"quiet_hours": {"start": "8", "end": "9"}}, "/quiet_hours/start", "like 22:00"),
]


@pytest.mark.parametrize("body", WISHES_TAKEN, ids=lambda body: str(body)[:50])
async def test_wishes_that_the_document_allows_are_taken(api: Any, body: Any) -> None:
    assert not list(validator("PreferencesBody").iter_errors(body))
    await patch(api, body)


@pytest.mark.parametrize(
    ("body", "pointer", "says"), WISHES_REFUSED, ids=[str(row[0])[:50] for row in WISHES_REFUSED]
)
async def test_wishes_that_break_a_rule_are_refused_with_their_place(
    api: Any, problem: Any, stores_nothing: Any, body: Any, pointer: str, says: str
) -> None:
    # Python's $ matches before a line's end; the expressions of JSON Schema do not.
    assert not validator("PreferencesBody").is_valid(body) or "\n" in pointer
    async with stores_nothing():
        answer = await api.patch(f"{URL}/preferences", json=body)
    problem(answer, 422, "invalid_request", pointer=pointer, says=says)


async def test_wishes_about_more_than_100_categories_are_refused(api: Any, problem: Any) -> None:
    await patch(api, {"preferences": {f"c{n}": {"*": False} for n in range(99)}})
    await patch(api, {"preferences": {"d1": {"*": False}}})
    answer = await api.patch(f"{URL}/preferences", json={"preferences": {"d2": {"*": False}}})
    says = "would be 101 preferences, at most 100"
    problem(answer, 422, "invalid_request", pointer="/preferences", says=says)
    await patch(api, {"preferences": {"d1": None, "d2": {"*": False}}})
