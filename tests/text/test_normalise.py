"""One spelling of a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.text.normalise import FORMS, Normalisation


@pytest.mark.parametrize(
    ("normalisation", "text", "result"),
    [
        (Normalisation(), "  a \t\u00a0\u3000b\u2028\x85c \n", "a b c"),
        (Normalisation(), "e\u0301 ﬁ Ａ", "é ﬁ Ａ"),
        (Normalisation("nfkc"), "e\u0301 ﬁ Ａ\u00b4", "é fi A \u0301"),
        (Normalisation("none"), "e\u0301", "e\u0301"),
        (Normalisation("none"), " a\u00a0 b ", "a b"),
        (Normalisation("none", exact=True), " a\u00a0 b\t", " a\u00a0 b\t"),
        (Normalisation("none", lowercase=True, exact=True), " A\u00a0 B\t", " a\u00a0 b\t"),
        (Normalisation("nfc", lowercase=True), "İSTANBUL ÉÀ", "i̇stanbul éà"),
        (Normalisation(), "", ""),
        (Normalisation(), " \u2003 ", ""),
    ],
)
def test_examples(normalisation: Normalisation, text: str, result: str) -> None:
    assert normalisation(text) == result


@given(st.text(), st.sampled_from(FORMS), st.booleans())
def test_doing_it_twice_changes_nothing(text: str, form: str, lowercase: bool) -> None:
    normalise = Normalisation(form, lowercase)
    once = normalise(text)
    assert normalise(once) == once
    assert once.split() == (once.split(" ") if once else [])
