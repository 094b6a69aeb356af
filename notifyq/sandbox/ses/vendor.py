"""SES' API of version 2, as far as notifyq uses it: send, the account, where events go.

Owns the routes; what happens to a mail at the counter is the same everywhere. Events go by SNS to
the URL that `POST /sandbox/webhooks` names, and only of mails with the configuration set.
"""

import json
import secrets
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from aiohttp import web

from notifyq.sandbox import magic
from notifyq.sandbox.counter import Counter, Wanted
from notifyq.sandbox.faults import Fault
from notifyq.sandbox.http import Shapes, answer, is_gone
from notifyq.sandbox.record import Acceptance
from notifyq.sandbox.ses.events import ACCEPTED, GOOD, bad_steps, event
from notifyq.sandbox.ses.rules import MAGIC, MESSAGES, TOPIC, Account, Asked, Refused, judge
from notifyq.sandbox.ses.signature import Signed, authenticate
from notifyq.sandbox.ses.sns import Sns
from notifyq.sandbox.telling import Call, Step, Teller
from notifyq.sandbox.webhooks import Webhooks

VENDOR = "ses"
_SEND = "/v2/email/outbound-emails"
_EVENTS = ("SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY")


magic_of = magic.recipients(magic.of_mail, MAGIC)


class Ses:
    """The vendor: its account and the mails it took."""

    def __init__(
        self,
        counter: Counter,
        teller: Teller,
        webhooks: Webhooks,
        accounts: Iterable[Account] = (Account(),),
    ) -> None:
        self._counter, self._teller, self._webhooks = counter, teller, webhooks
        self._accounts = {account.access_key_id: account for account in accounts}
        self._sns = Sns(teller)
        self._shapes = Shapes(_accepted, _refused, _failed)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, without the vendor's prefix."""
        destinations = "/v2/email/configuration-sets/{name}/event-destinations"
        return [
            web.post(_SEND, self.send),
            web.get("/v2/email/account", self.show_account, allow_head=False),
            web.get(destinations, self.show_destinations, allow_head=False),
            *self._sns.routes(),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """Take one mail, or refuse it, or do what a script says."""
        account = await self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        try:
            given = json.loads(await request.read())
        except (ValueError, RecursionError):
            return _refusal(Refused("SerializationException", "The body is not JSON"))
        asked = judge(given, account)
        if isinstance(asked, Refused):
            return _refusal(asked)
        return await self._carry_out(request, account, asked)

    async def show_account(self, request: web.Request) -> web.Response:
        """Show an account to itself."""
        account = await self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        sent = sum(1 for _ in self._counter.record.of_account(VENDOR, account.access_key_id))
        quota = {"Max24HourSend": -1.0, "MaxSendRate": 1_000.0, "SentLast24Hours": float(sent)}
        shown = {
            "EnforcementStatus": "HEALTHY",
            "ProductionAccessEnabled": True,
            "SendingEnabled": True,
            "SendQuota": quota,
        }
        return web.json_response(shown)

    async def show_destinations(self, request: web.Request) -> web.Response:
        """Show where the events of the configuration set go."""
        account = await self._authenticated(request)
        if isinstance(account, Refused):
            return _refusal(account)
        name = request.match_info["name"]
        if name != account.configuration_set:
            text = f"Configuration set <{name}> does not exist."
            return _refusal(Refused("NotFoundException", text, 404))
        destination = {
            "Name": "sns",
            "Enabled": self._webhooks.url_of(VENDOR) is not None,
            "MatchingEventTypes": _EVENTS,
            "SnsDestination": {"TopicArn": TOPIC},
        }
        return web.json_response({"EventDestinations": [destination]})

    async def _carry_out(
        self, request: web.Request, account: Account, asked: Asked
    ) -> web.Response:
        base = f"{request.scheme}://{request.host}{request.path.removesuffix(_SEND)}"

        def tell(entry: Acceptance, fault: Fault | None) -> None:
            self._teller.later(self._tell(entry, asked, base, fault))

        reference = asked.tags.get("reference")
        wanted = Wanted(account.access_key_id, asked.to, asked.sender, reference, asked.body)
        name = f"01{secrets.token_hex(7)}-{uuid.uuid4()}-000000"
        with self._counter.record.offering(name, asked.headers):
            taken = await self._counter.take(
                wanted, name, status=ACCEPTED, is_gone=lambda: is_gone(request), tell=tell
            )
        return answer(request, taken, self._shapes)

    async def _tell(self, entry: Acceptance, asked: Asked, base: str, fault: Fault | None) -> None:
        url = self._webhooks.url_of(VENDOR) if asked.configuration_set else None
        if url is not None:
            await self._sns.subscribe(url, base)

        def call(step: Step) -> Call | None:
            return None if url is None else self._sns.notify(url, base, event(entry, asked, step))

        self._teller.start(entry, GOOD, bad_steps(fault.code if fault else None), call, fault)

    async def _authenticated(self, request: web.Request) -> Account | Refused:
        headers = {name.lower(): value for name, value in request.headers.items()}
        signed = Signed(request.method, request.raw_path, headers, await request.read())
        return authenticate(signed, self._accounts, datetime.now(UTC))


def _accepted(entry: Acceptance) -> web.Response:
    return _response({"MessageId": entry.provider_id}, 200)


def _refused(fault: Fault) -> web.Response:
    if fault.name == "throttle":
        name = "TooManyRequestsException"
        return _refusal(Refused(name, MESSAGES[name], 429, fault.whole("retry_after_s") or None))
    name = str(fault.code)
    return _refusal(Refused(name, MESSAGES.get(name, "Refused"), fault.whole("status")))


def _failed(status: int) -> web.Response:
    name = "ServiceUnavailable" if status == 503 else "InternalFailure"
    return _refusal(Refused(name, "The request processing has failed.", status))


def _refusal(refused: Refused) -> web.Response:
    response = _response({"message": refused.message}, refused.status)
    # The address after the colon is in many of AWS' answers; clients must cut it.
    response.headers["x-amzn-ErrorType"] = f"{refused.name}:http://internal.amazon.com/coral/"
    if refused.retry_after_s is not None:
        response.headers["Retry-After"] = f"{refused.retry_after_s}"
    return response


def _response(body: object, status: int) -> web.Response:
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    return web.json_response(body, status=status, headers=headers)
