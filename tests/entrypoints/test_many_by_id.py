"""Many recipients by their ids: the statements are counted, and nobody outside is asked.

NOTIFYQ_TEST_FULL=1 sends ten requests to 10,000 each as well, and prints what they took.
"""

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import time as clock
from typing import Any

import psycopg
import pytest

from notifyq.domain.asking import PHASE_RECIPIENTS
from notifyq.domain.hours import Quiet
from notifyq.domain.profile import Profile, pack
from tests.entrypoints.test_wishes_http import NOON, key_of, open_at

__all__ = ["key_of", "open_at"]

FULL = bool(os.environ.get("NOTIFYQ_TEST_FULL"))
# One statement looks all recipients up, with the defaults; one takes the key.
EACH_REQUEST = 2
# Of a list of several phases: the claim moves on, and the rows are written.
EACH_PHASE = 2
_asked = ContextVar("asked", default=False)  # set in the task of the request that is listened to
LOAD = """
INSERT INTO recipient (cell, tenant_id, test, id, version, profile, erased)
SELECT 0, t.id, true, r.id, 1, r.profile, false
  FROM tenant AS t, unnest(%s::text[], %s::text[]) AS r (id, profile) WHERE t.name = 'acme'
"""


def person(n: int) -> Profile:
    """Every third wants no texts, every fifth none in the night."""
    return Profile(
        phones=(f"+1212{2_000_000 + n}",),
        time_zone="America/New_York",
        locale="en-US",
        quiet=Quiet(clock(22), clock(8)) if n % 5 == 0 else None,
        preferences={("order.shipped", "sms"): n % 3 != 0, ("*", "email"): False},
    )


async def kept(database: Any, count: int) -> list[str]:
    """Keep so many recipients; return their ids."""
    people = {f"user_{n}": pack(person(n)) for n in range(count)}
    await database.do(LOAD, list(people), list(people.values()))
    return list(people)


def asking(ids: list[str], **more: object) -> dict[str, Any]:
    said = {"sms": {"body": "Your order has shipped."}}
    return {"recipients": ids, "category": "order.shipped", "content": said} | more


class Counted:
    """What went out while it was listened."""

    def __init__(self) -> None:
        self.statements: Counter[str] = Counter()
        self.calls: list[object] = []


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Hear every statement of the request, and every call of a socket or a name server.

    Not counted: who holds the API key, which is remembered for seconds; what goes on beside
    requests. The database is at a socket that libpq opens itself.
    """
    heard = Counted()
    execute = psycopg.AsyncCursor.execute

    async def listened(self: Any, query: Any, *given: Any, **named: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if _asked.get() and "api_key" not in text:
            heard.statements[text] += 1
        return await execute(self, query, *given, **named)

    def called(*given: object, **_: object) -> None:
        heard.calls.append(given)
        raise AssertionError("a call to the outside")

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.AsyncCursor, "execute", listened)
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, called)
        patch.setattr(socket, "getaddrinfo", called)
        loop = asyncio.get_running_loop()
        for name in ("sock_connect", "create_connection", "getaddrinfo"):
            patch.setattr(loop, name, called)
        token = _asked.set(True)
        yield heard
        _asked.reset(token)


async def counted(
    client: Any, post: Any, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> int:
    with counting(monkeypatch) as heard:
        answer = await post(client, body=asked)
    assert answer.status_code == 202, answer.text
    assert answer.json()["recipients"] == len(asked["recipients"])
    assert heard.calls == []
    return heard.statements.total()


async def test_statements_grow_with_the_phases_and_with_nothing_else(
    open_at: Any, post: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await open_at(NOON, test=True)
    ids = await kept(database, 3_000)
    await counted(client, post, monkeypatch, asking(ids[:1]))  # connections are made
    took = {
        count: await counted(client, post, monkeypatch, asking(ids[:count]))
        for count in (1, 100, 1_000, 1_001, 2_000, 2_001, 3_000)
    }
    # A list of one phase has no claim to move on.
    assert [took[count] for count in (1, 100, 1_000)] == [EACH_REQUEST + 1] * 3
    for count in (1_001, 2_000, 2_001, 3_000):
        phases = -(-count // PHASE_RECIPIENTS)
        assert took[count] == EACH_REQUEST + EACH_PHASE * phases - 1, took
    rows = await database.rows(
        "SELECT state::text, reason, count(*) FROM delivery GROUP BY 1, 2 ORDER BY 1, 2"
    )
    sent = 1 + sum(took)
    off = sum(-(-count // 3) for count in (1, *took))
    assert rows == [("pending", None, sent - off), ("suppressed", "preference_off", off)]


async def test_with_a_template_there_is_one_statement_more(
    open_at: Any, post: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await open_at(NOON, test=True)
    ids = await kept(database, 1_000)
    text = {"default_locale": "en", "locales": {"en": {"sms": {"body": "Order {{ order }}."}}}}
    assert (await client.put("/v1/templates/shipped", json=text)).status_code == 200
    by_template = asking(ids, template="shipped", data={"order": "8123"})
    del by_template["content"]
    await counted(client, post, monkeypatch, asking(ids[:1]))
    took = [
        await counted(client, post, monkeypatch, by_template | {"recipients": ids[:count]})
        for count in (100, 1_000)
    ]
    assert took == [EACH_REQUEST + 2] * 2


@pytest.mark.skipif(not FULL, reason="a minute long: NOTIFYQ_TEST_FULL=1")
async def test_a_hundred_thousand_recipients_in_ten_requests(
    open_at: Any,
    post: Any,
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = await open_at(NOON, test=True)
    ids = await kept(database, 100_000)
    await counted(client, post, monkeypatch, asking(ids[:1]))
    took, seconds = [], []
    gaps: list[float] = []
    ticker = asyncio.create_task(_ticking(gaps))
    for start in range(0, 100_000, 10_000):
        began = time.perf_counter()
        asked = asking(ids[start : start + 10_000])
        took.append(await counted(client, post, monkeypatch, asked))
        seconds.append(time.perf_counter() - began)
    ticker.cancel()
    assert took == [EACH_REQUEST + EACH_PHASE * 10 - 1] * 10
    assert await database.one("SELECT count(*) FROM delivery") == 100_001
    with capsys.disabled():
        print(
            f"\n100,000 recipients in 10 requests: {sum(seconds):.1f} s, the longest "
            f"{max(seconds):.1f} s; {sum(took)} statements, {sum(took) / 100_000} a recipient; "
            f"the event loop was held for {max(gaps):.3f} s at the longest"
        )


async def _ticking(gaps: list[float]) -> None:
    """Note how long others waited for their turn in the event loop."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        gaps.append(time.perf_counter() - began - 0.001)
