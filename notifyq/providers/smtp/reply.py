"""A reply of an SMTP server (RFC 5321 4.2), read strictly.

Refuses what a lenient reader takes: a code that is not three digits, lines of one reply that
differ in their code, lines without end. Such a reply says nothing, so it is never a refusal.
"""

import re
from dataclasses import dataclass

LINE_BYTES_MAX = 4_096  # RFC 5321 4.5.3.1.5 says 512; relays that quote policies write more
LINES_MAX = 100  # of one reply; an EHLO has about fifteen

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245])\.([0-9]{1,3}\.[0-9]{1,3})(?:\s|$)")  # RFC 3463, at the beginning

_AT_END = re.compile(r"\(#([245])\.([0-9]{1,3}\.[0-9]{1,3})\)\s*$")  # qmail's way


class NotSmtp(ValueError):
    """What was received is no reply."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply. Its text may quote the recipient: it goes into no log and no code."""

    code: int  # 200 to 599
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines as one."""
        return " ".join(self.lines)

    @property
    def detail(self) -> str | None:
        """Subject and detail of the enhanced status code, "1.1" of 5.1.1; None without one."""
        found = _ENHANCED.match(self.lines[-1]) or _AT_END.search(self.lines[-1])
        return found[2] if found and int(found[1]) == self.code // 100 else None

    @property
    def name(self) -> str:
        """For logs and rows: "550 5.1.1", or "550"."""
        detail = self.detail
        return f"{self.code}" if detail is None else f"{self.code} {self.code // 100}.{detail}"

    @property
    def is_positive(self) -> bool:
        """Whether it is a 2xx."""
        return self.code < 300


def take_reply(received: bytearray) -> Reply | None:
    """Take the first reply off the front of what was received; None while it is not complete.

    NotSmtp: it never will be one.
    """
    lines: list[tuple[bytes, bytes, bytes]] = []
    start = 0
    while (end := received.find(b"\n", start)) >= 0:
        found = _LINE.fullmatch(bytes(received[start:end]).removesuffix(b"\r"))
        if found is None or end - start > LINE_BYTES_MAX or len(lines) == LINES_MAX:
            raise NotSmtp("not a reply")
        code, mark, text = found[1], found[2] or b" ", found[3] or b""
        if lines and lines[0][0] != code:
            raise NotSmtp("lines of one reply differ")
        lines.append((code, mark, text))
        start = end + 1
        if mark == b" ":
            del received[:start]
            return Reply(int(code), tuple(each[2].decode("utf-8", "replace") for each in lines))
    if len(received) - start > LINE_BYTES_MAX:
        raise NotSmtp("a line without end")
    return None
