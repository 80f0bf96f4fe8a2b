"""Normalization of lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.text.normalizer import FORMS, Normalizer


@pytest.mark.parametrize(
    ("normalizer", "text", "result"),
    [
        (Normalizer(), "  a \t\u00a0\u3000b\u2028\x85c \n", "a b c"),
        (Normalizer(), "e\u0301 ﬁ Ａ", "é ﬁ Ａ"),
        (Normalizer("nfkc"), "e\u0301 ﬁ Ａ\u00b4", "é fi A \u0301"),
        (Normalizer("none"), "e\u0301", "e\u0301"),
        (Normalizer("none"), " a\u00a0 b ", "a b"),
        (Normalizer("none", exact=True), " a\u00a0 b\t", " a\u00a0 b\t"),
        (Normalizer("none", lowercase=True, exact=True), " A\u00a0 B\t", " a\u00a0 b\t"),
        (Normalizer("nfc", lowercase=True), "İSTANBUL ÉÀ", "i̇stanbul éà"),
        (Normalizer(), "", ""),
        (Normalizer(), " \u2003 ", ""),
    ],
)
def test_examples(normalizer: Normalizer, text: str, result: str) -> None:
    assert normalizer(text) == result


@given(st.text(), st.sampled_from(FORMS), st.booleans())
def test_normalization_is_idempotent(text: str, form: str, lowercase: bool) -> None:
    normalise = Normalizer(form, lowercase)
    once = normalise(text)
    assert normalise(once) == once
    assert once.split() == (once.split(" ") if once else [])
