"""The glossary: every word that a producer may see has its sentence."""

from notifyq.domain.glossary import REASONS, STATES
from notifyq.domain.retry import TRIES_MAX
from notifyq.domain.states import Reason, State


def test_every_state_and_every_reason_is_explained_once() -> None:
    assert set(STATES) == set(State)
    assert set(REASONS) == set(Reason)
    sentences = [*STATES.values(), *REASONS.values()]
    assert all(sentences)
    assert len(set(sentences)) == len(sentences)


def test_the_number_of_tries_in_the_text_is_the_one_in_force() -> None:
    assert REASONS[Reason.RETRIES_EXHAUSTED].startswith(f"{TRIES_MAX} tries ")
