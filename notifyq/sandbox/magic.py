"""Magic recipients: what happens to a message is said by whom it goes to.

Owns how they are told from ordinary ones. What a kind comes to at a vendor, with its own codes, is
the vendor's to say.
"""

import re
from collections.abc import Callable, Mapping

from notifyq.sandbox.faults import Fault

# The last four digits of a number +1 NPA 555 01xx, or of a device token that ends in 555 01xx.
SUFFIXES: Mapping[str, str] = {
    "0140": "dead",
    "0141": "opted-out",
    "0142": "wrong-kind",
    "0143": "throttled",
    "0144": "error",
    "0145": "lost",
    "0146": "undelivered",
    "0147": "silent",
    "0148": "slow",
    "0149": "content",
    "0150": "config",
    "0151": "dropped",
}
KINDS: Mapping[str, str] = {
    "dead": "the address is refused as dead",
    "opted-out": "the recipient has opted out",
    "wrong-kind": "the address is of the wrong kind: no mobile, another app's device",
    "throttled": "each text is throttled once, then accepted",
    "error": "always an error, never accepted",
    "lost": "accepted, but the answer is lost",
    "undelivered": "accepted, then undelivered",
    "silent": "accepted and answered, but no callback ever comes",
    "slow": "accepted, answered after three seconds",
    "content": "the content is refused, however good",
    "config": "refused for a reason of the account's: no route, no permission",
    "dropped": "the connection breaks before anything is accepted",
}
# These are the same wherever they happen.
COMMON: Mapping[str, Fault] = {
    "throttled": Fault("throttle"),
    "error": Fault("error_before_accept", {"status": 500}),
    "lost": Fault("drop_after_accept"),
    "silent": Fault("no_callbacks"),
    "slow": Fault("slow", {"delay_s": 3.0}),
    "dropped": Fault("drop_before_accept"),
}
_NUMBER = re.compile(r"\+1[2-9][0-9]{2}555(01[0-9]{2})")
_TOKEN = re.compile(r".*555(01[0-9]{2})", re.DOTALL)


def of_number(to: str) -> str | None:
    """Return the kind of an E.164 number; None for an ordinary one."""
    found = _NUMBER.fullmatch(to)
    return SUFFIXES.get(found[1]) if found else None


def of_token(token: str) -> str | None:
    """Return the kind of a device token; None for an ordinary one."""
    found = _TOKEN.fullmatch(token)
    return SUFFIXES.get(found[1]) if found else None


def of_mail(address: str) -> str | None:
    """Return the kind of a mail address: its local part up to a `+`; None for an ordinary one."""
    local = address.rpartition("@")[0].partition("+")[0].lower()
    return local if local in KINDS else None


def recipients(
    kind_of: Callable[[str], str | None], faults: Mapping[str, Fault]
) -> Callable[[str], Fault | None]:
    """Return what says what a recipient makes happen at a vendor; None for an ordinary one.

    kind_of: one of the three above. faults: what each kind comes to there.
    """

    def magic_of(to: str) -> Fault | None:
        kind = kind_of(to)
        return faults.get(kind) if kind else None

    return magic_of
