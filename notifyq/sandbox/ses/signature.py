"""AWS Signature Version 4, as AWS checks it: from the request as it came, by the documents alone.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from notifyq.sandbox.ses.rules import Account, Refused

SERVICE = "ses"
SKEW_MAX = timedelta(minutes=5)

_ALGORITHM = "AWS4-HMAC-SHA256"
_HEADER = re.compile(
    rf"{_ALGORITHM} Credential=([^/, ]+)/([0-9]{{8}})/([^/, ]+)/([^/, ]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it came: the target undecoded, names of headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def authenticate(
    request: Signed, accounts: Mapping[str, Account], now: datetime
) -> Account | Refused:
    """Return whose request it is, or what AWS says against it. accounts: by key. now: aware."""
    text = request.headers.get("authorization")
    if text is None:
        return _no("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _HEADER.fullmatch(text)
    if found is None:
        return _no("IncompleteSignatureException", "Authorization header is malformed")
    key, day, region, service, names, signature = found.groups()
    account = accounts.get(key)
    if account is None:
        text = "The security token included in the request is invalid."
        return _no("UnrecognizedClientException", text)
    if request.headers.get("x-amz-security-token") != account.session_token:
        return _no("ExpiredTokenException", "The security token included in the request is expired")
    if (region, service) != (account.region, SERVICE):
        text = f"Credential should be scoped to {account.region} and {SERVICE}"
        return _no("InvalidSignatureException", text)
    wrong = _wrong_time(request, day, now) or _wrong_names(request, names.split(";"))
    if wrong is not None:
        return wrong
    expected = sign(request, account.secret_access_key, f"{day}/{region}/{service}", names)
    if not hmac.compare_digest(expected, signature):
        text = "The request signature we calculated does not match the signature you provided."
        return _no("InvalidSignatureException", text)
    return account


def sign(request: Signed, secret: str, scope: str, names: str) -> str:
    """Return the signature in hexadecimal digits. scope: day/region/service."""
    path, _, query = request.target.partition("?")
    headers = [f"{name}:{' '.join(request.headers[name].split())}" for name in names.split(";")]
    canonical = [
        request.method,
        quote(path, safe="/-_.~"),  # encoded once more than it came, as for all services but S3
        "&".join(sorted(query.split("&"))),
        *headers,
        "",
        names,
        hashlib.sha256(request.body).hexdigest(),
    ]
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    scope = f"{scope}/aws4_request"
    text = "\n".join((_ALGORITHM, request.headers["x-amz-date"], scope, hashed))
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _wrong_time(request: Signed, day: str, now: datetime) -> Refused | None:
    text = request.headers.get("x-amz-date", "")
    try:
        at = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return _no("IncompleteSignatureException", "X-Amz-Date is missing or malformed")
    if not text.startswith(day):
        return _no("InvalidSignatureException", "Date in Credential scope does not match")
    if abs(now - at) > SKEW_MAX:
        return _no("InvalidSignatureException", f"Signature expired: {text} is too far from now")
    return None


def _wrong_names(request: Signed, names: list[str]) -> Refused | None:
    needed = {"host", "x-amz-date"} | {n for n in request.headers if n.startswith("x-amz-")}
    needed |= {"content-type"} if request.body else set()
    if names != sorted(names) or not needed <= set(names) or not set(names) <= set(request.headers):
        text = "host, content-type and every x-amz- header must be signed, in order"
        return _no("InvalidSignatureException", text)
    return None


def _no(name: str, message: str) -> Refused:
    return Refused(name, message, 403)
