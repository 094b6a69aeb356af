"""One batch of due deliveries: the facts of each are put together, and it is decided on. Pure.

Several deliveries of a batch may go to one address. Each that begins counts against the cap of the
next, as if they had come one after the other.
"""

from collections.abc import Mapping
from datetime import datetime

from notifyq.domain.hours import Hours
from notifyq.domain.model import Channel, Due
from notifyq.domain.policy import Consent, Decision, Facts, Send, decide
from notifyq.domain.preferences import Verdict, wanted
from notifyq.domain.profile import BadProfile, Profile, read_profile
from notifyq.domain.whereabouts import whereabouts

Key = tuple[str, bytes]  # brand and address key

_UNREADABLE = Verdict(False, "profile: unreadable")


class Assessor:
    """Decides on the deliveries of one batch, in the order in which it is asked."""

    def __init__(self, consent: Mapping[Key, Consent], channel: Channel) -> None:
        """consent: the rows of everybody in the batch, all of them locked."""
        self._consent = dict(consent)
        self._channel = channel

    def decide(self, due: Due, now: datetime) -> Decision:
        """Decide on one. now: the database's time."""
        key = due.brand, due.address_key
        decision = decide(due, facts_of(due, self._consent.get(key), now, self._channel))
        if isinstance(decision, Send) and due.terms.cap is not None:
            self._consent[key] = self._consent[key].with_begin(now, due.begun_at)
        return decision


def facts_of(due: Due, consent: Consent | None, now: datetime, channel: Channel) -> Facts:
    """Put together what is known: consent, the recipient's wishes, where they may be."""
    if due.profile is None and due.terms.hours is Hours.ANY:
        return Facts(now, channel, consent)
    try:
        profile = None if due.profile is None else read_profile(due.profile)
    except BadProfile:  # what they wished is not known, so nothing that they might not want
        return Facts(now, channel, consent, None, _UNREADABLE)
    where = whereabouts(channel, due.address, due.terms, profile)
    return Facts(now, channel, consent, where, _preference(due, profile, channel))


def _preference(due: Due, profile: Profile | None, channel: Channel) -> Verdict | None:
    """The tenant's defaults were heeded at accept; what the person says since then counts here."""
    if profile is None or due.terms.category is None:
        return None
    return wanted(
        due.terms.category,
        channel,
        mandatory=due.terms.is_mandatory,
        own=profile.preferences,
        of_tenant={},
        default_on=True,
    )
