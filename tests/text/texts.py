"""Difficult texts for property tests of tokenizers."""

from __future__ import annotations

from hypothesis import strategies as st

_MARKS = "▁￭␛_<>0x /sunk中น็\u0301\u200d\u200c\ufe0f👍🏽🇩🇪▅⁇\ufeff \u00a0\u2028"
_WORDS = ("▁", "</s>", "<unk>", "<pad>", "<0x0A>", "<0xEF><0xBF><0xAD>", "￭", "␛", "_", " ", "a", "中文", "ก็")

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.text(_MARKS, max_size=30),
    st.lists(st.sampled_from(_WORDS), max_size=12).map("".join),
)
