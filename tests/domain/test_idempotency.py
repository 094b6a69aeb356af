"""One key, one notification: what a request under a known key gets."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyq.domain.idempotency import (
    KEY_LENGTH_MAX,
    Judgement,
    KnownKey,
    fingerprint,
    hash_key,
    judge,
)
from notifyq.entrypoints.api.problems import Problem
from notifyq.entrypoints.api.reading import check_key

few = settings(max_examples=40, deadline=None)
OURS, OTHER = fingerprint(b'{"a":1}'), fingerprint(b'{"a":2}')


@pytest.mark.parametrize(
    ("finished", "body", "judgement"),
    [
        (False, None, Judgement.RUNNING),
        (False, b"{}", Judgement.RUNNING),
        (True, b"{}", Judgement.REPLAY),
        (True, b"", Judgement.REPLAY),
        (True, None, Judgement.PAST_WINDOW),
    ],
)
def test_the_same_request_gets_the_answer_as_far_as_there_is_one(
    finished: bool, body: bytes | None, judgement: Judgement
) -> None:
    status = None if body is None else 202
    assert judge(KnownKey(OURS, finished, status, body), OURS) is judgement


@pytest.mark.parametrize(("finished", "body"), [*product([False, True], [None, b"{}"])])
def test_another_request_is_refused_even_while_the_first_runs(
    finished: bool, body: bytes | None
) -> None:
    assert judge(KnownKey(OURS, finished, None, body), OTHER) is Judgement.REUSED


@few
@given(st.binary(), st.binary())
def test_fingerprints_are_equal_when_the_canonical_requests_are(one: bytes, other: bytes) -> None:
    assert len(fingerprint(one)) == 32
    assert (fingerprint(one) == fingerprint(other)) == (one == other)


def test_a_key_is_stored_as_its_sha_256() -> None:
    assert hash_key("abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@pytest.mark.parametrize("length", [1, 2, KEY_LENGTH_MAX - 1, KEY_LENGTH_MAX])
def test_a_key_of_1_to_255_characters_is_taken(length: int) -> None:
    key = "k" * length
    assert check_key(key) == key
    assert len(hash_key(key)) == 32


@pytest.mark.parametrize("length", [0, KEY_LENGTH_MAX + 1])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(Problem) as caught:
        check_key("k" * length)
    assert caught.value.detail == f"must have 1 to 255 characters, has {length}"


def test_keys_that_differ_only_in_their_last_character_are_two() -> None:
    long = "k" * (KEY_LENGTH_MAX - 1)
    assert hash_key(long + "1") != hash_key(long + "2")
