"""Where a recipient may be: their own word, else what their number and their address tell. Pure."""

from notifyq.domain.hours import Hours, Whereabouts
from notifyq.domain.model import Channel
from notifyq.domain.places import NOWHERE, places_of
from notifyq.domain.profile import Profile
from notifyq.domain.terms import Terms


def whereabouts(
    channel: Channel, address: str | None, terms: Terms, profile: Profile | None
) -> Whereabouts | None:
    """Return what hours are judged by; None where no hours matter.

    Marketing hours go by every state and zone that anything points to: numbers are ported and
    people move. They are hours of texts: mail and pushes keep them where the person's zone was
    told, and are not bound by what a number might mean. The person's own zone is believed for the
    rest: the one that the request told, else the one that is kept.
    """
    quiet = profile.quiet if profile is not None else None
    told = [terms.time_zone, profile.time_zone if profile is not None else None]
    unbound = terms.hours is Hours.LEGAL and channel is not Channel.SMS and not any(told)
    if terms.hours is Hours.ANY or (quiet is None and (unbound or terms.hours is Hours.RECIPIENT)):
        return None
    phone = _phone(channel, address, profile)
    places = NOWHERE if phone is None else places_of(phone)
    states = places.states | (profile.states if profile is not None else frozenset())
    zones = places.zones | frozenset(filter(None, told))
    own = next(filter(None, told), None) if terms.hours is not Hours.LEGAL else None
    return Whereabouts(zones, states, own, quiet, unbound)


def _phone(channel: Channel, address: str | None, profile: Profile | None) -> str | None:
    if channel is Channel.SMS:
        return address
    return profile.phones[0] if profile is not None and profile.phones else None
