"""GET and POST /u/{token}: one click unsubscribes (RFC 8058), and nothing else does anything."""

import base64
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from notifyq.domain.model import Channel
from notifyq.services import unsubscribe
from notifyq.store import db, ledger
from tests.entrypoints.test_wishes_http import key_of, open_at

__all__ = ["key_of", "open_at"]

MAIL = "ann@example.org"
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
EVENTS = "SELECT brand, program, kind, source, actor FROM consent_event ORDER BY id"
Make = Callable[..., Awaitable[str]]


@pytest.fixture
async def anybody(client: Any) -> Any:
    """Who reads the mail: no key."""
    del client.headers["Authorization"]
    return client


@pytest.fixture
def token(database: Any) -> Make:
    """await token(program, brand): as a mail to Ann carries it."""

    async def make(program: str = "default", brand: str = "acme") -> str:
        found: str = await database.one(
            "SELECT unsubscribe_token(0::int2, %s, %s, address_key(%s))", brand, program, MAIL
        )
        return found

    return make


async def click(client: httpx.AsyncClient, token: str, body: str = ONE_CLICK) -> httpx.Response:
    return await client.post(f"/u/{token}", content=body, headers=FORM)


def kept_to_itself(answer: httpx.Response) -> None:
    """No cookie, no copy, no script; the token is in the address, so no page hears of that."""
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"https?:|<script|src=|href=", answer.text)


async def test_looking_at_the_page_changes_nothing(
    anybody: Any, token: Make, stores_nothing: Any
) -> None:
    said = await token()
    async with stores_nothing():
        page = await anybody.get(f"/u/{said}")
        head = await anybody.head(f"/u/{said}")
    assert (page.status_code, head.status_code, head.content) == (200, 200, b"")
    assert page.headers["content-type"].startswith("text/html")
    kept_to_itself(page)
    assert '<form method="post">' in page.text
    assert 'name="List-Unsubscribe" value="One-Click"' in page.text
    assert "acme (default)" in page.text
    assert MAIL not in page.text


async def test_one_click_unsubscribes_and_again_it_is_the_same(
    anybody: Any, token: Make, database: Any
) -> None:
    said = await token()
    answers = [await click(anybody, said) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.text for answer in answers}) == 1
    assert "Unsubscribed" in answers[0].text
    kept_to_itself(answers[0])
    assert await database.rows(EVENTS) == [("acme", "default", "opt_out", "email", "recipient")]
    assert await database.rows("SELECT blocked, programs FROM consent") == [(False, ["default"])]


MULTIPART = (
    '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM["Content-Type"], ONE_CLICK),
        (FORM["Content-Type"] + "; charset=UTF-8", ONE_CLICK + "\r\n"),
        ("multipart/form-data; boundary=x", MULTIPART),
        ("", ONE_CLICK),
    ],
)
async def test_each_form_that_the_rfc_allows_is_taken(
    anybody: Any, token: Make, database: Any, kind: str, body: str
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = await anybody.post(f"/u/{await token()}", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert await database.one("SELECT count(*) FROM consent_event") == 1


@pytest.mark.parametrize(
    "body", ["", "List-Unsubscribe=", "list-unsubscribe=one-click", "One-Click", "{}", "a=b&c=d"]
)
async def test_a_post_that_does_not_say_so_unsubscribes_nobody(
    anybody: Any, token: Make, problem: Any, stores_nothing: Any, body: str
) -> None:
    said = await token()
    async with stores_nothing():
        answer = await click(anybody, said, body)
    problem(answer, 422, "invalid_request", says="List-Unsubscribe=One-Click")


async def test_more_than_a_click_is_not_read(
    anybody: Any, token: Make, problem: Any, stores_nothing: Any
) -> None:
    said = await token()
    async with stores_nothing():
        problem(await click(anybody, said, ONE_CLICK + "&" * 4_097), 413, "body_too_large")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_other_methods_do_nothing_and_the_good_ones_are_named(
    anybody: Any, token: Make, problem: Any, stores_nothing: Any, method: str
) -> None:
    said = await token()
    async with stores_nothing():
        answer = await anybody.request(method, f"/u/{said}", content=ONE_CLICK, headers=FORM)
    problem(answer, 405, "method_not_allowed")
    assert {*answer.headers["allow"].split(", ")} == {"GET", "HEAD", "POST"}


def forged(token: str) -> list[str]:
    """Tokens that somebody made up from one that they have."""
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))

    def text(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    flipped = [text(raw[:n] + bytes([raw[n] ^ 1]) + raw[n + 1 :]) for n in range(len(raw))]
    cut = [token[:-1], token[: len(token) // 2], token[:20], text(raw[:18]), text(raw + b"x")]
    other = [text(raw.replace(b"acme/default", b"acme/offers!")), token.swapcase()]
    odd = ["x", "." * 30, "=" * 30, "é" * 30, "\x00", "A" * 400, "A" * 401, token + token, "%"]
    return [*flipped, *cut, *other, *odd]


async def test_a_token_that_is_not_ours_is_refused(
    anybody: Any, token: Make, problem: Any, stores_nothing: Any
) -> None:
    made = forged(await token())
    assert len(made) > 60
    async with stores_nothing():
        for one in made:
            for answer in (
                await anybody.get(f"/u/{quote(one, safe='')}"),
                await click(anybody, quote(one, safe="")),
            ):
                problem(answer, 404, "not_found", says="none of ours")
                assert "set-cookie" not in answer.headers


async def test_a_token_of_another_secret_is_refused_and_an_old_one_of_ours_is_not(
    anybody: Any, token: Make, problem: Any, database: Any
) -> None:
    said = await token()
    newer = "(version, inner_pad, outer_pad) SELECT version + 1, outer_pad, inner_pad"
    await database.do(f"INSERT INTO address_secret {newer} FROM address_secret")
    assert await token() != said
    assert (await click(anybody, said)).status_code == 200  # mails are answered years later
    await database.do("UPDATE address_secret SET inner_pad = sha256(inner_pad) || sha256('x')")
    problem(await click(anybody, said), 404, "not_found")


async def test_a_click_is_about_one_program_of_one_brand_and_one_mode(
    anybody: Any, token: Make, database_url: str, database: Any
) -> None:
    """Of whatever class the mail was: each program has its own tokens."""
    for program in ("default", "offers", "codes"):
        assert (await click(anybody, await token(program))).status_code == 200
    page = await anybody.get(f"/u/{await token('offers', 'acme:test')}")
    assert "acme (offers)" in page.text
    assert (await click(anybody, await token("offers", "acme:test"))).status_code == 200
    rows = "SELECT brand, blocked, programs FROM consent ORDER BY brand"
    assert await database.rows(rows) == [
        ("acme", False, ["codes", "default", "offers"]),
        ("acme:test", False, ["offers"]),
    ]
    async with await db.connect(database_url, autocommit=True) as conn:
        key = await ledger.address_key(conn, MAIL)
    found = await database.rows("SELECT DISTINCT channel::text, address_key FROM consent_event")
    assert found == [(Channel.EMAIL.value, key)]


async def test_names_are_shown_as_text(anybody: Any, token: Make) -> None:
    page = await anybody.get(f"/u/{await token('<b>x', 'a&b')}")
    assert "a&amp;b (&lt;b&gt;x)" in page.text


async def test_what_is_not_known_to_be_stored_is_asked_again(
    anybody: Any, token: Make, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_short(conn: db.Conn, work: Any) -> db.Unknown:
        await db.transact(conn, work)
        return db.Unknown("cut")

    said = await token()
    with monkeypatch.context() as patch:
        patch.setattr(unsubscribe, "transact", cut_short)
        answer = await click(anybody, said)
        problem(answer, 503, "unavailable", retryable=True, says="send it again")
        assert answer.headers["retry-after"]
    assert (await click(anybody, said)).status_code == 200


async def test_who_clicked_in_the_mail_gets_no_more_of_its_kind(
    open_at: Any, post: Any, hand: Any, database: Any
) -> None:
    client = await open_at(test=True)
    mail = {
        "recipient": {"email": MAIL, "phone": "+12125550123"},
        "content": {"email": {"subject": "Sale", "text": "Everything must go."}},
    }

    async def begun(category: str) -> list[str | None]:
        answer = await post(client, body=mail | {"category": category})
        assert answer.status_code == 202, answer.text
        return [ready.due.unsubscribe for ready in await hand.begin("sandbox-email")]

    assert await begun("login.code") == [None]  # only marketing carries it
    (said,) = await begun("news")
    assert said is not None
    assert (await click(client, said)).status_code == 200
    assert await begun("news") == []
    assert await database.rows(
        "SELECT state::text, reason FROM delivery WHERE category = 'news' ORDER BY id"
    ) == [("pending", None), ("suppressed", "opted_out")]
    assert await begun("login.code") == [None]
