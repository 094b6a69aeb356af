"""What a reply means for the message: the table of replies, and the name of an accepted message.

Owns the rules, in their order: a relay's own words, codes that are about us, the enhanced status
code (RFC 3463), the bare code. Refuses to call an address dead unless the reply says so: a relay
that turns us away would else cost every address that it is asked about.
"""

import re
from collections.abc import Mapping

from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.providers.smtp.progress import Stage
from notifyq.providers.smtp.reply import Reply

# Greylisting lets a second try in after five minutes at the earliest (RFC 6647 names 1 to 5 min).
GREYLISTED_S = 300.0

Meaning = Refusal | type[Misconfigured] | type[Throttled] | type[Unavailable]
_ADDRESS, _CONTENT = Refusal.ADDRESS, Refusal.CONTENT

# A 5xx before a recipient was named is about us: the session, or the sender. These never are.
TOO_LARGE = frozenset(("3.4", "2.3"))

# Replies about us at any stage (RFC 5321, 4954, 3207): commands, and logging in.
ABOUT_US = frozenset((500, 502, 503, 504, 530, 534, 535, 538, 555))

# Enhanced status codes of a 5xx, without the class (RFC 3463; 6531: 6.7; 7505: 1.10, 7.27; 4954:
# 7.8 to 7.14; 7372: 7.20 to 7.26, DKIM, SPF and reverse DNS). Any other: this one message ends.
DETAILS: Mapping[str, Meaning] = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.6", "1.10", "2.1", "6.7"), _ADDRESS),
    **dict.fromkeys(("1.7", "1.8"), Misconfigured),  # the sender's address
    "2.2": Unavailable,  # the mailbox is full
    **dict.fromkeys(("7.8", "7.9", "7.10", "7.11", "7.12", "7.13", "7.14"), Misconfigured),
    **dict.fromkeys(("7.20", "7.21", "7.22", "7.23", "7.24", "7.25", "7.26"), Misconfigured),
    "7.27": Misconfigured,  # the sender's domain takes no mail
    **dict.fromkeys(("7.54", "7.60"), Misconfigured),  # Exchange: no relaying, not as this sender
}

# Gmail says 5.2.1 of a mailbox that gets too much at once, Exchange of one that takes no mail from
# us: such a refusal gives no address up.
NOT_FOR_GOOD = "2.1"

# Codes without an enhanced one, at RCPT. A bare 550 is "not found, no access, or policy reasons":
# only words can tell. Nor do 501, 551 and 553 say whose address, or for how long, without words.
AT_RCPT: Mapping[int, Meaning] = {
    **dict.fromkeys((501, 551, 553, 556), _ADDRESS),
    552: Unavailable,  # the mailbox is full
}
NO_MAILBOX = re.compile(
    r"(user|recipient|address) (is )?(unknown|unavailable|not found)"
    r"|mailbox (is )?(unknown|not found)"  # "mailbox unavailable" is RFC 5321's text of every 550
    r"|(unknown|no such|invalid) (user|recipient|mailbox|address)|unrouteable address"
)

# What is said in words, whatever the status beside it; the first that is found holds.
_4XX, _5XX, _554 = range(400, 500), range(500, 600), range(554, 555)
WORDS: Mapping[str, tuple[range, Meaning]] = {
    r"throttling failure|maximum sending rate": (_4XX, Throttled),  # SES
    r"daily (message quota|user sending (limit|quota))": (range(400, 600), Throttled),  # SES, Gmail
    r"too many (concurrent )?(smtp )?connections": (_4XX, Throttled),  # SES, Postfix
    r"too much mail|rate limit": (_4XX, Throttled),  # Postfix
    r"receiving (e-?)?mail (at a rate|too quickly)": (range(400, 600), Unavailable),  # Gmail
    # Exim about our sender, qmail about our sender and its relaying: they say so at RCPT too, and
    # Exim with "Unrouteable address" or "No such user" in the lines before.
    r"sender verify failed|verification failed for|envelope sender": (_5XX, Misconfigured),
    r"badmailfrom|rcpthosts|(not|n't|unable to) relay": (_5XX, Misconfigured),
    r"black ?list|block ?list|blocked using": (_5XX, Misconfigured),  # our address is on one
    r"recipient address rejected: access denied": (_5XX, _CONTENT),  # Postfix: this recipient's
    r"sender (address )?rejected": (_5XX, Misconfigured),  # Postfix says so at RCPT
    r"relay(ing)? (access )?(denied|not (permitted|allowed))": (_5XX, Misconfigured),
    r"address(es)? (is|are) not verified|access denied": (_554, Misconfigured),  # SES
}
_WORDS = [(re.compile(words), *said) for words, said in WORDS.items()]

# Postfix: "Ok: queued as X"; Exim: "OK id=X"; SES: "Ok X"; sendmail: "X Message accepted …".
_QUEUED = re.compile(
    r"(?:2\.\d+\.\d+ )?(?:"
    r"ok: queued as (?P<postfix>[0-9A-Za-z]{6,64})"
    r"|ok id=(?P<exim>[0-9A-Za-z-]{16,64})"
    r"|ok (?P<ses>[0-9a-f]{8,}(?:-[0-9a-f]+){3,8})"
    r"|(?P<sendmail>[0-9A-Za-z]{6,64}) message accepted for delivery"
    r")",
    re.IGNORECASE,
)


def read_answer(stage: Stage, reply: Reply, message_id: str) -> Outcome:
    """Return what the last reply of a transaction means.

    stage: what it answers; BODY if it came before the message's end was written. message_id: the
    name of an accepted message where the reply does not say the relay's own.
    """
    if stage is Stage.END and reply.code == 250:
        return Accepted(_queue_id(reply) or message_id)
    if reply.code < 400:  # 250 is the only success that RFC 5321 names, and only after the end
        odd = InDoubt if stage >= Stage.BODY else Unavailable
        return odd(reply.name)
    meaning = _meaning(stage, reply)
    if isinstance(meaning, Refusal):
        return Refused(meaning, reply.name, for_good=_is_for_good(reply))
    if meaning is Unavailable:
        return Unavailable(reply.name, GREYLISTED_S if _is_greylisted(stage, reply) else None)
    return Throttled(reply.name) if meaning is Throttled else Misconfigured(reply.name)


def _meaning(stage: Stage, reply: Reply) -> Meaning:
    text, detail = reply.text.lower(), reply.detail
    for words, codes, meaning in _WORDS:
        if reply.code in codes and words.search(text):
            return meaning
    if reply.code < 500:
        return Unavailable
    if stage < Stage.RCPT:
        is_large = detail in TOO_LARGE or (detail is None and reply.code == 552)
        return _CONTENT if is_large and stage is Stage.MAIL else Misconfigured
    if reply.code in ABOUT_US:
        return Misconfigured
    if detail is not None:
        return DETAILS.get(detail, _CONTENT)
    if stage is not Stage.RCPT:
        return _CONTENT
    if reply.code == 550 and NO_MAILBOX.search(text):
        return _ADDRESS
    return AT_RCPT.get(reply.code, _CONTENT)


def _is_for_good(reply: Reply) -> bool:
    """Whether the reply says that nobody has the address, not only that it gets nothing now."""
    if reply.detail is not None:
        return reply.detail != NOT_FOR_GOOD
    return reply.code == 556 or NO_MAILBOX.search(reply.text.lower()) is not None


def _is_greylisted(stage: Stage, reply: Reply) -> bool:
    if stage < Stage.RCPT or reply.code not in (450, 451):
        return False
    return reply.detail == "7.1" or re.search("gr[ea]ylist", reply.text.lower()) is not None


def _queue_id(reply: Reply) -> str | None:
    found = _QUEUED.match(reply.lines[-1])
    return found[found.lastgroup or 0] if found else None
