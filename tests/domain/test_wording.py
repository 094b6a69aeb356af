"""How a text to one of our numbers is read: the decision table, row by row, and each rule."""
# ruff: noqa: RUF001

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyq.domain.wording.normal import READ_MAX
from notifyq.domain.wording.phrases import searches
from notifyq.domain.wording.reading import Intent, Reading, read_text

searches()  # made at first use, which would be over the deadline of an example
OUT, LIFTS, HELP, UNCLEAR, OTHER = (
    *(Intent.OPT_OUT, Intent.OPT_IN, Intent.HELP),
    *(Intent.UNCLEAR, Intent.OTHER),
)
# Every cell of the decision table: what was written, what is decided. By the rows of the project's
# sheet on consent, its section 11.2.
ROWS = {
    "11.2.1 stop with a full stop": ("Stop.", OUT),
    "11.2.1 stop with exclamation marks": ("STOP!!", OUT),
    "11.2.1 stop between spaces": (" stop ", OUT),
    "11.2.1 please stop": ("please stop", OUT),
    "11.2.1 stop texting me": ("stop texting me", OUT),
    "11.2.1 remove me": ("remove me", OUT),
    "11.2.2 zero-width space": ("\u200bSTOP", OUT),
    "11.2.2 byte order mark": ("\ufeffSTOP", OUT),
    "11.2.2 fullwidth": ("ＳＴＯＰ", OUT),
    "11.2.2 mathematical": ("𝐒𝐓𝐎𝐏", OUT),
    "11.2.2 ALTO": ("ALTO", OUT),
    "11.2.2 PARAR": ("PARAR", OUT),
    "11.2.2 CANCELAR": ("CANCELAR", OUT),
    "11.2.2 BAJA": ("BAJA", OUT),
    "11.2.2 No más": ("No más", OUT),
    "11.2.3 Cyrillic": ("ЅТОР", OUT),
    "11.2.3 a digit for a letter": ("ST0P", OUT),
    "11.2.3 unsubcribe": ("unsubcribe", OUT),
    "11.2.3 Stopp": ("Stopp", OUT),
    "11.2.3 shop is a word": ("shop", OTHER),
    "11.2.3 step is a word": ("step", OTHER),
    "11.2.4 spaced letters": ("S T O P", OUT),
    "11.2.4 a stop sign alone": ("🛑", OUT),
    "11.2.5 OPT-OUT": ("OPT-OUT", OUT),
    "11.2.5 optout": ("optout", OUT),
    "11.2.5 hostile only": ("go fuck yourself", OUT),
    "11.2.6 a signature below": ("STOP\n\n-- Sent from my iPhone", OUT),
    "11.2.6 a reaction quoting us": ("Liked “Reply STOP to opt out”", OTHER),
    "11.2.7 CANCEL bare": ("CANCEL", OUT),
    "11.2.7 cancel my appointment": ("cancel my appointment", OTHER),
    "11.2.7 the end": ("the end", OTHER),
    "11.2.8 opt-out beats opt-in": ("yes please stop", OUT),
    "11.2.8 negated": ("don't stop", UNCLEAR),
    "11.2.9 START only lifts": ("START", LIFTS),
}


@pytest.mark.parametrize(("text", "intent"), ROWS.values(), ids=ROWS)
def test_the_decision_table(text: str, intent: Intent) -> None:
    assert read_text(text).intent is intent


# The sheet's rules of intent, each with a text that it decides and one that it must not.
RULES = {
    "11.2 rule 1": (("please stop", OUT), ("Liked “Reply STOP to opt out”", OTHER)),
    "11.2 rule 2": (("«Ｏ\u200bpt‑Ｏut»", OUT), ("the stop", OTHER)),
    "11.2 rule 3": (("désabonnez-moi", OUT), ("à la fin de la rue", OTHER)),
    "11.2 rule 4": (("sotp", OUT), ("shop", OTHER)),
    "11.2 rule 5": (("you have the wrong number", OUT), ("you have the wrong address", OTHER)),
    "11.2 rule 6": (("CANCEL", OUT), ("cancel my appointment", OTHER)),
    "11.2 rule 7": (("start stop help", OUT), ("please don't unsubscribe me", UNCLEAR)),
    "11.2 rule 8": (("✋", OUT), ("👍", OTHER)),
    "11.2 rule 9": (("UNSTOP", LIFTS), ("start the order", OTHER)),
}


@pytest.mark.parametrize(("decided", "left"), RULES.values(), ids=RULES)
def test_the_rules_of_intent(decided: tuple[str, Intent], left: tuple[str, Intent]) -> None:
    for text, intent in (decided, left):
        assert read_text(text).intent is intent


@pytest.mark.parametrize(
    "word", ["stop", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe"]
)
def test_each_word_of_the_rule_of_law_is_an_opt_out(word: str) -> None:
    reading = read_text(word)
    assert (reading.intent, reading.rule) == (OUT, "word")
    assert reading.word == word.replace(" ", "")


@pytest.mark.parametrize(
    "word", ["stopall", "optout", "opt-out", "arret", "td", "remove", "stop all"]
)
def test_the_providers_words_are_opt_outs(word: str) -> None:
    assert read_text(word).intent is OUT


def test_a_bare_cancel_offers_to_cancel_the_booking() -> None:
    assert read_text("CANCEL") == Reading(OUT, "word", "cancel", offer_cancel=True)
    assert read_text("cancelar por favor").offer_cancel
    assert read_text("annuler svp").offer_cancel
    assert read_text("can cel").offer_cancel


@pytest.mark.parametrize("text", ["stop", "cancel these texts", "stop cancel", "fuck you", "🛑"])
def test_nothing_else_offers_it(text: str) -> None:
    reading = read_text(text)
    assert reading.intent is OUT
    assert not reading.offer_cancel


@pytest.mark.parametrize(
    "text", ["I need to cancel", "yes cancel", "can you cancel", "No. Cancel", "help me cancel"]
)
def test_a_cancel_that_may_be_the_bookings_goes_to_a_person(text: str) -> None:
    assert read_text(text).intent is UNCLEAR


@pytest.mark.parametrize("word", ["START", "Start.", "yes", "YES!", "UNSTOP", "Y E S", "“Unstop”"])
def test_a_bare_word_lifts(word: str) -> None:
    assert read_text(word).intent is LIFTS


@pytest.mark.parametrize(
    "text",
    ["start please", "yes please", "yes at 5", "I said yes", "subscribe", "YES\nI'm home", "statr"],
)
def test_nothing_but_a_bare_word_lifts(text: str) -> None:
    assert read_text(text).intent is OTHER


@pytest.mark.parametrize("text", ["HELP", "info", "Help me please", "AYUDA", "aide svp", "help!"])
def test_a_cry_for_help_is_heard(text: str) -> None:
    assert read_text(text).intent is HELP


@pytest.mark.parametrize("text", ["help stop", "start stop", "STOP START", "info? no, stop"])
def test_an_opt_out_beats_help_and_opt_in(text: str) -> None:
    assert read_text(text).intent is OUT


@pytest.mark.parametrize(
    "text", ["never stop", "please don't unsubscribe me", "I didn't say stop", "no cancelen"]
)
def test_a_negated_opt_out_goes_to_a_person(text: str) -> None:
    assert read_text(text).intent is UNCLEAR


def test_a_wish_that_contradicts_itself_goes_to_a_person() -> None:
    assert read_text("Don't call me again. Text me.") == Reading(
        UNCLEAR, "contradiction", "do not call"
    )


def test_a_wish_for_some_hours_is_none_for_all() -> None:
    assert read_text("stop texting me").intent is OUT
    assert read_text("stop texting me at night").intent is UNCLEAR
    assert read_text("please don't text me before 9").intent is UNCLEAR


def test_a_wish_about_goods_is_none_about_texts() -> None:
    assert read_text("stop sending me coupons").intent is OUT
    assert read_text("stop sending me packages").intent is UNCLEAR
    assert read_text("opt me out of the Sunday delivery").intent is UNCLEAR


def test_a_question_about_stopping_is_no_wish() -> None:
    assert read_text("why did you stop texting me").intent is UNCLEAR
    assert read_text("I told you to stop texting me").intent is OUT
    assert read_text("why won't you stop texting me").intent is OUT


def test_the_wrong_person_is_an_opt_out_unless_it_is_about_business() -> None:
    assert read_text("wrong number").rule == "wrong_person"
    assert read_text("wrong number, sorry").intent is OUT
    assert read_text("wrong number, my unit is 4B").intent is UNCLEAR


def test_a_name_is_known_by_its_capital() -> None:
    assert read_text("This is not Maria").intent is OUT
    assert read_text("this is not maria").intent is OTHER
    assert read_text("I'm not Home").intent is OTHER


def test_hostility_is_an_opt_out_only_by_itself() -> None:
    assert read_text("fuck you") == Reading(OUT, "hostile")
    assert read_text("f*** you").intent is OUT
    assert read_text("fuck you, where is my order").intent is OTHER
    assert read_text("fuck yeah").intent is UNCLEAR


@pytest.mark.parametrize("text", ["🛑", "✋", "✋🏽", "🤚🤚", "⛔️", "🛑🙏", "🛑 please", " 🛑\n"])
def test_a_stop_sign_or_a_raised_hand_alone_is_an_opt_out(text: str) -> None:
    assert read_text(text) == Reading(OUT, "sign")


@pytest.mark.parametrize("text", ["🛑👍", "❌"])
def test_signs_that_may_mean_another_thing_go_to_a_person(text: str) -> None:
    assert read_text(text) == Reading(UNCLEAR, "sign")


@pytest.mark.parametrize("text", ["👍", "🛑 Road closed", "✋ I'll take it"])
def test_other_signs_are_none(text: str) -> None:
    assert read_text(text).intent is OTHER


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\n", "...", "🙏", "\ud800"])
def test_an_empty_text_says_nothing(text: str) -> None:
    assert read_text(text) == Reading(OTHER, "empty")


def test_what_stands_behind_a_quotation_is_the_persons() -> None:
    assert read_text("Liked “Reply STOP”").rule == "reaction"
    assert read_text("Liked “Reply STOP” now stop texting me").intent is OUT
    assert read_text("Liked “Your order shipped. Reply STOP to o").rule == "reaction"


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("STOP\nJohn Smith\n12 Main St", OUT),
        ("CANCEL\nJohn Smith", OUT),
        ("CANCEL\nmy appointment at 5", UNCLEAR),
        ("CANCEL\nappointment at 5", UNCLEAR),
        ("STOP\nat the gate", UNCLEAR),
        ("Hi\nstop\n", OUT),
        ("Hello there Ann\nstop texting me", OUT),
        ("STOP\n> Your order 12 shipped", OUT),
        ("STOP Sent from my Galaxy", OUT),
        ("Sent from my iPhone", OTHER),
        ("Yes.\nStop by at 5", OTHER),
    ],
)
def test_lines_and_signatures(text: str, intent: Intent) -> None:
    assert read_text(text).intent is intent


def test_a_word_beside_speech_is_an_opt_out_unless_it_is_about_business() -> None:
    assert read_text("Stop. Who gave you my name?").intent is OUT
    assert read_text("Stop! You passed my house").intent is UNCLEAR
    assert read_text("Alto, hay un perro").intent is UNCLEAR


def test_our_own_words_standing_out_of_a_sentence_go_to_a_person() -> None:
    assert read_text("My niece texted you STOP once").intent is UNCLEAR
    assert read_text("MY NIECE ALWAYS WOULD STOP THERE").intent is OTHER
    assert read_text("stop honking").intent is UNCLEAR


def test_a_real_word_is_never_a_misspelling() -> None:
    assert [read_text(word).intent for word in ("stopp", "sotp", "unsubcribe")] == [OUT] * 3
    for word in ("shop", "step", "stops", "suit", "quite", "cancer", "remote", "evoke"):
        assert read_text(word).intent is OTHER


def test_a_slip_is_recorded_as_one() -> None:
    assert read_text("unsubcribe please") == Reading(OUT, "misspelt_word", "unsubscribe")


def test_a_long_sentence_is_not_searched_for_slips() -> None:
    assert read_text("please " * 11 + "sotp").intent is OUT
    assert read_text("please " * 12 + "sotp").intent is OTHER


def test_what_is_behind_the_limit_is_not_read() -> None:
    assert read_text("\u200b" * (READ_MAX - 4) + "stop").intent is OUT
    assert read_text("\u200b" * (READ_MAX - 2) + "stop").intent is not OUT


@given(st.text())
def test_any_text_has_a_reading(text: str) -> None:
    assert isinstance(read_text(text), Reading)


@pytest.mark.parametrize(
    "text",
    ["ﷺ" * 50_000, "removed a " * 600, 'liked "' * 1_000, "dont want " * 900, "S.T.O.P." * 2_000],
    ids=len,
)
def test_a_hostile_text_has_a_reading_too(text: str) -> None:
    assert isinstance(read_text(text), Reading)
