"""Features of a line: parsing, and tokens distinct from those of the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.text.tokenizers.features import (
    FEATURE_MARK,
    escape_marks,
    feature_tokens,
    is_feature,
    remove_features,
    split_features,
)


@pytest.mark.parametrize(
    ("line", "text", "tokens"),
    [
        ("aufgehen\tV;PST;2;SG", "aufgehen", "␉V ␉PST ␉2 ␉SG"),
        ("auf gehen\tV PST", "auf gehen", "␉V ␉PST"),
        ("a\t ; V;;PST\u00a0x; ", "a", "␉V ␉PST ␉x"),
        ("Abu\tN;ABL(PL;PSS(2,PL))", "Abu", "␉N ␉ABL(PL ␉PSS(2,PL))"),
        ("a\tU\u0308\u037eß", "a", "␉Ü ␉ß"),
        ("a;b c", "a;b c", ""),
        ("a\t", "a", ""),
        ("\tV", "", "␉V"),
        ("", "", ""),
    ],
)
def test_columns(line: str, text: str, tokens: str) -> None:
    found, column = split_features(line)
    assert found == text
    assert feature_tokens(column, "nfc") == tokens.split()


def test_other_forms() -> None:
    assert feature_tokens("ﬁ;U\u0308", "nfkc") == ["␉fi", "␉Ü"]
    assert feature_tokens("ﬁ;U\u0308", "none") == ["␉ﬁ", "␉U\u0308"]


@pytest.mark.parametrize(
    ("line", "value"),
    [("a\tb\tc", "2 TABs"), ("\t\t\t", "3 TABs"), ("a\tV;x␉y", "'x␉y'"), ("a\t␉V", "'␉V'")],
)
def test_lines_that_cannot_be_read_are_named(line: str, value: str) -> None:
    with raises(DataError, "train.de:7: ", value, path="train.de", line=7):
        split_features(line, "train.de:7")
    with raises(DataError, value) as caught:
        split_features(line)
    assert (caught.value.path, caught.value.line) == (None, None)


TOKENS = st.lists(st.text([FEATURE_MARK, "V", "▁"], min_size=1, max_size=4), max_size=6)


@given(found=TOKENS, text=TOKENS)
def test_features_and_text_are_distinct(found: list[str], text: list[str]) -> None:
    features = [FEATURE_MARK + token.replace(FEATURE_MARK, "x") for token in found]
    assert all(map(is_feature, features))
    assert not any(map(is_feature, escape_marks(text)))
    assert remove_features(features + escape_marks(text)) == text
    assert remove_features(escape_marks(text) + features) == text
