"""Twilio's 2010 messages API, as far as notifyq uses it: create, list, fetch.

Owns the routes and the accounts; what happens to a message at the counter is the same everywhere.
"""

import base64
import hmac
import secrets
from collections.abc import Iterable

from aiohttp import web

from notifyq.sandbox import magic
from notifyq.sandbox.counter import Counter, Wanted
from notifyq.sandbox.faults import Fault
from notifyq.sandbox.http import Shapes, answer, drop, is_gone
from notifyq.sandbox.record import Acceptance, Status
from notifyq.sandbox.telling import Step, Teller
from notifyq.sandbox.twilio.callbacks import BAD, GOOD, status_call
from notifyq.sandbox.twilio.resource import Resource, error, message, page
from notifyq.sandbox.twilio.rules import (
    MAGIC,
    Account,
    Asked,
    Refused,
    judge,
    read_form,
)

VENDOR = "twilio"
_FORM = "application/x-www-form-urlencoded"


magic_of = magic.recipients(magic.of_number, MAGIC)


class Twilio:
    """The vendor: its accounts and the messages it took."""

    def __init__(self, counter: Counter, teller: Teller, accounts: Iterable[Account]) -> None:
        self._counter, self._teller = counter, teller
        self._record = counter.record
        self._accounts = {account.sid: account for account in accounts}
        self._shapes = Shapes(self._accepted, _refused, _failed)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, without the vendor's prefix."""
        account = "/2010-04-01/Accounts/{account}"
        return [
            web.get(f"{account}.json", self.show_account, allow_head=False),
            web.post(f"{account}/Messages.json", self.create),
            web.get(f"{account}/Messages.json", self.list, allow_head=False),
            web.get(f"{account}/Messages/{{sid}}.json", self.fetch, allow_head=False),
        ]

    async def show_account(self, request: web.Request) -> web.Response:
        """Show an account to itself."""
        account = self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        return web.json_response({"sid": account.sid, "status": "active", "type": "Full"})

    async def create(self, request: web.Request) -> web.Response:
        """Take one message, or refuse it, or do what a script says."""
        account = self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        if request.content_type != _FORM:
            return _refusal(Refused(20415, 415))
        form = read_form(await request.read())
        asked = Refused(20001) if form is None else judge(form, account, self._others(account))
        if isinstance(asked, Refused):
            return _refusal(asked)
        return await self._carry_out(request, account, asked)

    async def list(self, request: web.Request) -> web.Response:
        """List an account's messages, newest first."""
        account = self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        fault = self._counter.look_up_fault(request.query.get("To", ""))
        if fault is not None:
            return drop(request) if fault.name == "lookup_drop" else _look_up_refusal(fault)
        entries = self._record.of_account(VENDOR, account.sid)
        shown = (self._show(entry) for entry in entries if self._counter.is_visible(entry))
        path = request.path.removeprefix("/" + VENDOR)
        found = page(shown, dict(request.query), path)
        return _refusal(found) if isinstance(found, Refused) else web.json_response(found)

    async def fetch(self, request: web.Request) -> web.Response:
        """Show one message."""
        account = self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        for entry in self._record.of_account(VENDOR, account.sid):
            named = entry.provider_id == request.match_info["sid"]
            if named and self._counter.is_visible(entry):
                return web.json_response(self._show(entry))
        return _refusal(Refused(20404, 404))

    async def _carry_out(
        self, request: web.Request, account: Account, asked: Asked
    ) -> web.Response:
        def tell(entry: Acceptance, fault: Fault | None) -> None:
            bad = (GOOD[0], Step("undelivered", (fault and fault.code) or BAD))
            call = status_call(entry, account.token, asked.callback_url)
            self._teller.start(entry, GOOD, bad, call, fault)

        wanted = Wanted(account.sid, asked.to, asked.sender, asked.reference, asked.body)
        sid = "SM" + secrets.token_hex(16)
        taken = await self._counter.take(
            wanted, sid, status="queued", is_gone=lambda: is_gone(request), tell=tell
        )
        return answer(request, taken, self._shapes)

    def _accepted(self, entry: Acceptance) -> web.Response:
        return web.json_response(message(entry, Status("queued")), status=201)

    def _others(self, account: Account) -> frozenset[str]:
        return frozenset().union(
            *(other.senders for other in self._accounts.values() if other is not account)
        )

    def _authenticated(self, request: web.Request) -> Account | Refused:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        try:
            sid, _, token = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:  # binascii.Error and UnicodeDecodeError are ValueErrors
            return Refused(20003, 401)
        account = self._accounts.get(sid)
        if scheme.lower() != "basic" or account is None:
            return Refused(20003, 401)
        if not hmac.compare_digest(token.encode(), account.token.encode()):
            return Refused(20003, 401)
        return account if request.match_info["account"] == sid else Refused(20404, 404)

    def _show(self, entry: Acceptance) -> Resource:
        return message(entry, self._record.status_of(entry.provider_id))


def _refused(fault: Fault) -> web.Response:
    if fault.name == "throttle":
        return _refusal(Refused(20429, 429, fault.whole("retry_after_s") or None))
    return _refusal(Refused(int(fault.code or 0), fault.whole("status")))


def _failed(status: int) -> web.Response:
    return _refusal(Refused(20500, status))


def _look_up_refusal(fault: Fault) -> web.Response:
    if fault.name == "lookup_throttle":
        return _refusal(Refused(20429, 429, fault.whole("retry_after_s") or None))
    return _failed(fault.whole("status"))


def _refusal(refused: Refused) -> web.Response:
    headers = {} if refused.retry_after_s is None else {"Retry-After": f"{refused.retry_after_s}"}
    return web.json_response(error(refused), status=refused.status, headers=headers)
