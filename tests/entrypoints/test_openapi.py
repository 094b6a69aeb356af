"""The description is true: what it allows is taken, what it forbids refused, nothing left out."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import notifyq.entrypoints
from notifyq.entrypoints.api.openapi import document
from notifyq.entrypoints.api.problems import KINDS

PHONE = "+14155550123"
SOURCE = Path(notifyq.entrypoints.__file__).parent
ASKED = re.compile(r'\d{3}, "(\w+)"')


def validator(model: str) -> Draft202012Validator:
    found = document()
    schema = {"$ref": f"#/components/schemas/{model}", "components": found["components"]}
    return Draft202012Validator(schema)


def good(**changes: object) -> dict[str, Any]:
    asked = {
        "recipient": {"phone": PHONE},
        "category": "order.shipped",
        "content": {"sms": {"body": "Hello."}},
    }
    return {**asked, **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in good().items() if key != name}


def who(**fields: object) -> dict[str, Any]:
    return good(recipient={"phone": PHONE, **fields})


def text(**fields: object) -> dict[str, Any]:
    return good(content={"sms": {"body": "Hello.", **fields}})


TAKEN = [
    good(),
    who(id="u"),
    who(id="x" * 128),
    who(id=None),
    who(time_zone="Europe/Berlin"),
    who(time_zone=None),
    who(locale="de-CH"),
    who(locale=None),
    good(channels=["sms"]),
    good(channels=None),
    good(metadata={}),
    good(metadata=None),
    good(metadata={"k" * 64: "v" * 500}),
    good(metadata={f"k{n}": "" for n in range(20)}),
    good(category="x" * 64),
    good(category="a.b-c_d.1"),
    good(expires_at=None, not_before=None),
    good(strategy=None),
    good(strategy="all"),
    good(strategy="first"),
    good(dedupe_key=None),
    good(dedupe_key="x"),
    good(dedupe_key="\U0001f600" * 255),
    text(body="x"),
    text(body="\U0001f600" * 1_600),
]
# What a structure can say: names, types, lengths, patterns, choices.
REFUSED = [
    None,
    [],
    "text",
    1,
    {},
    *(without(name) for name in good()),
    good(unknown=1),
    who(unknown=1),
    text(unknown=1),
    good(content={"sms": {"body": "x"}, "email": {}}),
    good(content={}),
    good(content={"sms": {}}),
    good(content=None),
    good(recipient=None),
    good(recipient=""),
    good(recipient={}),
    good(recipient={"phone": None}),
    who(phone=14155550123),
    who(phone="+" + "1" * 32),
    who(id=""),
    who(id="x" * 129),
    who(id=42),
    who(time_zone="x" * 65),
    who(time_zone=1),
    who(locale="english"),
    who(locale=""),
    good(category=""),
    good(category="Order"),
    good(category="a..b"),
    good(category="x" * 65),
    good(category=None),
    good(channels=[]),
    good(channels=["sms", "sms"]),
    good(channels=["email"]),
    good(channels="sms"),
    good(metadata={f"k{n}": "" for n in range(21)}),
    good(metadata={"": "v"}),
    good(metadata={"k" * 65: "v"}),
    good(metadata={"k": "v" * 501}),
    good(metadata={"k": 1}),
    good(metadata={"k": None}),
    good(metadata=[]),
    good(expires_at=1_893_456_000),
    good(expires_at=[]),
    good(not_before=True),
    good(not_before=1.5),
    good(strategy=""),
    good(strategy="last"),
    good(strategy=["all"]),
    good(dedupe_key=""),
    good(dedupe_key="x" * 256),
    good(dedupe_key=1),
    text(body=""),
    text(body="x" * 1_601),
    text(body=1),
]


def show(body: object) -> str:
    found = json.dumps(body)
    return found if len(found) <= 60 else f"…{found[-60:]}"


def test_the_document_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(document()).validate()


async def test_the_document_is_served_as_it_is(client: Any) -> None:
    del client.headers["Authorization"]
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document()


@pytest.mark.parametrize("asked", TAKEN, ids=show)
async def test_what_the_document_allows_is_taken(client: Any, post: Any, asked: Any) -> None:
    assert not list(validator("NotificationBody").iter_errors(asked))
    answer = await post(client, body=json.dumps(asked))
    assert answer.status_code == 202, answer.text
    validator("AcceptedAnswer").validate(answer.json())


async def test_what_the_document_forbids_is_refused_and_the_other_way_round(
    client: Any, post: Any, stores_nothing: Any
) -> None:
    differ = []
    for asked in REFUSED:
        allowed = validator("NotificationBody").is_valid(asked)
        answer = await post(client, body=json.dumps(asked))
        if allowed or answer.status_code != 422:
            differ.append((show(asked), f"document {allowed}", f"API {answer.status_code}"))
        else:
            validator("ProblemAnswer").validate(answer.json())
    assert not differ


def many(recipients: object, **changes: object) -> dict[str, Any]:
    return {**without("recipient"), "recipients": recipients, **changes}


LISTS_TAKEN = [many([{"phone": PHONE}]), many([{"phone": PHONE, "id": "u"}], strategy="all")]
LISTS_REFUSED = [
    many([]),
    many(None),
    many({}),
    many([{}]),
    many([""]),
    many([{"phone": PHONE, "fone": 1}]),
    many([{"phone": PHONE}] * 10_001),
    many([{"phone": PHONE}], recipient={"phone": PHONE}),
    many([{"phone": PHONE}], dedupe_key="k"),
    many([{"phone": PHONE}], unknown=1),
]


@pytest.mark.parametrize("asked", LISTS_TAKEN, ids=show)
async def test_lists_that_the_document_allows_are_taken(client: Any, post: Any, asked: Any) -> None:
    assert validator("ListBody").is_valid(asked)
    answer = await post(client, body=json.dumps(asked))
    assert answer.status_code == 202, answer.text
    validator("ListAcceptedAnswer").validate(answer.json())


@pytest.mark.parametrize("asked", LISTS_REFUSED, ids=show)
async def test_lists_that_the_document_forbids_are_refused(
    client: Any, post: Any, stores_nothing: Any, asked: Any
) -> None:
    assert not validator("ListBody").is_valid(asked)
    async with stores_nothing():
        assert (await post(client, body=json.dumps(asked))).status_code == 422


async def test_what_is_read_back_is_as_the_document_says(client: Any, post: Any) -> None:
    for count in (1, 30):
        phones = [{"phone": f"+1415555{n:04}"} for n in range(100, 100 + count)]
        answer = await post(client, body=many(phones))
        url = answer.headers["location"]
        validator("SeenAnswer").validate((await client.get(url)).json())
        page = await client.get(f"{url}/deliveries")
        validator("DeliveriesAnswer").validate(page.json())


async def test_times_with_a_zone_are_allowed_and_taken(
    client: Any, post: Any, soon: Any, body: Any
) -> None:
    asked = body(not_before=soon(60).isoformat(), expires_at=soon(120).isoformat())
    validator("NotificationBody").validate(asked)
    assert (await post(client, body=asked)).status_code == 202


async def test_every_answer_to_a_post_is_in_the_document(
    client: Any, post: Any, keys: Any, body: Any, open_client: Any, settings: Any, problem: Any
) -> None:
    described = document()["paths"]["/v1/notifications"]["post"]["responses"]
    closed = await open_client(settings=settings.model_copy(update={"routes": {}}))
    key = uuid4().hex
    many = body(recipients=[{"phone": PHONE}])
    del many["recipient"]
    answers = [
        await post(client, key),
        await post(client, key),
        await post(client, body=many),
        await post(client, key, body(category="other")),
        await post(client, body=b"{"),
        await post(client, ""),
        await post(client, "x" * 256),
        await post(client, api_key="nq_live_x"),
        await post(client, api_key=keys.read_only),
        await post(client, api_key=keys.mute),
        await post(client, body=b" " * 65_537),
        await post(client, headers={"Content-Type": "text/plain"}),
        await post(client, body={}),
        await post(closed),
    ]
    for answer in answers:
        told = described[str(answer.status_code)]
        media = answer.headers["content-type"]
        schema = told["content"][media]["schema"]
        wanted = {**schema, "components": document()["components"]}
        Draft202012Validator(wanted).validate(answer.json())
        if answer.status_code != 202:
            assert f"`{answer.json()['code']}`" in told["description"]
    assert {str(answer.status_code) for answer in answers} == {
        "202", "400", "401", "403", "413", "415", "422", "503"
    }  # fmt: skip


async def test_every_route_that_producers_use_is_described(client: Any) -> None:
    app = client._transport.app
    routes = {
        (route.path, method.lower())
        for route in app.routes
        for method in route.methods
        if method != "HEAD" and route.path.startswith("/v1/")
    }
    described = {
        (path, method) for path, methods in document()["paths"].items() for method in methods
    }
    assert described == routes


async def test_every_problem_is_in_the_docs_with_an_anchor_for_its_type(client: Any) -> None:
    del client.headers["Authorization"]
    answer = await client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    for code, kind in KINDS.items():
        assert answer.text.count(f'id="{code}"') == 1
        assert f"<code>{code}</code></td><td>{kind.status}</td>" in answer.text
    for path in document()["paths"]:
        assert path in answer.text
    for outside in ("<script", "http://", "https://", "//cdn", "@import"):
        assert outside not in answer.text


def test_every_problem_is_asked_for_by_a_test_here() -> None:
    """By `problem(answer, 409, "merged")`, which holds it against its route's description too."""
    tests = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    asked = {code for text in tests for code in ASKED.findall(text)}
    assert KINDS.keys() <= asked


def test_no_route_is_described_by_a_problem_that_is_none() -> None:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            for status, told in operation["responses"].items():
                codes = re.findall(r"`(\w+)`: ", told["description"])
                known = [KINDS[code].status for code in codes]
                assert known == [int(status)] * len(known), (path, method)
                assert codes or int(status) < 400, (path, method)


def test_every_problem_that_is_raised_is_known_and_every_known_one_is_raised() -> None:
    assert set(raised()) == set(KINDS)


def raised() -> Iterator[str]:
    """Yield the first argument of every Problem(…), and the codes that app.py answers by itself."""
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
                (code, *_) = node.args
                if isinstance(code, ast.Constant):
                    yield code.value
                else:  # app.py looks its code up by the status
                    assert path.name == "app.py"
                    yield from _codes_by_status(tree)


def _codes_by_status(tree: ast.Module) -> Iterator[str]:
    function = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "_http_error"
    )
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            yield from (value.value for value in node.values if isinstance(value, ast.Constant))
        is_get = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get"
        if isinstance(node, ast.Call) and is_get:
            yield node.args[1].value  # type: ignore[attr-defined]


def test_every_problem_says_how_to_mend_it_and_has_a_status_of_its_kind() -> None:
    for code, kind in KINDS.items():
        assert 400 <= kind.status <= 599
        assert kind.title
        assert kind.mend.endswith((".", "…")), code
        # A client that retries what is not retryable would hammer; one that does not would lose.
        assert kind.retryable is (kind.status >= 500 or code == "key_in_use"), code
