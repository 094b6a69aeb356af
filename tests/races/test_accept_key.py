"""P2: one key, one notification, in every order of two transactions."""

import pytest

from notifyq.domain.idempotency import Judgement
from notifyq.services.accept import Answer, Refusal, Reply
from notifyq.store import db
from notifyq.store.db import Conn
from tests.races.interleave import END, ONE, Session, merges, named, run
from tests.store import helpers as h

STEPS = [ONE, ONE, END]  # take the key, then write or read what it stood for, commit
ORDERS = merges([len(STEPS), len(STEPS)])


@pytest.mark.parametrize("same", [True, False], ids=["same_request", "another_request"])
@pytest.mark.parametrize("order", ORDERS, ids=[named("AB", order) for order in ORDERS])
async def test_one_key_one_notification(
    shared_url: str, order: tuple[int, ...], same: bool
) -> None:
    async with (
        await db.connect(shared_url, hot=True) as first,
        await db.connect(shared_url, hot=True) as second,
        h.looking(shared_url) as look,
    ):
        shop, phone = await h.own_shop(look)
        asks = [
            h.make_ask(shop, "key", to=phone),
            h.make_ask(shop, "key", to=phone if same else "+14155550199"),
        ]

        async def submit(conn: Conn) -> list[Reply]:
            return await h.submit(conn, [asks[0] if conn is first else asks[1]])

        one, two = Session("A", first, submit), Session("B", second, submit)
        await run(order, [(one, STEPS), (two, STEPS)], look)
        assert (one.error, two.error) == (None, None)
        replies = [one.result[0], two.result[0]]
        fresh = [r for r in replies if isinstance(r, Answer) and not r.replayed]
        assert len(fresh) == 1
        (other,) = [r for r in replies if r is not fresh[0]]
        if same:
            assert other == Answer(fresh[0].status, fresh[0].body, replayed=True)
        else:
            assert isinstance(other, Refusal)
            assert other.judgement is Judgement.REUSED
        for table in ("notification", "delivery", "outbox", "idempotency_key"):
            text = f"SELECT count(*) FROM {table} WHERE tenant_id = {shop.tenant_id}"
            assert await (await look.execute(text.encode())).fetchone() == (1,), table
        assert await h.faults(look) == []
