"""Terms: what a delivery obeys beside its time and its consent, as it was when it was accepted."""

from dataclasses import dataclass

from notifyq.domain.hours import Hours


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which text it is: a template's version, in one of its locales."""

    template: str
    version: int
    locale: str

    def of(self, tenant: str) -> str:
        """Return the text's full name, in whatever locale: the settings approve it by that."""
        return f"{tenant}/{self.template}@{self.version}"


@dataclass(frozen=True, slots=True)
class Terms:
    """The columns of a delivery that its category and its recipient decided."""

    category: str | None = None  # None: accepted before categories were kept with deliveries
    recipient: str | None = None  # the producer's id; its profile is read again before each send
    hours: Hours = Hours.ANY
    time_zone: str | None = None  # as the request told it; it goes before the one that is kept
    cap: int | None = None  # begins in 24 hours, to one address of one brand
    sender: str | None = None  # the number that answers; None: by brand and program
    is_marketing: bool = False
    is_mandatory: bool = False  # no preference turns it off
    is_separate: bool = False  # a STOP of its brand does not reach its program, nor the other way
    is_exempt: bool = False  # goes out whatever was opted out: the answer to a STOP; an emergency
    is_by_id: bool = False  # its address is the one that was kept of its recipient
    stamp: Stamp | None = None


PLAIN = Terms()
