"""Settings of categories and programs: by which rules a kind of message goes out.

A category is the producer's name for a kind of message. It belongs to a program, which is what its
recipients signed up for: whoever answers STOP, HELP or START gets the program's words.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from notifyq.config.fields import Table, Word
from notifyq.config.vendors import VendorSettings
from notifyq.domain.hours import Hours
from notifyq.domain.model import (
    HOURS,
    LIFETIME_S_MAX,
    MANDATORY,
    Category,
    Channel,
    MessageClass,
)

# at_least_once, where the category does not say when: most answers that come at all, and most
# receipts, have come by then (a code is typed in within a minute, or asked for again).
RESEND_AFTER_S = 15
# As many as the states allow that count: Florida, Oklahoma, Maryland, Oregon, in 24 hours.
MARKETING_CAP = 3
CAP_MAX = 24  # more in a day is no cap that anybody would notice
REPLY_LENGTH_MAX = 306  # two parts of a text message
DEFAULT = "default"  # the program of whatever names none
_APPROVED = re.compile(r"[a-z0-9][a-z0-9-]{0,62}/[a-z0-9._-]{1,100}@[1-9][0-9]{0,8}")


def _full_name(approved: str) -> str:
    if not _APPROVED.fullmatch(approved):
        rule = 'must be a tenant, its template and the version: "acme/boil-water@3"'
        raise PydanticCustomError("approved", "{rule}", {"rule": rule})
    return approved


class ProgramSettings(Table):
    """What people signed up for, and what is answered when they write to its numbers.

    {brand}, {program} and {contact} stand for what they say.
    """

    separate: bool = False  # codes, say: a STOP of the brand does not reach it, nor the other way
    contact: Annotated[str, Field(max_length=100)] = ""  # for HELP: a toll-free number or an email
    stop_text: Annotated[str, Field(min_length=1, max_length=REPLY_LENGTH_MAX)] = (
        "{brand}: you are unsubscribed and will get no more messages. Reply START to undo."
    )
    start_text: Annotated[str, Field(min_length=1, max_length=REPLY_LENGTH_MAX)] = (
        "{brand}: you are subscribed again. Msg & data rates may apply. HELP for help, STOP to end."
    )
    help_text: Annotated[str, Field(min_length=1, max_length=REPLY_LENGTH_MAX)] = (
        "{brand} {program} messages. {contact} Msg & data rates may apply. Reply STOP to end."
    )

    @field_validator("stop_text", "start_text", "help_text")
    @classmethod
    def _known_names(cls, text: str) -> str:
        try:
            text.format(brand="", program="", contact="")
        except (KeyError, ValueError, IndexError, AttributeError):
            rule = "may name {brand}, {program} and {contact} only"
            raise PydanticCustomError("reply", "{rule}", {"rule": rule}) from None
        return text


class CategorySettings(Table):
    """The rules of one kind of message."""

    message_class: Literal["emergency", "otp", "transactional", "marketing"] = Field(
        "transactional", alias="class"
    )
    program: Word = DEFAULT
    expires_in_s: Annotated[int, Field(ge=1)] | None = None
    # What becomes of a delivery whose answer was lost: it waits for evidence, or it is sent again
    # after resend_after_s, which may be a second time (and is counted).
    in_doubt: Literal["never_twice", "at_least_once"] = "never_twice"
    resend_after_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    # Accounts that this kind goes by, where it is not the channel's route.
    routes: dict[Literal["sms", "email", "push"], Annotated[list[Word], Field(min_length=1)]] = (
        Field(default_factory=dict)
    )

    # When it may be sent, by the recipient's clock. Of marketing nothing but the legal hours.
    hours: Literal["any", "recipient", "courtesy", "legal"] | None = None
    # Begins to one address in 24 hours. Florida, Oklahoma, Maryland: 3 of marketing at the most.
    cap: Annotated[int, Field(ge=1, le=CAP_MAX)] | None = None
    mandatory: bool = False  # no preference turns it off; emergency and otp always are
    wanted: bool = True  # where no preference says anything
    # Templates of emergencies that go out whatever was opted out: "any situation affecting the
    # health and safety of consumers", 47 CFR 64.1200(f)(4). Somebody read each and answers for it,
    # so a new version, or another tenant's text of the same name, is none of them.
    approved_templates: list[Annotated[str, AfterValidator(_full_name)]] = Field(
        default_factory=list
    )

    @field_validator("hours")
    @classmethod
    def _legal_of_marketing(cls, hours: str | None, info: ValidationInfo) -> str | None:
        if hours not in (None, "legal") and info.data.get("message_class") == "marketing":
            raise PydanticCustomError("hours", 'must be "legal" for class marketing')
        return hours

    @field_validator("cap")
    @classmethod
    def _low_for_marketing(cls, cap: int | None, info: ValidationInfo) -> int | None:
        if (cap or 0) > MARKETING_CAP and info.data.get("message_class") == "marketing":
            rule = "must be {most} or less for class marketing"
            raise PydanticCustomError("cap", rule, {"most": MARKETING_CAP})
        return cap

    @field_validator("approved_templates")
    @classmethod
    def _of_emergencies(cls, approved: list[str], info: ValidationInfo) -> list[str]:
        if approved and info.data.get("message_class") != "emergency":
            raise PydanticCustomError("approved", "stands with class emergency only")
        return approved

    @field_validator("expires_in_s")
    @classmethod
    def _within_its_class(cls, expires_in_s: int | None, info: ValidationInfo) -> int | None:
        named = info.data.get("message_class")
        if named and (expires_in_s or 0) > LIFETIME_S_MAX[MessageClass(named)]:
            raise PydanticCustomError(
                "lifetime",
                "must be {longest_s} or less for class {named}",
                {"longest_s": LIFETIME_S_MAX[MessageClass(named)], "named": named},
            )
        return expires_in_s

    @field_validator("resend_after_s")
    @classmethod
    def _of_at_least_once(cls, resend_after_s: int | None, info: ValidationInfo) -> int | None:
        if resend_after_s is not None and info.data.get("in_doubt") == "never_twice":
            rule = 'stands beside in_doubt = "at_least_once" only'
            raise PydanticCustomError("resend", "{rule}", {"rule": rule})
        return resend_after_s

    def category(self, name: str, programs: Mapping[str, ProgramSettings]) -> Category:
        """Return the category with its class's defaults filled in."""
        message_class = MessageClass(self.message_class)
        lifetime_s = self.expires_in_s or LIFETIME_S_MAX[message_class]
        again = self.in_doubt == "at_least_once"
        program = programs.get(self.program)
        return Category(
            name,
            message_class,
            self.program,
            lifetime_s,
            (self.resend_after_s or RESEND_AFTER_S) if again else None,
            {Channel(channel): tuple(names) for channel, names in self.routes.items()},
            Hours(self.hours) if self.hours else HOURS[message_class],
            self.cap or (MARKETING_CAP if message_class is MessageClass.MARKETING else None),
            self.mandatory or message_class in MANDATORY,
            program is not None and program.separate,
            self.wanted,
            tuple(self.approved_templates),
        )


def program_faults(categories: Mapping[str, Category]) -> Iterator[str]:
    """Marketing has a program of its own: mail that is unsubscribed from takes no receipts with it.

    And a STOP must reach it: its program is never a separate one.
    """
    others = {
        category.program: name
        for name, category in categories.items()
        if category.message_class is not MessageClass.MARKETING
    }
    for name, category in categories.items():
        if category.message_class is not MessageClass.MARKETING:
            continue
        where, program = f"categories.{name}.program", category.program
        if category.is_separate:
            yield (
                f"{where}: a STOP must reach marketing, and {program!r} is separate; name another "
                "program, like 'offers'"
            )
        elif program == DEFAULT or program in others:
            other = others.get(program, "whatever names no program")
            yield (
                f"{where}: marketing needs a program that nothing else is in: {program!r} has "
                f"{other} too; name another, like 'offers'"
            )


def resend_faults(
    categories: Mapping[str, Category], providers: Mapping[str, VendorSettings]
) -> list[str]:
    """Return which categories would be sent again too late, one a line.

    The end of the settle window takes the resend away with it: the delivery rests as unknown, and
    nobody would see that it is never sent again. Any category may go by any account.
    """
    return [
        f"categories.{name}.resend_after_s: must be less than providers.{account}.settle_window_s "
        f"({provider.settle_window_s:g}): after it nothing is sent again, is "
        f"{category.resend_after_s}; lower the one or raise the other"
        for name, category in categories.items()
        for account, provider in providers.items()
        if (category.resend_after_s or 0) >= provider.settle_window_s
    ]
