"""Twilio's 2010 messages API, as far as notifyq uses it: create, list, fetch.

Owns the resource's shape and the order of things: refuse, then fault, then accept, then answer.
Invariant: a message is accepted in one step without waiting, and only while its client is there;
nothing is accepted after a drop, a hold or an error that comes before acceptance.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import Iterable

from aiohttp import web

from notifyq.sandbox.faults import Fault, Faults, Holds, Phase
from notifyq.sandbox.record import Acceptance, Record, Status, now
from notifyq.sandbox.twilio_callbacks import Callbacks
from notifyq.sandbox.twilio_resource import Resource, error, message, page
from notifyq.sandbox.twilio_rules import (
    Account,
    Refused,
    Wanted,
    judge,
    magic_of,
    read_form,
)

VENDOR = "twilio"
_FORM = "application/x-www-form-urlencoded"


class Twilio:
    """The vendor: its accounts and the messages it took."""

    def __init__(
        self,
        record: Record,
        faults: Faults,
        holds: Holds,
        callbacks: Callbacks,
        accounts: Iterable[Account],
    ) -> None:
        self._record, self._faults, self._holds = record, faults, holds
        self._callbacks = callbacks
        self._accounts = {account.sid: account for account in accounts}
        self._throttled: set[tuple[str, str]] = set()
        self._visible_from: dict[str, float] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, without the vendor's prefix."""
        account = "/2010-04-01/Accounts/{account}"
        return [
            web.post(f"{account}/Messages.json", self.create),
            web.get(f"{account}/Messages.json", self.list, allow_head=False),
            web.get(f"{account}/Messages/{{sid}}.json", self.fetch, allow_head=False),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Take one message, or refuse it, or do what a script says."""
        account = self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        if request.content_type != _FORM:
            return _refusal(Refused(20415, 415))
        form = read_form(await request.read())
        wanted = Refused(20001) if form is None else judge(form, account, self._others(account))
        if isinstance(wanted, Refused):
            return _refusal(wanted)
        return await self._carry_out(request, account, wanted)

    async def list(self, request: web.Request) -> web.Response:
        """List an account's messages, newest first."""
        account = self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        to = request.query.get("To", "")
        fault = self._faults.take(Phase.LIST, vendor=VENDOR, to=to, reference=None, body="")
        if fault is not None:
            return _drop(request) if fault.name == "lookup_drop" else _refusal(_scripted(fault))
        entries = self._record.of_account(VENDOR, account.sid)
        shown = (self._show(entry) for entry in entries if self._is_visible(entry))
        path = request.path.removeprefix("/" + VENDOR)
        found = page(shown, dict(request.query), path)
        return _refusal(found) if isinstance(found, Refused) else web.json_response(found)

    async def fetch(self, request: web.Request) -> web.Response:
        """Show one message."""
        account = self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        for entry in self._record.of_account(VENDOR, account.sid):
            if entry.provider_id == request.match_info["sid"] and self._is_visible(entry):
                return web.json_response(self._show(entry))
        return _refusal(Refused(20404, 404))

    async def _carry_out(
        self, request: web.Request, account: Account, wanted: Wanted
    ) -> web.Response:
        fault = self._fault(Phase.ANSWER, wanted)
        name = fault.name if fault else ""
        if fault and name in ("refuse", "throttle", "error_before_accept"):
            return _refusal(_scripted(fault))
        if fault and name == "hold_before_accept":
            await self._hold(wanted, fault)
        if name == "drop_before_accept" or _is_gone(request):
            return _drop(request)
        entry = self._accept(account, wanted)
        told = self._fault(Phase.CALLBACKS, wanted)
        try:
            if fault and name == "hold_after_accept":
                await self._hold(wanted, fault)
        finally:  # also when the client went away: its evidence comes by callback
            self._callbacks.start(entry, account.token, wanted.callback_url, told)
        if fault and name == "error_after_accept":
            return _refusal(Refused(20500, fault.whole("status")))
        if name == "drop_after_accept":
            return _drop(request)
        if fault and name == "slow":
            await asyncio.sleep(fault.numbers["delay_s"] or 0)
        return web.json_response(message(entry, Status("queued")), status=201)

    def _fault(self, phase: Phase, wanted: Wanted) -> Fault | None:
        scripted = self._faults.take(
            phase, vendor=VENDOR, to=wanted.to, reference=wanted.reference, body=wanted.body
        )
        magic = magic_of(wanted.to)
        if scripted or magic is None or magic.phase is not phase:
            return scripted
        if magic.name == "throttle":
            text = (wanted.to, wanted.body)
            self._throttled ^= {text}  # in at the first try, out at the second
            return magic if text in self._throttled else None
        return magic

    async def _hold(self, wanted: Wanted, fault: Fault) -> None:
        about = {
            "vendor": VENDOR,
            "fault": fault.name,
            "to": wanted.to,
            "from": wanted.sender,
            "reference": wanted.reference,
            "body": wanted.body,
            "held_since": now(),
        }
        await self._holds.hold(about, fault.numbers["hold_s"])

    def _accept(self, account: Account, wanted: Wanted) -> Acceptance:
        entry = Acceptance(
            vendor=VENDOR,
            account=account.sid,
            to=wanted.to,
            sender=wanted.sender,
            reference=wanted.reference,
            body=wanted.body,
            accepted_at=now(),
            provider_id="SM" + secrets.token_hex(16),
        )
        self._record.add(entry, "queued")
        lag = self._fault(Phase.LOOKUP, wanted)
        if lag:
            lag_s = lag.numbers["lag_s"] or 0
            self._visible_from[entry.provider_id] = asyncio.get_running_loop().time() + lag_s
        return entry

    def _is_visible(self, entry: Acceptance) -> bool:
        visible_from = self._visible_from.get(entry.provider_id, 0)
        return visible_from <= asyncio.get_running_loop().time()

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


def _scripted(fault: Fault) -> Refused:
    if fault.name in ("throttle", "lookup_throttle"):
        return Refused(20429, 429, fault.whole("retry_after_s") or None)
    if fault.name == "refuse":
        return Refused(fault.whole("code"), fault.whole("status") or 400)
    return Refused(20500, fault.whole("status"))


def _refusal(refused: Refused) -> web.Response:
    headers = {} if refused.retry_after_s is None else {"Retry-After": f"{refused.retry_after_s}"}
    return web.json_response(error(refused), status=refused.status, headers=headers)


def _is_gone(request: web.Request) -> bool:
    # The cancellation that a lost connection brings comes one turn of the loop later.
    return request.transport is None or request.transport.is_closing()


def _drop(request: web.Request) -> web.Response:
    """Break the connection under the server; the answer goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
