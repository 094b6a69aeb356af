"""What the models of requests are made of.

Nothing is coerced and nothing unknown is let through: a typo in an optional field would otherwise
be a silently different request.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _no_nul(text: str) -> str:
    if "\0" in text:  # PostgreSQL's text cannot hold it
        raise PydanticCustomError("nul", "must not contain the NUL character")
    return text


def _one_line(text: str) -> str:
    if any(character in text for character in "\r\n\0"):
        raise PydanticCustomError("one_line", "must be one line, without NUL")
    return text


def _only_text(value: object) -> object:
    # Pydantic would read a number as a time too, and guess whether it counts milliseconds.
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        rule = "must be an RFC 3339 time with its timezone offset, like 2026-11-22T18:00:00Z"
        raise PydanticCustomError("time", "{rule}", {"rule": rule})
    return value


Text = Annotated[str, AfterValidator(_no_nul)]
Line = Annotated[str, AfterValidator(_one_line)]
Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_only_text)]


def ruled(rule: str) -> PydanticCustomError:
    """Return the error of a field that breaks a rule."""
    return PydanticCustomError("rule", "{rule}", {"rule": rule})


def by(rule: Callable[[str], object]) -> AfterValidator:
    """Return a validator by a rule of the domain: its ValueError says the mend.

    What it returns is the normal form, where that is text.
    """

    def check(text: str) -> str:
        try:
            found = rule(text)
        except ValueError as error:
            raise ruled(str(error)) from error
        return found if isinstance(found, str) else text

    return AfterValidator(check)


def present(name: str) -> dict[str, Any]:
    """Return a schema that wants a field there, and not null."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
