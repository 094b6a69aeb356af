"""Sinch's SMS API, as far as notifyq uses it: batches, their list and reports, dry runs, tokens.

Owns the routes; what happens to a message at the counter is the same everywhere.
Sinch documents bodies for 400 and 403 only. A 500 or 503 here has the same shape when nothing was
taken, for then Sinch says that it did not process the request; a failure after that is a gateway's
and looks like one.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from aiohttp import web

from notifyq.sandbox import magic
from notifyq.sandbox.counter import Counter, Wanted
from notifyq.sandbox.faults import Fault
from notifyq.sandbox.http import Shapes, answer, drop, is_gone
from notifyq.sandbox.record import Acceptance, Status
from notifyq.sandbox.segments import segments
from notifyq.sandbox.sinch.callbacks import (
    GOOD,
    QUEUED,
    bad_step,
    inbound_call,
    new_id,
    status_call,
)
from notifyq.sandbox.sinch.resource import batch, error, page, report
from notifyq.sandbox.sinch.rules import CALLBACK_SECRET, MAGIC, Account, Asked, Refused, judge
from notifyq.sandbox.sinch.tokens import Tokens
from notifyq.sandbox.telling import Call, Step, Teller

VENDOR = "sinch"
_OWN_FAILURES = (500, 503)


magic_of = magic.recipients(magic.of_number, MAGIC)


def heard(url: str, *, sender: str, to: str, body: str) -> Call:
    """Return the callback about what somebody wrote to a number of the sandbox's plan."""
    return inbound_call(url, CALLBACK_SECRET, sender=sender, to=to, body=body)


class Sinch:
    """The vendor: its plan, its project and the messages it took."""

    def __init__(self, counter: Counter, teller: Teller, tokens: Tokens | None = None) -> None:
        self._counter, self._teller = counter, teller
        self._record = counter.record
        self._tokens = tokens or Tokens()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, without the vendor's prefix."""
        batches = "/xms/v1/{plan}/batches"
        return [
            web.post("/oauth2/token", self._tokens.give),
            web.post(batches, self.create),
            web.post(f"{batches}/dry_run", self.dry_run),
            web.get(batches, self.list, allow_head=False),
            web.get(f"{batches}/{{id}}", self.fetch, allow_head=False),
            web.get(f"{batches}/{{id}}/delivery_report", self.show_report, allow_head=False),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Take one batch, or refuse it, or do what a script says."""
        account = self._tokens.account_of(request)
        if isinstance(account, web.Response):
            return account
        asked = await _read(request, account)
        if isinstance(asked, web.Response):
            return asked
        return await self._carry_out(request, account, asked)

    async def dry_run(self, request: web.Request) -> web.Response:
        """Say how many messages a batch would be."""
        account = self._tokens.account_of(request)
        if isinstance(account, web.Response):
            return account
        asked = await _read(request, account)
        if isinstance(asked, web.Response):
            return asked
        parts = segments(asked.body)
        return web.json_response({"number_of_recipients": 1, "number_of_messages": parts})

    async def list(self, request: web.Request) -> web.Response:
        """List an account's batches, newest first."""
        account = self._tokens.account_of(request)
        if isinstance(account, web.Response):
            return account
        query = dict(request.query)
        fault = self._counter.look_up_fault(reference=query.get("client_reference"))
        if fault is not None:
            return drop(request) if fault.name == "lookup_drop" else _look_up_refusal(fault)
        found = page(self._visible(account), query, datetime.now(UTC))
        if found is None:
            return _refusal(Refused("syntax_invalid_parameter_format", "A query of the list's"))
        return web.json_response(found)

    async def fetch(self, request: web.Request) -> web.Response:
        """Show one batch."""
        entry = self._named(request)
        return entry if isinstance(entry, web.Response) else web.json_response(batch(entry))

    async def show_report(self, request: web.Request) -> web.Response:
        """Show how far one batch got."""
        entry = self._named(request)
        if isinstance(entry, web.Response):
            return entry
        kind = request.query.get("type", "summary")
        if kind not in ("summary", "full"):
            return web.Response(status=404)
        status = self._record.status_of(entry.provider_id)
        code = QUEUED.code if status.word == QUEUED.word else status.code
        return web.json_response(report(entry, Status(status.word, code), full=kind == "full"))

    async def _carry_out(
        self, request: web.Request, account: Account, asked: Asked
    ) -> web.Response:
        def tell(entry: Acceptance, fault: Fault | None) -> None:
            bad: tuple[Step, ...] = (GOOD[0], bad_step(fault.code if fault else None))
            good: tuple[Step, ...] = GOOD
            if asked.aborts_with is not None:  # before it reaches a carrier
                good = bad = (bad_step(asked.aborts_with),)
            elif bad[1].word == "Aborted":
                bad = bad[1:]
            call = status_call(entry, account.callback_secret, asked.callback_url, asked.report)
            self._teller.start(entry, good, bad, call, fault)

        wanted = Wanted(account.path_id, asked.to, asked.sender, asked.reference, asked.body)
        taken = await self._counter.take(
            wanted, new_id(), status=QUEUED.word, is_gone=lambda: is_gone(request), tell=tell
        )
        if taken.entry is not None and taken.fault and taken.fault.name == "error_after_accept":
            return _gateways(taken.fault.whole("status"))
        return answer(request, taken, _shapes(asked))

    def _visible(self, account: Account) -> Iterator[Acceptance]:
        entries = self._record.of_account(VENDOR, account.path_id)
        return (entry for entry in entries if self._counter.is_visible(entry))

    def _named(self, request: web.Request) -> Acceptance | web.Response:
        account = self._tokens.account_of(request)
        if isinstance(account, web.Response):
            return account
        named = request.match_info["id"]
        found = (entry for entry in self._visible(account) if entry.provider_id == named)
        return next(found, web.Response(status=404))


async def _read(request: web.Request, account: Account) -> Asked | web.Response:
    if request.content_type != "application/json":
        return web.Response(status=415)
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        return _refusal(Refused("syntax_invalid_json", "The body is not JSON"))
    asked = judge(body, account, datetime.now(UTC))
    return _refusal(asked) if isinstance(asked, Refused) else asked


def _shapes(asked: Asked) -> Shapes:
    def accepted(entry: Acceptance) -> web.Response:
        return web.json_response(batch(entry), status=201)

    def refused(fault: Fault) -> web.Response:
        if fault.name == "throttle":
            return _too_many(fault)
        digits = asked.to.removeprefix("+")
        texts: Mapping[str, str] = {
            "syntax_invalid_parameter_format": f"'{digits}' is not a valid MSISDN"
        }
        code = str(fault.code)
        return _refusal(Refused(code, texts.get(code, "Refused"), fault.whole("status")))

    return Shapes(accepted, refused, _failed)


def _failed(status: int) -> web.Response:
    if status in _OWN_FAILURES:
        return _refusal(Refused("internal_error", "The request was not processed", status))
    return _gateways(status)


def _gateways(status: int) -> web.Response:
    body = {"type": "about:blank", "title": "Upstream error", "status": status}
    return web.json_response(body, status=status, content_type="application/problem+json")


def _look_up_refusal(fault: Fault) -> web.Response:
    return _too_many(fault) if fault.name == "lookup_throttle" else _failed(fault.whole("status"))


def _too_many(fault: Fault) -> web.Response:
    text = "The user or path has too many outstanding requests"
    return _refusal(Refused("too_many_requests", text, 429, fault.whole("retry_after_s") or None))


def _refusal(refused: Refused) -> web.Response:
    headers = {} if refused.retry_after_s is None else {"Retry-After": f"{refused.retry_after_s}"}
    return web.json_response(error(refused), status=refused.status, headers=headers)
