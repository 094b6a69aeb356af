"""Signature Version 4, by botocore's own signer, over the very bytes that are sent.

Owns which headers there are. Its steps are called one by one, instead of `add_auth`: that reads a
clock of its own, and logs the canonical request, session token and all, at level debug. botocore
ships no types.
"""

from collections.abc import Callable
from datetime import datetime

import httpx
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import ReadOnlyCredentials  # type: ignore[import-untyped]

SERVICE = "ses"  # what is signed for; the host calls it `email`


class Signer:
    """Signs the requests of one account in one region."""

    def __init__(
        self,
        *,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None,
        region: str,
        now: Callable[[], datetime],
    ) -> None:
        """now: aware; AWS refuses what is more than 5 minutes off its own clock."""
        credentials = ReadOnlyCredentials(access_key_id, secret_access_key, session_token)
        self._auth = SigV4Auth(credentials, SERVICE, region)
        self._token, self._now = session_token, now

    def headers(self, method: str, url: httpx.URL, body: bytes = b"") -> httpx.Headers:
        """Return every header to send but Host and Content-Length. A body is JSON."""
        at = self._now().strftime(SIGV4_TIMESTAMP)
        given = {"Accept": "application/json", "X-Amz-Date": at}
        if body:
            given["Content-Type"] = "application/json"
        if self._token:
            given["X-Amz-Security-Token"] = self._token
        request = AWSRequest(method=method, url=str(url), data=body, headers=given)
        request.context["timestamp"] = at
        canonical = self._auth.canonical_request(request)
        signature = self._auth.signature(self._auth.string_to_sign(request, canonical), request)
        names = self._auth.signed_headers(self._auth.headers_to_sign(request))
        scope = self._auth.scope(request)
        given["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
        )
        return httpx.Headers(given)
