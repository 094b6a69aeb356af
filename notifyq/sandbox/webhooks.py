"""Where the vendors that are told once, for an account, send their events.

Twilio and Sinch carry a URL with each message for its own callbacks; what somebody writes to one of
their numbers goes here too.
"""

from urllib.parse import urlsplit

from notifyq.sandbox.faults import VENDORS


class BadWebhook(ValueError):
    """No vendor of this name, or no URL."""


class Webhooks:
    """One URL a vendor, or none."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}

    def set(self, vendor: str, url: str) -> None:
        """Send a vendor's events there from now on; BadWebhook."""
        if vendor not in VENDORS:
            raise BadWebhook(f"vendor: one of {', '.join(VENDORS)}")
        try:
            parts = urlsplit(url)
            right = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            right = False
        if not right:
            raise BadWebhook("url: an http or https URL")
        self._urls[vendor] = url

    def url_of(self, vendor: str) -> str | None:
        """Return where to send a vendor's events; None: nowhere."""
        return self._urls.get(vendor)

    def all(self) -> dict[str, str]:
        """Return what is set."""
        return dict(self._urls)
