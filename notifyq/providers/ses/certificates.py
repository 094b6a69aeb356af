"""The certificates that SNS signs with, fetched from where SNS publishes them.

Owns which places those are, and a few certificates in memory. What vouches for a certificate is
TLS to an allowed host: SNS publishes no chain beside it.
Refuses any other place, redirects, and what is too large. Invariant: strangers who name one
certificate after another take one connection of the lane, and push none out that was ever good.
"""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address

import httpx
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from notifyq.domain.provider import BadSignature, Unverified
from notifyq.providers.wire import Answer, Wire

# SNS waits 15 s for our answer; what is not here in a third of that comes with its next try.
FETCH_S = 5.0
PEM_BYTES_MAX = 65_536  # one certificate is about 2 KB
KEPT_MAX = 8  # SNS uses one at a time in a region, and changes it about once a year
KEY_BITS_MIN = 2_048

_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
# No segment begins with a dot: `/a/../X.pem` is X.pem by another name, which would be kept twice.
_PEM_PATH = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/[A-Za-z0-9_-][A-Za-z0-9._-]*\.pem")
_QUERY_PATH = re.compile(r"/[!-~]*")


def sns_origin(region: str) -> str:
    """Return the origin of SNS in a region: of its certificates and of its API."""
    return f"https://sns.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def checked_origin(text: str) -> str:
    """Return an origin, without a slash at its end.

    ValueError: it has a path, or is plain http beyond this machine, where anybody in between could
    hand us a certificate of his own.
    """
    origin = text.rstrip("/").lower()
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        raise ValueError("must be an origin, like https://sns.eu-west-1.amazonaws.com")
    if found[1] == "http" and not _is_here(found[2].strip("[]")):
        raise ValueError("must be https; plain http is for this machine only")
    return origin


class Certificates:
    """Where signing certificates come from."""

    def __init__(self, *, origins: frozenset[str], wire: Wire, now: Callable[[], datetime]) -> None:
        """origins: see `checked_origin`, whose ValueError this raises."""
        self._origins = tuple(checked_origin(origin) for origin in sorted(origins))
        self._wire, self._now = wire, now
        self._kept: dict[str, x509.Certificate] = {}
        self._one_at_a_time = asyncio.Lock()

    async def key(self, url: str) -> RSAPublicKey | BadSignature | Unverified:
        """Return the public key of the certificate at `url`, within FETCH_S seconds."""
        if not self._is_allowed(url, _PEM_PATH):
            return BadSignature("the certificate is from elsewhere")
        found = self._kept.get(url)
        if found is None:
            fetched = await self._fetch(url)
            if isinstance(fetched, Unverified):
                return fetched
            found = fetched
        if not found.not_valid_before_utc <= self._now() <= found.not_valid_after_utc:
            return Unverified("the certificate is not valid today")
        return _key_of(found)

    async def call(self, url: str) -> str | None:
        """GET a URL at an allowed place; return None if that went well, else what went wrong."""
        if not self._is_allowed(url, _QUERY_PATH):
            return "from elsewhere"
        answer = await self._get(url)
        if isinstance(answer, str):
            return answer
        return None if answer.status == 200 else f"http_{answer.status}"

    def _is_allowed(self, url: str, path: re.Pattern[str]) -> bool:
        # By the text, letter by letter up to the first slash of the path: there is nothing to parse
        # in which two parsers could find two hosts.
        rests = (url.removeprefix(origin) for origin in self._origins if url.startswith(origin))
        return any(path.fullmatch(rest) for rest in rests)

    async def _fetch(self, url: str) -> x509.Certificate | Unverified:
        try:
            async with asyncio.timeout(FETCH_S), self._one_at_a_time:
                if url in self._kept:
                    return self._kept[url]
                answer = await self._get(url)
        except TimeoutError:
            return Unverified("no certificate: timeout")
        if isinstance(answer, str) or answer.status != 200:
            code = answer if isinstance(answer, str) else f"http_{answer.status}"
            return Unverified(f"no certificate: {code}")
        try:
            if len(answer.body) > PEM_BYTES_MAX:
                raise ValueError
            found = x509.load_pem_x509_certificate(answer.body)
            found.public_key()
        except (ValueError, UnsupportedAlgorithm):
            return Unverified("no certificate: unreadable")
        while len(self._kept) >= KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[url] = found
        return found

    async def _get(self, url: str) -> Answer | str:
        """Return an answer, or the code of why there is none."""
        try:
            request = httpx.Request("GET", url)
        except (httpx.InvalidURL, ValueError):
            return "no_url"
        answer = await self._wire.exchange(request, timeout_s=FETCH_S)
        return answer if isinstance(answer, Answer) else answer.code


def _key_of(certificate: x509.Certificate) -> RSAPublicKey | Unverified:
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        return Unverified("the certificate's key is none that SNS signs with")
    return key


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
