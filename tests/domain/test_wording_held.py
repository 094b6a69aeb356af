"""What is never read as business: numbers beside an opt-out word, heads, later lines, reactions."""

import pytest

from notifyq.domain.wording.reactions import Beside, beside_quotation
from notifyq.domain.wording.reading import Intent, Reading, read_text

OUT, UNCLEAR, OTHER = Intent.OPT_OUT, Intent.UNCLEAR, Intent.OTHER
HEADS = ("stop", "STOP", "Stopp", "ЅТОР", "S T O P", "unsubscribe", "unsubcribe", "Opt-out",  # noqa: RUF001
         "stopall", "stop all", "REVOKE", "unsub")  # fmt: skip
WORDS = ("stop", "STOP", "quit", "end", "cancel", "remove", "alto", "ARRÊT", "baja", "stopp")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("number", ["2", "12345", "#3", "4B", "24-273", "٣"])
def test_a_number_behind_an_opt_out_word_makes_no_business_of_it(word: str, number: str) -> None:
    for text in (f"{word} {number}", f"{word}, {number}", f"please {word}\n{number} thanks"):
        assert read_text(text).intent is not OTHER, text


@pytest.mark.parametrize(
    "text",
    [
        "STOP12345",
        "quit3",
        "Q.U.I.T 3",
        "c4ncel 7",
        "c.4.n.c.e.l 7",
        "ok stop 5",
        "STOP2ME",
        "stop@once",
        "yes cancel 2",
        "12345STOP",
        "end2468",
        "Unsubscribe24273",
    ],
)
def test_a_number_that_is_written_to_the_word_is_one(text: str) -> None:
    assert read_text(text).intent is not OTHER


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("STOP 24273", Reading(UNCLEAR, "numbered", "stop")),
        ("Cancel #4412", Reading(UNCLEAR, "numbered", "cancel")),
        ("optout 77", Reading(OUT, "numbered", "optout")),
        ("cancel order 4412", Reading(OTHER, "other")),
        ("Cancel 2 of them", Reading(OTHER, "other")),
        ("stopgap2 4412", Reading(OTHER, "other")),
        ("gate2468", Reading(OTHER, "other")),
        ("# 5", Reading(OTHER, "other")),
    ],
)
def test_how_a_number_is_read(text: str, reading: Reading) -> None:
    assert read_text(text) == reading


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "rest",
    [
        "by at 5",
        "at the gate",
        "& Shop",
        "2 the left",
        "sign on 5th, turn left",
        "the delivery",
        "xyz q",
    ],
)
def test_a_text_that_is_headed_by_what_we_asked_for_is_held_at_least(head: str, rest: str) -> None:
    assert read_text(f"{head} {rest}").intent in (OUT, UNCLEAR)


@pytest.mark.parametrize(
    "text",
    ["cancel my appointment", "end date?", "remove the onions", "quit my job", "exit on the left",
     "sure, stop by", "the stop at 5", "stops at 5", "shop stop 4", "can you stop at 12 Elm"],
)  # fmt: skip
def test_business_that_is_headed_by_another_word_stays_business(text: str) -> None:
    assert read_text(text) == Reading(OTHER, "other")


def test_a_word_in_capitals_stands_out_of_business_too() -> None:
    assert read_text("My order 5 is late and I wrote STOP") == Reading(
        UNCLEAR, "leading_word", "stop"
    )
    assert read_text("MEET ME AT THE STOP ON 5TH").intent is OTHER


@pytest.mark.parametrize("word", ["stop", "STOP.", "«unsubscribe»", "**stop**", "~quit~", "Stop 2"])
@pytest.mark.parametrize("first", ["I'll be there at 5", "Yes", "Gate code 4412", "Who is this?"])
@pytest.mark.parametrize("end", ["\n", "\r\n\r\n", "\u2028", "\v", "\f", "\x85"])
def test_a_later_line_that_is_a_bare_opt_out_is_held_at_least(
    word: str, first: str, end: str
) -> None:
    assert read_text(f"{first}{end}{word}").intent in (OUT, UNCLEAR)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("On my way\n-- \nStop", OTHER),
        ("On my way\n--\nBob\nEnd", OTHER),
        ("See you at 5\n> Reply STOP", OTHER),
        ("See you at 5\nSent from my iPhone", OTHER),
        ("See you at 5\nSent from my iPhone\nSTOP", UNCLEAR),
        ("See you\nOn Mon, 2 Nov, Shop wrote:\nReply\nSTOP", OTHER),
        ("STOP\nSent from my iPhone\nOn Mon, Shop wrote:\nSee you at 5", OUT),
        ("I'm at 5 Elm\nthe\nstop", UNCLEAR),
    ],
)
def test_a_signature_and_what_is_quoted_below_are_nobodys_word(text: str, intent: Intent) -> None:
    assert read_text(text).intent is intent


QUOTED = "Your order shipped. Reply STOP to end"
REPORTS = (
    "Liked “{}”", 'Loved "{}"', "Emphasized “{}”", "Reacted ❤️ to “{}”", 'Reacted 😂 to "{}"',
    "Removed a like from “{}”", "Removed ❤️ from “{}”", "👍 to “{}”", "Questioned “{}”",
    "Le gustó “{}”", "Se rió de “{}”", "Reaccionó con ❤️ a “{}”", "Quitó un “me gusta” de “{}”",
    "A aimé « {} »", "A ri à « {} »", "A réagi avec 🔥 à « {} »",
    "A supprimé un « J’aime » de « {} »",  # noqa: RUF001
)  # fmt: skip


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize(
    "quoted",
    [QUOTED, "STOP", "Reply “STOP” to end", 'Reply "STOP" to end', "12 items\n\nSTOP to end"],
)
def test_what_a_reaction_quotes_is_ours(report: str, quoted: str) -> None:
    assert read_text(report.format(quoted)) == Reading(OTHER, "reaction")


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("own", ["STOP", "stop", "\nunsubscribe me", ". Stop 2", '"STOP"', "🛑"])
def test_what_stands_behind_the_quotation_is_the_persons(report: str, own: str) -> None:
    assert read_text(f"{report.format(QUOTED)} {own}").intent in (OUT, UNCLEAR)


@pytest.mark.parametrize("own", [" thanks!", " see you at 5", " ❤️", "\nI'm outside"])
def test_business_behind_the_quotation_is_business(own: str) -> None:
    assert read_text(f"Liked “{QUOTED}”{own}") == Reading(OTHER, "reaction")


def test_words_behind_a_thing_without_words_count() -> None:
    assert read_text("Liked an image") == Reading(OTHER, "reaction")
    assert read_text("Liked an image stop").intent is OUT
    assert read_text("STOP Liked “Your order shipped”").intent is UNCLEAR


def test_a_quotation_that_may_end_in_two_places_is_held() -> None:
    inches = 'Liked "12" pipe is ready. Reply STOP"'
    assert beside_quotation(inches) == Beside(' pipe is ready. Reply STOP"', may_be_quoted=True)
    assert read_text(inches).intent is UNCLEAR
    assert read_text('Liked "12" pipe is ready"') == Reading(OTHER, "reaction")
    assert beside_quotation("Liked “Your order shipped. Reply STOP t") == Beside("")
    assert beside_quotation("Stop texting me") is None


@pytest.mark.parametrize("text", ["🙏 PARA”", "*para” 12345", '👉 para" sir', "…para”"])
def test_a_word_with_signs_around_it_is_no_reaction(text: str) -> None:
    assert read_text(text).intent in (OUT, UNCLEAR)
