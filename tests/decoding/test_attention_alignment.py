"""Alignment links from attention, and replacement of unknown words."""

from __future__ import annotations

import torch
from tests.tiny_models import tokenizer

from rnnkit.decoding.attention_alignment import format_pharaoh, replace_unknown
from rnnkit.decoding.stepper import SearchHypothesis
from rnnkit.text import special_tokens
from rnnkit.text.tokenizer import FeaturedTokenizer


def test_links_follow_the_greatest_attention() -> None:
    attention_TS = torch.tensor([[0.1, 0.7, 0.2], [0.2, 0.1, 0.7], [0.0, 0.0, 1.0]])
    one = SearchHypothesis((special_tokens.UNK, 5), -1.0, -1.0, attention_TS)
    assert format_pharaoh(one, 2) == "1-0 0-1"
    is_feature = tokenizer("words").is_feature
    assert replace_unknown(one, ("<unk>", "mat"), ("das", "Haus"), is_feature) == ("Haus", "mat")
    assert (format_pharaoh(one, 0), replace_unknown(one, ("<unk>", "mat"), (), is_feature)) == ("", ("<unk>", "mat"))


def test_features_in_links_and_replacements() -> None:
    attention_TS = torch.tensor([[0.6, 0.1, 0.3, 0.0], [0.1, 0.5, 0.4, 0.0], [0.0, 0.0, 0.0, 1.0]])
    one = SearchHypothesis((special_tokens.UNK, special_tokens.UNK), -1.0, -1.0, attention_TS)
    is_feature = FeaturedTokenizer(tokenizer("words")).is_feature
    assert format_pharaoh(one, 3) == "0-0 1-1"
    assert replace_unknown(one, ("<unk>", "<unk>"), ("␉V", "das", "␉␉"), is_feature) == ("␉␉", "das")
    assert replace_unknown(one, ("<unk>", "<unk>"), ("␉V", "␉PST", "␉2"), is_feature) == ("<unk>", "<unk>")


def test_token_without_attention_repeats_the_last_link() -> None:
    attention_TS = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.7, 0.2], [0.0, 0.0, 0.3], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert format_pharaoh(SearchHypothesis((5, 6, 7, 8), -1.0, -1.0, attention_TS), 2) == "0-0 1-1 1-2 1-3"


def test_lexicon_translates_unknown_words() -> None:
    """Source tokens missing from the lexicon are copied; known words stay."""
    attention_TS = torch.tensor([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    one = SearchHypothesis((special_tokens.UNK, special_tokens.UNK, 5), -1.0, -1.0, attention_TS)
    lexicon, is_feature = {"Haus": "house", "mat": "Matte"}, tokenizer("words").is_feature
    assert replace_unknown(one, ("<unk>", "<unk>", "mat"), ("das", "Haus"), is_feature, lexicon) == (
        "house",
        "das",
        "mat",
    )
    assert replace_unknown(one, ("<unk>", "<unk>", "mat"), (), is_feature, lexicon) == ("<unk>", "<unk>", "mat")
