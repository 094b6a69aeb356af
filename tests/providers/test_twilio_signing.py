"""Whose a callback is: by Twilio's own validator, by shared keys, and 2,000 that were changed."""

import base64
import hashlib
import hmac
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifyq.domain.provider import BadCallback, BadSignature, Callback, Reported
from notifyq.providers.twilio.signing import Keys
from notifyq.sandbox.twilio.rules import AUTH_TOKEN
from tests.providers.fuzz import mutated_callback
from tests.providers.test_twilio import SID
from tests.providers.test_twilio_callback import (
    FORM,
    HOOK,
    INBOUND,
    URL,
    callback,
    client,
    read,
)

SETTINGS = "x-twilio-webhooks-signature-settings"
KEY, SECRET = "webhooks_sharedkey_01k5", "shared-secret"
BY_KEY = f"key={KEY},algorithm=HMAC_SHA256"


@pytest.mark.parametrize("called", ["", ":443", ":80", ":8443"])
@pytest.mark.parametrize("signed", ["", ":443", ":80", ":8443"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_ports_are_read_as_twilios_own_validator_reads_them(
    scheme: str, called: str, signed: str
) -> None:
    url = f"{scheme}://notify.example.com{called}/cb?reference=ref"
    signed_url = f"{scheme}://notify.example.com{signed}/cb?reference=ref"
    what = callback(url, signed=signed_url)
    oracle = RequestValidator(AUTH_TOKEN).validate(url, FORM, what.headers["x-twilio-signature"])
    assert isinstance(await read(what), Reported) is oracle


async def test_the_known_vector_holds() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    headers = {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    good = Callback(url, headers, urlencode(form).encode())
    assert await read(good, token="12345") == BadCallback("no message sid")  # the signature held
    bad = Callback(url, headers, urlencode({**form, "Digits": "1235"}).encode())
    assert await read(bad, token="12345") == BadSignature("signature differs")


CHANGES: list[Callable[[Callback], Callback]] = [
    lambda c: Callback(c.url + "x", c.headers, c.body),
    lambda c: Callback(c.url.replace("https", "http"), c.headers, c.body),
    lambda c: Callback(c.url, c.headers, c.body + b"&x=y"),
    lambda c: Callback(c.url, c.headers, c.body.replace(b"delivered", b"failed")),
    lambda c: Callback(c.url, {**c.headers, "x-twilio-signature": ""}, c.body),
    lambda c: Callback(c.url, {**c.headers, "x-twilio-signature": "é"}, c.body),
    lambda c: Callback(c.url, {**c.headers, "x-twilio-signature": "\udc80"}, c.body),
    lambda c: Callback(c.url, {}, c.body),
    lambda c: Callback("https://host:port/?reference=r", c.headers, c.body),
    lambda c: Callback("https://[::1/?reference=r", c.headers, c.body),
    lambda c: Callback("https://h/\udc80?reference=r", c.headers, c.body),
    lambda c: Callback(c.url, c.headers, b""),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_callback_is_not_believed(change: Callable[[Callback], Callback]) -> None:
    assert isinstance(await read(change(callback())), BadSignature)


async def test_a_callback_without_a_signature_is_told_from_one_with_a_wrong_one() -> None:
    what = callback()
    assert await read(Callback(what.url, {}, what.body)) == BadSignature("no signature")


@pytest.mark.parametrize(
    "body", [b"no form", b'{"a":"b"}', b"a=%zz", b"a=%ff", b"a=\xff", b"&".join([b"a=b"] * 101)]
)
async def test_a_body_that_is_no_form_is_a_bad_callback(body: bytes) -> None:
    what = callback()
    assert await read(Callback(what.url, what.headers, body)) == BadCallback("not a form")
    headers = {**what.headers, "content-type": "application/json"}
    assert await read(Callback(what.url, headers, what.body)) == BadCallback("not a form")


async def test_json_is_refused_though_twilio_signed_it() -> None:
    body = b'{"MessageSid":"' + SID.encode() + b'","MessageStatus":"delivered"}'
    url = f"{URL}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = RequestValidator(AUTH_TOKEN).compute_signature(url, {})
    assert RequestValidator(AUTH_TOKEN).validate(url, body.decode(), signature)
    headers = {"x-twilio-signature": signature, "content-type": "application/json"}
    assert await read(Callback(url, headers, body)) == BadCallback("not a form")


async def test_a_hash_in_the_query_takes_no_field_out_of_the_signature() -> None:
    url = f"{URL}&bodySHA256={hashlib.sha256(b'').hexdigest()}"
    url_alone = RequestValidator(AUTH_TOKEN).compute_signature(url, {})
    what = callback(url)
    headers = {**what.headers, "x-twilio-signature": url_alone}
    assert await read(Callback(url, headers, what.body)) == BadSignature("signature differs")


# ------------------------------------------------------------------------------- shared keys


def by_key(header: str | None = BY_KEY, secret: str = SECRET, how: str = "HMAC_SHA256") -> Callback:
    """A callback signed by a shared key, as Twilio's own library would sign it."""
    what = callback()
    signature = RequestValidator(secret).compute_signature(URL, FORM, how)
    named = {} if header is None else {SETTINGS: header}
    return Callback(URL, {**what.headers, "x-twilio-signature": signature, **named}, what.body)


SHARED: dict[str, Any] = {"shared_keys": {KEY: SECRET, "webhooks_sharedkey_old": "old"}}


async def test_a_callback_signed_with_a_shared_key_is_believed() -> None:
    what = by_key()
    signature = what.headers["x-twilio-signature"]
    assert RequestValidator(SECRET).validate(URL, FORM, signature, "HMAC_SHA256")
    assert isinstance(await read(what, **SHARED), Reported)
    spaced = by_key(f" algorithm = HMAC_SHA256 , key = {KEY} ")
    assert isinstance(await read(spaced, **SHARED), Reported)
    rotated = by_key("key=webhooks_sharedkey_old,algorithm=HMAC_SHA256", "old")
    assert isinstance(await read(rotated, **SHARED), Reported)


@pytest.mark.parametrize(
    "what",
    [
        by_key("key=webhooks_sharedkey_other,algorithm=HMAC_SHA256"),
        by_key(secret="wrong"),
        by_key("key=webhooks_sharedkey_old,algorithm=HMAC_SHA256"),
        by_key(f"key={KEY},algorithm=HMAC_SHA1", how="HMAC_SHA1"),
        by_key(f"key={KEY},algorithm=HMAC_SHA1"),
        by_key(f"key={KEY},algorithm=NONE"),
        by_key(how="HMAC_SHA1"),
        by_key(f"key={KEY}"),
        by_key("algorithm=HMAC_SHA256"),
        by_key(""),
        by_key(","),
        by_key(BY_KEY + ","),
        by_key(f"{BY_KEY},key=webhooks_sharedkey_old"),
        by_key(f"{BY_KEY},x=y"),
        by_key(None),
        # The account's token, though the header names a key.
        by_key(secret=AUTH_TOKEN),
        by_key(BY_KEY, AUTH_TOKEN, "HMAC_SHA1"),
        by_key("algorithm=HMAC_SHA1", AUTH_TOKEN, "HMAC_SHA1"),
        by_key("", AUTH_TOKEN, "HMAC_SHA1"),
    ],
)
@pytest.mark.parametrize("token_too", [False, True])
async def test_no_other_key_and_no_other_algorithm_will_do(what: Callback, token_too: bool) -> None:
    assert isinstance(await read(what, **SHARED, token_too=token_too), BadSignature)


async def test_a_named_key_is_refused_where_none_is_configured() -> None:
    assert isinstance(await read(by_key()), BadSignature)
    assert isinstance(await read(by_key(BY_KEY, AUTH_TOKEN, "HMAC_SHA1")), BadSignature)


async def test_the_token_counts_beside_shared_keys_only_while_changing_over() -> None:
    refused = BadSignature("not signed with a shared key")
    assert await read(callback(), **SHARED) == refused
    assert isinstance(await read(callback(), **SHARED, token_too=True), Reported)
    assert isinstance(await read(callback()), Reported)


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(Keys(b"secret", {KEY: b"secret"}))


# -------------------------------------------------------------------------------------- fuzz


ODD: dict[str, Any] = {
    "pieces": [b"%00", b"%", b"&", b"=", b"\xff", b"&a=b", b"[" * 5000],
    "values": ["", "\udc80", "é" * 9, BY_KEY, ",=,", "x/y;z=\x00"],
    "names": [SETTINGS],
    "tails": ["", "\udc80", ":", "[", "&reference=x", "?"],
}


def is_signed(what: Callback) -> bool:
    """Whether Twilio would have signed this, told by another way than the client's."""
    try:
        fields = parse_qsl(what.body.decode("ascii"), keep_blank_values=True, errors="strict")
        text = what.url + "".join(n + v for n, v in sorted(set(fields)))
        for key, how in ((AUTH_TOKEN, "sha1"), (SECRET, "sha256")):
            mac = base64.b64encode(hmac.digest(key.encode(), text.encode(), how)).decode()
            if what.headers.get("x-twilio-signature") == mac:
                return True
    except ValueError:
        pass
    return False


async def test_no_mutation_raises_or_is_believed_unless_it_is_signed() -> None:
    dice = random.Random(8_271)
    one, shared = client(), client(**SHARED)
    starts = [callback(), by_key(), callback(HOOK, INBOUND)]
    believed = 0
    for number in range(2_000):
        what = mutated_callback(dice, starts[number % 3], **ODD)
        for reader in (one, shared):
            found = await reader.read_callback(what)
            if isinstance(found, Reported):
                assert is_signed(what), what
                believed += 1
    assert 0 < believed < 400  # what was changed was at times not what counts
