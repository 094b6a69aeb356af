"""The record: what the sandbox's vendors really accepted, one entry per acceptance.

Owns that list, each message's later status, and the optional file that keeps both over restarts;
and what a mailbox would read of a mail's headers (`one_click`), which an entry tells.
Invariant: an entry is on disk (fsync) before its vendor's answer is written; entries are never
changed or removed, so whoever counts them counts what would have reached a handset.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

# A URI of List-Unsubscribe (RFC 2369) that a POST may go to: https by RFC 8058, and plain http to
# this machine, where no mailbox is.
_WEB = re.compile(r"<(https://[!-;=?-~]+|http://(localhost|127\.0\.0\.1|\[::1\])[:/][!-;=?-~]*)>")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One message that a vendor took. Times are aware UTC in ISO 8601."""

    vendor: str
    account: str
    to: str
    sender: str
    reference: str | None  # what the client planted, however this vendor lets it
    body: str
    accepted_at: str
    provider_id: str


@dataclass(frozen=True, slots=True)
class Mail(Acceptance):
    """One mail that a vendor took. Files from before it was told have mails without it."""

    unsubscribe: str | None  # where one POST unsubscribes, by its headers


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a message after its acceptance."""

    word: str
    code: int | str | None = None
    updated_at: str | None = None
    sent_at: str | None = None


class Record:
    """Acceptances in order; in memory, and in a file of JSON lines when a path is given."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what the file holds. OSError: it cannot be read or written."""
        self._entries: list[Acceptance] = []
        self._statuses: dict[str, Status] = {}
        self._offers: dict[str, str | None] = {}  # of mails at the counter, by provider_id
        self._file: IO[bytes] | None = None
        if path is not None:
            self._load(path)
            self._file = path.open("ab")

    @contextmanager
    def offering(self, provider_id: str, headers: Mapping[str, str]) -> Iterator[None]:
        """Within it, what is accepted under the name is a mail with these headers.

        headers: names in lower case, values unfolded and not decoded. The counter, which accepts
        for every vendor, knows of none.
        """
        self._offers[provider_id] = one_click(headers)
        try:
            yield
        finally:
            del self._offers[provider_id]

    def add(self, entry: Acceptance, first_status: str) -> None:
        """Accept: durable when this returns."""
        if entry.provider_id in self._offers:
            entry = Mail(**asdict(entry), unsubscribe=self._offers[entry.provider_id])
        self._write({"accepted": asdict(entry), "status": first_status}, durable=True)
        self._entries.append(entry)
        self._statuses[entry.provider_id] = Status(first_status)

    def move(self, provider_id: str, word: str, code: int | str | None = None) -> None:
        """Note a later status of an accepted message."""
        self._write({"moved": provider_id, "status": word, "code": code}, durable=False)
        self._move(provider_id, word, code)

    def status_of(self, provider_id: str) -> Status:
        """Return the latest status; KeyError for an unknown message."""
        return self._statuses[provider_id]

    def of_account(self, vendor: str, account: str) -> Iterator[Acceptance]:
        """Yield an account's messages, newest first."""
        for entry in reversed(self._entries):
            if (entry.vendor, entry.account) == (vendor, account):
                yield entry

    def page(
        self, wanted: Mapping[str, str], *, start: int, limit: int
    ) -> tuple[list[Acceptance], int | None]:
        """Return up to `limit` entries from position `start` on, and where the next page starts.

        wanted: any of vendor, to, reference; an entry must equal all that are given.
        """
        found: list[Acceptance] = []
        for position in range(start, len(self._entries)):
            entry = self._entries[position]
            if any(getattr(entry, name) != value for name, value in wanted.items()):
                continue
            if len(found) == limit:
                return found, position
            found.append(entry)
        return found, None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _load(self, path: Path) -> None:
        path.touch()
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole != raw:  # a crash while appending: that message's answer was never written
            os.truncate(path, len(whole))
        for line in whole.splitlines():
            row = json.loads(line)
            if "accepted" in row:
                kept = row["accepted"]
                entry = Mail(**kept) if "unsubscribe" in kept else Acceptance(**kept)
                self._entries.append(entry)
                self._statuses[entry.provider_id] = Status(row["status"])
            else:
                self._move(row["moved"], row["status"], row["code"])

    def _move(self, provider_id: str, word: str, code: int | str | None) -> None:
        at = now()
        old = self._statuses[provider_id]
        sent_at = at if word == "sent" else old.sent_at
        self._statuses[provider_id] = replace(
            old, word=word, code=code, updated_at=at, sent_at=sent_at
        )

    def _write(self, row: object, *, durable: bool) -> None:
        if self._file is None:
            return
        self._file.write(json.dumps(row).encode() + b"\n")
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())


def one_click(headers: Mapping[str, str]) -> str | None:
    """Return where one POST unsubscribes by RFC 8058; None if the two fields do not offer it.

    headers: as `Record.offering` takes them.
    """
    if headers.get("list-unsubscribe-post", "").strip() != "List-Unsubscribe=One-Click":
        return None
    found = _WEB.search(headers.get("list-unsubscribe", ""))
    return found[1] if found else None


def now() -> str:
    """Return this instant in ISO 8601, aware UTC."""
    return datetime.now(UTC).isoformat()
