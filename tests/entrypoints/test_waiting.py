"""Prefer: wait=N — a read on top of what is stored: answered when it has settled, or in time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from notifyq.entrypoints.api import waiting
from notifyq.entrypoints.api.waiting import WaitingRoom, read_wait

FAST, REFUSED = "+14155550123", "+14155550140"


def asking(to: str = FAST, **changes: Any) -> dict[str, Any]:
    content = {"sms": {"body": f"text {uuid4().hex}"}}
    return {"recipient": {"phone": to}, "category": "order.shipped", "content": content, **changes}


async def post(rig: Any, key: str, asked: Any, prefer: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {rig.keys.test}", "Idempotency-Key": key}
    if prefer is not None:
        headers["Prefer"] = prefer
    answer: httpx.Response = await rig.api.post("/v1/notifications", json=asked, headers=headers)
    return answer


async def stored(database: Any) -> bytes:
    """The newest stored answer."""
    text = "SELECT body FROM stored_response ORDER BY notification_id DESC LIMIT 1"
    return bytes(await database.one(text))


async def started(rig: Any, database: Any) -> None:
    """Run a worker until it has sent something: the time of the next send is its own."""
    await rig.start()
    await rig.accept(to="+14155550124", text="warm")
    await database.until("SELECT count(*) = 1 FROM attempt WHERE outcome = 'accepted'")


# --------------------------------------------------------------------- sends, and their replays


@pytest.mark.parametrize(
    ("to", "state", "reason"),
    [(FAST, "sent", None), (REFUSED, "dead", "refused_address")],
    ids=["fast", "refused"],
)
async def test_what_settles_in_time_is_shown_as_it_stands_and_its_replay_too(
    rig: Any, database: Any, to: str, state: str, reason: str | None
) -> None:
    await started(rig, database)
    asked = asking(to)
    began = time.monotonic()
    answer = await post(rig, "k", asked, "wait=5")
    assert time.monotonic() - began < 5
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=5"
    assert "idempotent-replayed" not in answer.headers
    (delivery,) = answer.json()["deliveries"]
    assert delivery["state"] in {state, "delivered" if state == "sent" else state}
    assert delivery["reason"] == reason
    # What is stored is the 202, and a replay that does not wait gets just that.
    plain = await post(rig, "k", asked)
    assert (plain.status_code, plain.content) == (202, await stored(database))
    assert "preference-applied" not in plain.headers
    began = time.monotonic()
    again = await post(rig, "k", asked, "wait=5")
    assert time.monotonic() - began < 5
    assert again.status_code == 200
    assert again.headers["preference-applied"] == "wait=5"
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["id"] == answer.json()["id"] == plain.json()["id"]
    assert again.json()["deliveries"][0]["state"] in {state, "delivered", "dead"}
    seen = await rig.api.get(
        answer.headers["location"], headers={"Authorization": f"Bearer {rig.keys.test}"}
    )
    assert seen.json().keys() == answer.json().keys()
    assert len(await rig.received()) == 1 + (to == FAST)


async def test_what_is_slower_than_the_wait_gets_the_stored_answer_and_a_replay_waits_on(
    rig: Any, database: Any
) -> None:
    await rig.script("hold_before_accept", match={"to": FAST})
    await rig.start(timeout_s=30.0, lease_s=40.0)
    asked = asking()
    began = time.monotonic()
    answer = await post(rig, "k", asked, "wait=5")
    assert 5 <= time.monotonic() - began < 15
    assert (answer.status_code, answer.content) == (202, await stored(database))
    assert answer.headers["preference-applied"] == "wait=5"
    waits = asyncio.create_task(post(rig, "k", asked, "wait=20"))
    await rig.held(1)
    assert not waits.done()
    await rig.release()
    again = await waits
    assert again.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["preference-applied"] == "wait=20"
    assert again.json()["deliveries"][0]["state"] in {"sent", "delivered"}
    assert len(await rig.received()) == 1


async def test_a_slow_send_within_the_wait_is_waited_for(rig: Any) -> None:
    await rig.script("hold_before_accept", match={"to": FAST})
    await rig.start()
    waits = asyncio.create_task(post(rig, "k", asking(), "wait=20"))
    await rig.held(1)
    await asyncio.sleep(0.5)
    assert not waits.done()
    await rig.release()
    answer = await waits
    assert answer.status_code == 200
    assert answer.json()["deliveries"][0]["state"] in {"sent", "delivered"}
    assert "idempotent-replayed" not in answer.headers


async def test_in_doubt_is_not_settled(rig: Any, database: Any) -> None:
    await rig.script("drop_after_accept", match={"to": FAST})
    await rig.script("no_callbacks", match={"to": FAST})
    await rig.start()
    waits = asyncio.create_task(post(rig, "k", asking(), "wait=20"))
    await database.until("SELECT count(*) = 1 FROM delivery WHERE state = 'in_doubt'")
    await asyncio.sleep(5 * waiting.POLL_S)
    assert not waits.done()
    await database.do("UPDATE delivery SET state = 'unknown'")
    answer = await waits
    assert (answer.status_code, answer.json()["deliveries"][0]["state"]) == (200, "unknown")


async def test_nobody_sends_and_the_wait_is_over_in_time(rig: Any, database: Any) -> None:
    began = time.monotonic()
    answer = await post(rig, "k", asking(), "respond-async, wait=1; foo=bar")
    assert 1 <= time.monotonic() - began < 10
    assert (answer.status_code, answer.content) == (202, await stored(database))
    assert answer.headers["preference-applied"] == "wait=1"


async def test_the_preference_is_no_part_of_the_request(rig: Any, database: Any) -> None:
    asked = asking()
    first = await post(rig, "k", asked, "wait=1")
    for prefer in (None, "wait=2", "return=minimal"):
        again = await post(rig, "k", asked, prefer)
        assert (again.status_code, again.content) == (202, first.content)
        assert again.headers["idempotent-replayed"] == "true"
    assert await database.one("SELECT count(*) FROM notification") == 1


async def test_a_refused_request_does_not_wait(rig: Any, problem: Any) -> None:
    began = time.monotonic()
    problem(await post(rig, "k", {}, "wait=30"), 422, "invalid_request")
    first = await post(rig, "k", asking())
    assert first.status_code == 202
    problem(await post(rig, "k", asking(REFUSED), "wait=30"), 422, "key_reused")
    assert time.monotonic() - began < 20


async def test_a_list_may_be_waited_for(rig: Any) -> None:
    await rig.start()
    asked = asking()
    del asked["recipient"]
    asked["recipients"] = [{"phone": f"+1415{2_000_000 + n}"} for n in range(30)]
    answer = await post(rig, "k", asked, "wait=20")
    assert answer.status_code == 200, answer.text
    states = answer.json()["states"]
    assert sum(states.values()) == 30
    assert states.keys() <= {"sent", "delivered"}


async def test_a_key_that_may_not_read_gets_no_state_by_waiting(
    client: Any, post: Any, keys: Any
) -> None:
    began = time.monotonic()
    answer = await post(client, "k", api_key=keys.send_only, headers={"Prefer": "wait=20"})
    assert time.monotonic() - began < 10
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


# ------------------------------------------------------------------------------- the header


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ([], None),
        ([""], None),
        (["wait=0"], None),
        (["wait=1"], 1),
        (["wait=29"], 29),
        (["wait=30"], 30),
        (["wait=31"], 30),
        (["wait=999999999"], 30),
        (["wait=9999999999"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait"], None),
        (["wait="], None),
        (["wait=x"], None),
        (["wait=\u0665"], None),
        (["WAIT=5"], 5),
        (["wait = 5"], 5),
        (['wait="5"'], 5),
        (["respond-async, wait=5"], 5),
        (["wait=5;foo=bar, respond-async"], 5),
        (["respond-async", "wait=5"], 5),
        (["wait=5, wait=9"], 5),
        (["wait=x, wait=9"], None),
        (['foo="a, wait=9", wait=2'], 2),
        (['foo;bar="x;,wait=9"'], None),
        ([", ,wait=4"], 4),
        (["wait=5" + " " * 994], 5),
        (["wait=5" + " " * 995], None),
    ],
)
def test_prefer_is_read_as_rfc_7240_has_it(headers: list[str], wait_s: int | None) -> None:
    assert read_wait(headers) == wait_s


# --------------------------------------------------------------------------------- the room


class Client:
    """A request whose client goes away when told."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Room:
    """A waiting room, what has settled, and how it was asked."""

    def __init__(self) -> None:
        self.settled: set[Any] = set()
        self.asked: list[list[Any]] = []
        self.breaks = False
        self.room = WaitingRoom(self.look)

    async def look(self, notification_ids: list[Any]) -> set[Any]:
        self.asked.append(notification_ids)
        if self.breaks:
            raise OSError("away")
        return self.settled & set(notification_ids)

    def enter(self, about: Any, wait_s: float, client: Client | None = None) -> Any:
        who: Any = client or Client()
        return asyncio.create_task(self.room.wait(about, wait_s, who))


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    made = Room()
    made.room.start()
    yield made
    await made.room.stop()


async def test_one_look_asks_for_everybody(room: Room) -> None:
    ids = [uuid4() for _ in range(50)]
    tasks = [room.enter(about, 20) for about in ids for _ in range(4)]
    await asyncio.sleep(0.3)
    room.settled = set(ids[:25])
    assert await asyncio.gather(*tasks[:100]) == [True] * 100
    assert len(room.room) == 100
    room.settled = set(ids)
    assert await asyncio.gather(*tasks[100:]) == [True] * 100
    assert max(len(asked) for asked in room.asked) == 50
    looks = len(room.asked)
    await asyncio.sleep(0.3)
    assert len(room.asked) <= looks + 1, "nobody waits, nobody asks"


async def test_who_has_gone_is_not_asked_for_any_more(room: Room) -> None:
    client, about = Client(), uuid4()
    task = room.enter(about, 20, client)
    await asyncio.sleep(0.1)
    assert len(room.room) == 1
    client.gone.set()
    assert await task is False
    assert len(room.room) == 0


@pytest.mark.parametrize("full", [False, True])
async def test_a_full_room_takes_nobody(
    room: Room, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    monkeypatch.setattr(waiting, "WAITING_MAX", 2)
    tasks = [room.enter(uuid4(), 0.3) for _ in range(1 + full)]
    await asyncio.sleep(0.05)
    assert await room.enter(uuid4(), 0.1) is (None if full else False)
    assert await asyncio.gather(*tasks) == [False] * len(tasks)
    assert await room.enter(uuid4(), 0.1) is False


async def test_a_database_that_is_away_costs_the_wait_and_nothing_more(room: Room) -> None:
    room.breaks = True
    assert await room.enter(uuid4(), 0.2) is False
    room.breaks = False
    about = uuid4()
    room.settled = {about}
    assert await room.enter(about, 5) is True


async def test_a_full_room_answers_at_once_without_the_preference(
    client: Any, post: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WAITING_MAX", 0)
    began = time.monotonic()
    answer = await post(client, "k", headers={"Prefer": "wait=20"})
    assert time.monotonic() - began < 10
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


async def test_no_connection_is_held_while_waiting(serve: Any, keys: Any, database: Any) -> None:
    """Many more wait than the pool has connections, and reading goes on."""
    url = await serve()
    async with httpx.AsyncClient(
        base_url=url, trust_env=False, timeout=30, headers={"Authorization": f"Bearer {keys.live}"}
    ) as client:

        async def one(n: int) -> httpx.Response:
            headers = {"Idempotency-Key": f"k{n}", "Prefer": "wait=20"}
            return await client.post("/v1/notifications", json=asking(), headers=headers)

        tasks = [asyncio.create_task(one(n)) for n in range(40)]
        await database.until("SELECT count(*) = 40 FROM notification")
        about = await database.one("SELECT count(*) FROM stored_response")
        assert about == 40
        began = time.monotonic()
        body = bytes(await database.one("SELECT body FROM stored_response LIMIT 1"))
        seen = await client.get(f"/v1/notifications/{json.loads(body)['id']}")
        assert seen.status_code == 200
        assert time.monotonic() - began < 10
        await database.do("UPDATE delivery SET state = 'canceled', reason = 'canceled'")
        answers = await asyncio.gather(*tasks)
    assert {answer.status_code for answer in answers} == {200}
