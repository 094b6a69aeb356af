"""Thousands of changed callbacks at the real API: none breaks it, none is believed unsigned.

100 of each account by default, ten rounds of 1,000 with NOTIFYQ_TEST_FULL=1; the dice's seed is
fixed and may be set by NOTIFYQ_TEST_SEED. Beside them genuine ones, which must be taken, and odd
ones with a signature that holds, which reach deeper. What is counted is shown by `-s`, and by a
failure.
"""

import logging
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette

from notifyq.config.settings import Settings
from notifyq.providers.sendgrid import events as sendgrid
from notifyq.providers.ses import sns
from notifyq.providers.ses.certificates import Certificates
from notifyq.providers.sinch import callback as sinch
from notifyq.providers.twilio import callback as twilio
from notifyq.store import evidence
from tests.entrypoints.callback_fuzz import stage
from tests.entrypoints.callback_fuzz.campaign import Campaign, Findings
from tests.entrypoints.callback_fuzz.changes import anything
from tests.entrypoints.callback_fuzz.shots import Account, Answer, Shot, over_asgi, over_tcp
from tests.entrypoints.callback_fuzz.twilio import Twilio
from tests.entrypoints.conftest import Keys, application, bound_socket, on_a_port, speaking

SEED = int(os.environ.get("NOTIFYQ_TEST_SEED", "20261123"))
FULL = bool(os.environ.get("NOTIFYQ_TEST_FULL"))
ROUNDS = 10 if FULL else 1
CHANGED, WEIRD, CONTROLS = (1_000, 500, 40) if FULL else (100, 50, 10)  # in a round
OVER_TCP = 1_000 if FULL else 60
STRANGERS = 20  # attempts of another account
NAMES = ("twilio-main", "twilio-shared", "sinch-main", "sendgrid-main", "ses-main")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal is a line in the log: thousands of them would hide what was found."""
    caplog.set_level(logging.ERROR, "notifyq")


@pytest.fixture
async def certificates() -> AsyncIterator[stage.Certificates]:
    async with stage.serving() as found:
        yield found


@pytest.fixture
def accounts(certificates: stage.Certificates) -> dict[str, Account]:
    return stage.signers(certificates.origin)


@pytest.fixture
def settings(
    database_url: str,
    accounts: dict[str, Account],
    certificates: stage.Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    for name, secret in stage.SECRETS.items():
        monkeypatch.setenv(name, secret)
    return stage.settings_for(database_url, accounts, certificates.origin)


@pytest.fixture
async def app(settings: Settings, keys: Keys) -> AsyncIterator[Starlette]:
    async with application(settings) as found:
        yield found


@pytest.fixture
async def client(app: Starlette, keys: Keys) -> AsyncIterator[Any]:
    async with speaking(app, keys.live) as found:
        yield found


class Stage:
    """Everything that a campaign needs."""

    def __init__(self, app: Starlette, client: Any, hand: Any, database: Any) -> None:
        self.app, self.client, self.hand, self.database = app, client, hand, database

    async def run(
        self,
        accounts: dict[str, Account],
        name: str,
        *,
        changed: int,
        weird: int,
        controls: int,
        seed: int = SEED,
        send: Any = None,
    ) -> Findings:
        count = changed + weird + controls + 1
        planted = await stage.planted(self.client, self.hand, accounts[name], count)
        other = accounts[NAMES[NAMES.index(name) - 1]]
        planted |= await stage.planted(self.client, self.hand, other, STRANGERS, first=count)
        before = await self.database.counts()
        campaign = Campaign(
            accounts[name], accounts, send or partial(over_asgi, self.app), planted, seed
        )
        await campaign.controls(controls)
        await campaign.weird(weird)
        await campaign.changed(changed)
        found = await campaign.compare(self.database, before)
        print(f"\n{name}: {found.counts}")
        return found


@pytest.fixture
def on_stage(app: Starlette, client: Any, hand: Any, database: Any) -> Stage:
    return Stage(app, client, hand, database)


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
@pytest.mark.parametrize("name", NAMES)
async def test_no_changed_callback_breaks_the_api_or_is_believed_unless_it_is_signed(
    on_stage: Stage,
    accounts: dict[str, Account],
    certificates: stage.Certificates,
    name: str,
    seed: int,
) -> None:
    found = await on_stage.run(
        accounts, name, changed=CHANGED, weird=WEIRD, controls=CONTROLS, seed=seed
    )
    assert not found, str(found)
    assert found.controls == CONTROLS, str(found)  # it does not pass by refusing everything
    assert found.unsigned > CHANGED // 2, str(found)
    confirmed = [path for path in certificates.asked if path.startswith("/?")]
    assert len(confirmed) == found.confirmed


@pytest.mark.parametrize("code", ["\0", "30\0003", "x" * 900_000])
async def test_a_signed_code_that_no_column_takes_is_no_bug_of_ours(
    on_stage: Stage, accounts: dict[str, Account], code: str
) -> None:
    """A 5xx would have the provider try again what can never be stored."""
    account = accounts["twilio-main"]
    assert isinstance(account, Twilio)
    (reference,) = await stage.planted(on_stage.client, on_stage.hand, account, 1)
    form = {"MessageSid": "SM" + "a" * 32, "MessageStatus": "undelivered", "ErrorCode": code}
    query, body = f"reference={reference}".encode(), urlencode(form).encode()
    answer = await over_asgi(on_stage.app, account.signed(query, body, form))
    assert answer == Answer(200)
    kept = await on_stage.database.rows("SELECT status, code FROM receipt")
    assert kept == [("undelivered", None)]  # the status is no less true


@pytest.mark.parametrize("name", NAMES)
async def test_the_same_holds_for_what_comes_over_a_socket(
    on_stage: Stage, accounts: dict[str, Account], name: str
) -> None:
    """A server refuses some of it, and hands on what is left in its own way."""
    sock = bound_socket()
    async with on_a_port(on_stage.app, sock):
        send = partial(over_tcp, sock.getsockname()[1])
        found = await on_stage.run(
            accounts, name, changed=OVER_TCP, weird=OVER_TCP // 2, controls=5, send=send
        )
    assert not found, str(found)
    assert found.controls == 5, str(found)


# ---------------------------------------------------------------------------- who says nothing


@pytest.mark.parametrize("name", [*stage.SILENT, "nobody"])
async def test_a_vendor_without_callbacks_is_told_nothing(
    app: Starlette, accounts: dict[str, Account], database: Any, name: str
) -> None:
    """Whatever is posted, signed by whomever: refused, and nothing is stored."""
    dice, before = random.Random(f"{SEED} {name}"), await database.counts()
    for number in range(CHANGED // 5):
        shot = accounts[NAMES[number % len(NAMES)]].genuine(dice, "0" * 32)
        for _ in range(number % 3):
            shot = anything(dice, shot, [])
        answer = await over_asgi(app, _posted_to(name, shot))
        assert answer.status in ((404,) if name == "nobody" else (400, 413)), (answer, shot)
    assert await database.counts() == before


def _posted_to(name: str, shot: Shot) -> Shot:
    return shot.but("path", path=f"/callbacks/{name}", method="POST").as_servers_pass_it()


# ---------------------------------------------------------------- the check itself, seen to fail


class NoKey:
    """A certificate's key that takes every signature."""

    def verify(self, *_: object) -> None:
        pass


async def _any_key(*_: object) -> NoKey:
    return NoKey()


BYPASSES: dict[str, tuple[Any, str, Any]] = {
    "twilio-main": (twilio, "refusal_of", lambda *_: None),
    "twilio-shared": (twilio, "refusal_of", lambda *_: None),
    "sinch-main": (sinch, "_distrust", lambda *_: None),
    "sendgrid-main": (sendgrid, "_refusal_of", lambda *_: None),
    "ses-main": (Certificates, "key", _any_key),
}


@pytest.mark.parametrize("name", NAMES)
async def test_a_client_that_verifies_nothing_is_found_out(
    on_stage: Stage, accounts: dict[str, Account], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(*BYPASSES[name])
    found = await on_stage.run(accounts, name, changed=100, weird=0, controls=5)
    assert len(found.believed) > 10, str(found)
    assert any("nobody signed" in text for text in found.effects), str(found)
    # Whatever reaches the reading unsigned breaks nothing there; a confirmation may be put off.
    assert {answer.status for _, answer in found.broken} <= {503}, str(found)


_EVER = timedelta(days=100_000)
TIMELESS: dict[str, tuple[tuple[Any, str, Any], tuple[Any, str, Any]]] = {
    "sinch-main": (
        (sinch, "SIGNED_S_AGO_MAX", _EVER.total_seconds()),
        (sinch, "SIGNED_S_AHEAD_MAX", _EVER.total_seconds()),
    ),
    "sendgrid-main": (
        (sendgrid, "AGE_S_MAX", _EVER.total_seconds()),
        (sendgrid, "AHEAD_S_MAX", _EVER.total_seconds()),
    ),
    "ses-main": ((sns, "AGE_MAX", _EVER), (sns, "AHEAD_MAX", _EVER)),
}


@pytest.mark.parametrize("bound", [0, 1])
@pytest.mark.parametrize("name", TIMELESS)
async def test_a_client_that_takes_any_time_is_found_out(
    on_stage: Stage,
    accounts: dict[str, Account],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    bound: int,
) -> None:
    monkeypatch.setattr(*TIMELESS[name][bound])
    found = await on_stage.run(accounts, name, changed=0, weird=200, controls=0)
    assert found.believed, str(found)


async def test_an_account_that_is_believed_about_anothers_attempt_is_found_out(
    on_stage: Stage, accounts: dict[str, Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = evidence.lock

    async def as_if_ours(*of: Any) -> evidence.Standing | None:
        found = await look(*of)
        return found and replace(found, provider="sinch-main")

    monkeypatch.setattr(evidence, "lock", as_if_ours)
    found = await on_stage.run(accounts, "sinch-main", changed=0, weird=100, controls=0)
    assert any("receipts, nobody signed" in text for text in found.effects), str(found)


ANSWERS = {
    "none": (0, "broken"),
    "a bug": (500, "broken"),
    "not today": (503, "broken"),
    "no to all": (403, "turned_away"),
    "yes to all": (200, "believed"),
}


@pytest.mark.parametrize(("status", "what"), ANSWERS.values(), ids=ANSWERS)
async def test_one_answer_to_everything_is_found_out(
    on_stage: Stage, accounts: dict[str, Account], status: int, what: str
) -> None:
    async def same(_: Shot) -> Answer:
        return Answer(status)

    found = await on_stage.run(accounts, "twilio-main", changed=20, weird=0, controls=10, send=same)
    assert getattr(found, what), str(found)
    assert any("not there" in text for text in found.effects) is (status == 200), str(found)
