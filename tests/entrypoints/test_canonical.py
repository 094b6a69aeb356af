"""The short way to the RFC 8785 form gives its very bytes: a fingerprint outlives a release."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifyq.entrypoints.api.reading import canonical

texts = st.text(st.characters(exclude_categories=["Cs"]))
ascii_texts = st.text(st.characters(max_codepoint=127))
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | texts | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(
        allow_nan=False, allow_infinity=False
    ),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(ascii_texts | texts, inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@given(values)
@settings(max_examples=600, deadline=None)
@example({"b": 1, "a": None})
@example({"\ufb33": "", "\U0001f600": ""})  # sorted by UTF-16: the other way round than by bytes
@example({"": "".join(map(chr, range(0x20))) + '"\\/\x7f\x80\u2028\ud7ff\ue000\U0001f600'})
@example([1e21, 1e-7, -0.0, 0.1, 5e-324])
def test_the_form_is_rfc_8785_whichever_way(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("key", ["\x00", "\x1f", "\x7f", "a\nb", "~", '"', "\\", "/"])
def test_names_are_escaped_as_texts_are(key: str) -> None:
    value = {key: key, "m": {key: [key]}}
    assert canonical(value) == rfc8785.dumps(value)
    assert json.loads(canonical(value)) == value
