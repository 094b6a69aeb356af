"""Language tags, and where to look when a text is not there in the language that was asked for."""

import re
from collections.abc import Iterator

LOCALE_LENGTH_MAX = 35  # characters: RFC 5646, 4.4.1, says that nobody needs more
_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]{1,8})*", re.IGNORECASE | re.ASCII)


class BadLocale(ValueError):
    """The text is no language tag; the message says the mend."""


def normal_locale(text: str) -> str:
    """Return a BCP 47 tag as RFC 5646 (2.1.1) writes it: `pt-BR`, `zh-Hant-TW`. `_` counts as `-`.

    Whether there is such a language is not asked. BadLocale: the form is wrong.
    """
    tag = text.replace("_", "-")
    if len(tag) > LOCALE_LENGTH_MAX or not _TAG.fullmatch(tag):
        raise BadLocale("must be a language tag, like en-US")
    first, *rest = tag.lower().split("-")
    shown = [first]
    for subtag in rest:
        extends = any(len(before) == 1 for before in shown)  # a singleton: small letters behind it
        shown.append(subtag if extends else _cased(subtag))
    return "-".join(shown)


def look_up_order(wanted: str | None, default: str) -> list[str]:
    """Return the tags to look under, in order: the wanted one, its parents, the default, its own.

    The look-up of RFC 4647 (3.4): `es-MX`, `es`, then the default. Both must be normal.
    """
    tags = [*(_widening(wanted) if wanted else ()), *_widening(default)]
    return list(dict.fromkeys(tags))


def _cased(subtag: str) -> str:
    if len(subtag) == 4 and subtag.isalpha():
        return subtag.title()  # a script
    return subtag.upper() if len(subtag) == 2 else subtag  # a region, or something else


def _widening(tag: str) -> Iterator[str]:
    subtags = tag.split("-")
    while subtags:
        yield "-".join(subtags)
        subtags.pop()
        if len(subtags) > 1 and len(subtags[-1]) == 1:
            subtags.pop()  # a singleton says nothing alone
