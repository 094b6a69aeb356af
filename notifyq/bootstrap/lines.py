"""Our numbers: whose each is, and what is answered there."""

from collections.abc import Callable, Mapping
from functools import cache

from notifyq.config.categories import ProgramSettings
from notifyq.config.settings import SANDBOX_NAMES, Settings
from notifyq.domain.listening import Line, Replies
from notifyq.domain.model import Channel, Lane
from notifyq.domain.wording import phrases


def lines(
    settings: Settings, lanes: Mapping[tuple[Channel, str], Lane]
) -> Callable[[str, str], Line]:
    """Return what tells, by account and number, whose number it is.

    A number of the settings belongs to its sender's brand by whichever account it was written to:
    numbers move between accounts, and texts to them are underway meanwhile. Any other number
    reaches every brand of its account, or every brand there is where the account has none. The
    sandbox's one number speaks for everybody's test sends.
    """

    phrases.searches()  # now, not while somebody who wrote to us waits

    @cache
    def line(provider: str, number: str) -> Line:
        lane = lanes[Channel.SMS, provider].id
        sender = settings.senders.get(number)
        if provider in SANDBOX_NAMES:
            replies = _replies("Sandbox", "default", _PLAIN)
            return Line((), "default", False, lane, replies, is_test=True)
        if sender is not None:
            program = settings.program(sender.program)
            replies = _replies(sender.brand, sender.program, program)
            return Line((sender.brand,), sender.program, program.separate, lane, replies)
        ours = {one.brand for one in settings.senders.values() if provider in one.providers}
        return Line(tuple(sorted(ours)), "default", False, lane, None)

    return line


_PLAIN = ProgramSettings()


def _replies(brand: str, name: str, program: ProgramSettings) -> Replies:
    words = {"brand": brand, "program": name, "contact": program.contact}

    def said(text: str) -> str:
        return " ".join(text.format(**words).split())

    return Replies(
        said(program.stop_text),
        said(program.start_text),
        said(program.help_text),
        program.contact,
    )
