"""The evidence of a lift, from a file: a record as JSON, or a text with options beside it."""

import hashlib
from datetime import UTC, datetime
from typing import BinaryIO

from notifyq.cli.consenting import plain
from notifyq.cli.output import Misused
from notifyq.domain.consent import SKEW
from notifyq.domain.consent_record import WORDING_LENGTH_MAX, Medium, Record
from notifyq.entrypoints.api.consenting import read_record
from notifyq.entrypoints.api.problems import Problem
from notifyq.entrypoints.api.reading import parse

MEDIA = [medium.value for medium in Medium]
FILE_BYTES_MAX = 65_536
_OPTION = "--consent-evidence"


def record_in(file: BinaryIO, *, at: datetime | None, identity: str | None, medium: str) -> Record:
    """Return the record in a file; Misused names what is wrong with it.

    at, identity, medium: of a text, which does not say them itself. Its version is its digest.
    """
    raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise Misused(f"{_OPTION}: the file is longer than {FILE_BYTES_MAX} bytes")
    if raw.lstrip().startswith(b"{"):
        if at is not None or identity is not None:
            raise Misused("--at and --identity go with a text: a record as JSON says them itself")
        found = _json(raw)
    else:
        found = _text(raw, at, identity, medium)
    if found.at > datetime.now(UTC) + SKEW:
        raise Misused(f"{_OPTION}: consent cannot be given in the future: {found.at}")
    return found


def _json(raw: bytes) -> Record:
    try:
        return read_record(parse(raw))
    except Problem as problem:
        faults = [f"{fault.pointer} {fault.detail}" for fault in problem.faults]
        said = "; ".join(faults or [problem.detail])
        raise Misused(f"{_OPTION}: {plain(said)}") from None


def _text(raw: bytes, at: datetime | None, identity: str | None, medium: str) -> Record:
    try:
        wording = raw.decode().strip()
    except UnicodeDecodeError:
        raise Misused(f"{_OPTION}: must be JSON, or a text in UTF-8") from None
    if not 1 <= len(wording) <= WORDING_LENGTH_MAX or "\0" in wording:
        raise Misused(f"{_OPTION}: must have 1 to {WORDING_LENGTH_MAX} characters")
    if at is None or not (identity or "").strip():
        raise Misused(f"{_OPTION}: a text needs --at and --identity beside it: when, and who")
    version = f"sha256:{hashlib.sha256(raw).hexdigest()[:32]}"
    return Record(at, wording, Medium(medium), wording_version=version, identity=identity)
