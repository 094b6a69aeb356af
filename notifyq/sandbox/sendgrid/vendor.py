"""SendGrid's API of version 3, as far as notifyq uses it: send, scopes, activity, the webhook.

Owns the routes; what happens to a mail at the counter is the same everywhere. Events go to the URL
that `POST /sandbox/webhooks` names.
"""

import hmac
import json
import secrets
import time
from collections.abc import Iterable, Iterator

from aiohttp import web

from notifyq.sandbox import magic
from notifyq.sandbox.counter import Counter, Wanted
from notifyq.sandbox.faults import Fault
from notifyq.sandbox.http import Shapes, answer, drop, is_gone
from notifyq.sandbox.record import Acceptance
from notifyq.sandbox.sendgrid.activity import details, read_query, summary
from notifyq.sandbox.sendgrid.events import (
    ACCEPTED,
    GOOD,
    PUBLIC_KEY,
    bad_steps,
    event_call,
    message_id,
)
from notifyq.sandbox.sendgrid.rules import (
    CREDITS,
    MAGIC,
    MESSAGES,
    UNAUTHORIZED,
    Account,
    Asked,
    Refused,
    judge,
)
from notifyq.sandbox.telling import Teller
from notifyq.sandbox.webhooks import Webhooks

VENDOR = "sendgrid"
RATE_LIMIT_S = 1  # how long a rate limit lasts whose script says nothing
_TOLD = ("processed", "deferred", "delivered", "bounce", "dropped", "open", "click")
_TOLD_TOO = ("spam_report", "unsubscribe", "group_unsubscribe", "group_resubscribe")


magic_of = magic.recipients(magic.of_mail, MAGIC)


class SendGrid:
    """The vendor: its accounts and the mails it took."""

    def __init__(
        self,
        counter: Counter,
        teller: Teller,
        webhooks: Webhooks,
        accounts: Iterable[Account] = (Account(),),
    ) -> None:
        self._counter, self._teller, self._webhooks = counter, teller, webhooks
        self._record = counter.record
        self._accounts = tuple(accounts)
        self._shapes = Shapes(_accepted, _refused, _failed)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, without the vendor's prefix."""
        webhooks = "/v3/user/webhooks/event/settings/all"
        return [
            web.post("/v3/mail/send", self.send),
            web.get("/v3/scopes", self.show_scopes, allow_head=False),
            web.get("/v3/messages", self.list, allow_head=False),
            web.get("/v3/messages/{id}", self.fetch, allow_head=False),
            web.get(webhooks, self.show_webhooks, allow_head=False),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """Take one mail, or refuse it, or do what a script says."""
        account = self._authenticated(request)
        if account is None:
            return _refusal(UNAUTHORIZED)
        if request.content_type != "application/json":
            return _refusal(Refused("Content-Type should be application/json.", None, 415))
        try:
            given = json.loads(await request.read())
        except (ValueError, RecursionError):
            return _refusal(Refused("Bad Request"))
        asked = judge(given, account)
        if isinstance(asked, Refused):
            return _refusal(asked)
        return await self._carry_out(request, account, asked)

    async def show_scopes(self, request: web.Request) -> web.Response:
        """Show what a key may do."""
        account = self._authenticated(request)
        if account is None:
            return _refusal(UNAUTHORIZED)
        return web.json_response({"scopes": account.scopes})

    async def show_webhooks(self, request: web.Request) -> web.Response:
        """Show the one event webhook."""
        if self._authenticated(request) is None:
            return _refusal(UNAUTHORIZED)
        url = self._webhooks.url_of(VENDOR)
        shown = {
            "enabled": url is not None,
            "url": url or "",
            "public_key": PUBLIC_KEY,
            **dict.fromkeys((*_TOLD, *_TOLD_TOO), True),
        }
        return web.json_response({"max_allowed": 1, "webhooks": [shown]})

    async def list(self, request: web.Request) -> web.Response:
        """List the messages with a reference."""
        account = self._authenticated(request)
        if account is None:
            return _refusal(UNAUTHORIZED)
        asked = read_query(request.query)
        if isinstance(asked, Refused):
            return _refusal(asked)
        reference, limit = asked
        fault = self._counter.look_up_fault(reference=reference)
        if fault is not None:
            return drop(request) if fault.name == "lookup_drop" else _look_up_refusal(fault)
        found = [entry for entry in self._visible(account) if entry.reference == reference]
        shown = [summary(each, self._record.status_of(each.provider_id)) for each in found[:limit]]
        return web.json_response({"messages": shown})

    async def fetch(self, request: web.Request) -> web.Response:
        """Show one message."""
        account = self._authenticated(request)
        if account is None:
            return _refusal(UNAUTHORIZED)
        for entry in self._visible(account):
            if message_id(entry) == request.match_info["id"]:
                return web.json_response(details(entry, self._record.status_of(entry.provider_id)))
        return _refusal(Refused("not found", "message_id", 404))

    async def _carry_out(
        self, request: web.Request, account: Account, asked: Asked
    ) -> web.Response:
        def tell(entry: Acceptance, fault: Fault | None) -> None:
            call = event_call(entry, asked, self._webhooks.url_of(VENDOR))
            self._teller.start(entry, GOOD, bad_steps(fault.code if fault else None), call, fault)

        reference = asked.arguments.get("reference")
        wanted = Wanted(account.api_key, asked.to, asked.sender, reference, asked.body)
        name = secrets.token_urlsafe(16)
        with self._record.offering(name, asked.headers):
            taken = await self._counter.take(
                wanted, name, status=ACCEPTED, is_gone=lambda: is_gone(request), tell=tell
            )
        return answer(request, taken, self._shapes)

    def _visible(self, account: Account) -> Iterator[Acceptance]:
        entries = self._record.of_account(VENDOR, account.api_key)
        return (entry for entry in entries if self._counter.is_visible(entry))

    def _authenticated(self, request: web.Request) -> Account | None:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        for account in self._accounts:
            if hmac.compare_digest(given, f"Bearer {account.api_key}".encode()):
                return account
        return None


def _accepted(entry: Acceptance) -> web.Response:
    return web.Response(status=202, headers={"X-Message-Id": entry.provider_id})


def _refused(fault: Fault) -> web.Response:
    if fault.name == "throttle":
        return _too_many(fault)
    code = str(fault.code)
    field = None if code == CREDITS else code
    return _refusal(Refused(MESSAGES.get(code, "Refused"), field, fault.whole("status")))


def _failed(status: int) -> web.Response:
    return _refusal(Refused("internal server error", None, status))


def _look_up_refusal(fault: Fault) -> web.Response:
    return _too_many(fault) if fault.name == "lookup_throttle" else _failed(fault.whole("status"))


def _too_many(fault: Fault) -> web.Response:
    after_s = fault.whole("retry_after_s") or RATE_LIMIT_S
    return _refusal(Refused("too many requests", None, 429, after_s))


def _refusal(refused: Refused) -> web.Response:
    error = {"message": refused.message, "field": refused.field, "help": None}
    headers = {}
    if refused.reset_after_s is not None:
        reset = int(time.time()) + refused.reset_after_s
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{reset}"}
    return web.json_response({"errors": [error]}, status=refused.status, headers=headers)
