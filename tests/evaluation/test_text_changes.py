"""Which of what normalization can do was done to a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.evaluation.text_changes import KINDS, changes
from rnnkit.text.normalizer import FORMS, Normalizer


@pytest.mark.parametrize(
    ("raw", "reproduced", "kinds"),
    [
        ("a b", "a b", set()),
        (" a  b ", "a b", {"white space"}),
        ("a\u00a0b", "a b", {"white space"}),
        ("A b", "a b", {"case"}),
        ("İSTANBUL", "i\u0307stanbul", {"case"}),
        ("o\u0308", "ö", {"Unicode form"}),
        ("ﬁ ２", "fi 2", {"Unicode form"}),
        ("\u212a", "K", {"Unicode form"}),
        ("O\u0308  x", "ö x", {"white space", "case", "Unicode form"}),
        ("a\x01b", "ab", {"other characters"}),
        ("a  b", "a c", {"white space", "other characters"}),
    ],
)
def test_kinds(raw: str, reproduced: str, kinds: set[str]) -> None:
    assert changes(raw, reproduced) == kinds


@given(st.text(), st.sampled_from(FORMS), st.booleans())
def test_something_is_named_exactly_where_something_changed(text: str, form: str, lowercase: bool) -> None:
    reproduced = Normalizer(form, lowercase)(text)
    found = changes(text, reproduced)
    assert found <= set(KINDS)
    assert bool(found) == (text != reproduced)
    if not lowercase and form != "nfkc" and text.isascii():
        assert found <= {"white space"}
