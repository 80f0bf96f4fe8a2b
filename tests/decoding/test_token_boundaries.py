"""What tokens show to their neighbors: bytes make the characters that UTF-8 makes of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.decoding.constraints.token_boundaries import (
    INCOMPLETE,
    UNBREAKABLE,
    TokenEdge,
    VocabularyEdges,
    is_boundary,
    resolve_bytes,
    token_edge,
)
from rnnkit.text.normalizer import Normalizer
from rnnkit.text.tokenizers.byte_tokens import BYTE_TOKENS
from rnnkit.text.tokenizers.features import FeaturedTokenizer
from rnnkit.text.tokenizers.simple_tokenizers import ByteTokenizer, WhitespaceTokenizer
from rnnkit.text.tokenizers.word_tokenizer import WordTokenizer
from rnnkit.text.word_boundaries import BREAK, EXTEND, WORD, class_as_left, class_as_right

OCTETS = ByteTokenizer(Normalizer())
BROKEN = (b"\xc0", b"\xf5", b"\x80", b"\xed", b"\xe4\xb8")
PIECES = st.sampled_from([*(letter.encode() for letter in "aé中กิ🙂—\u0301 "), *BROKEN])


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=4), cut=st.integers(0, 3), backwards=st.booleans())
def test_bytes_make_the_characters_that_python_makes_of_them(pieces: list[bytes], cut: int, backwards: bool) -> None:
    octets = b"".join(pieces)[min(cut, len(pieces) - 1) :] or b"a"
    edges = VocabularyEdges.of(OCTETS, [BYTE_TOKENS[value] for value in octets])
    first_1T, last_1T = resolve_bytes(edges.first_V[None], edges.last_V[None], edges.octet_V[None], backwards)
    text = octets.decode("utf-8", errors="replace")
    first, last = int(first_1T[0, 0]), int(last_1T[0, -1])
    assert first == class_as_right(text[0]) or (first == INCOMPLETE and not backwards and text[-1] == "�")
    assert last == class_as_left(text[-1]) or (last == INCOMPLETE and backwards and text[0] == "�")


def test_words_show_their_joiners_and_features_nothing() -> None:
    words = WordTokenizer(Normalizer())
    assert token_edge(words, "￭,") == TokenEdge(BREAK, BREAK, True, False)
    assert token_edge(words, "(￭") == TokenEdge(BREAK, BREAK, False, True)
    assert token_edge(words, "cat") == TokenEdge(WORD, WORD, False, False)
    assert token_edge(FeaturedTokenizer(words), "␉V") == TokenEdge(UNBREAKABLE, UNBREAKABLE, True, True)
    assert token_edge(FeaturedTokenizer(words), "␉␉V").first == BREAK
    assert token_edge(WhitespaceTokenizer(Normalizer()), "cat") == TokenEdge(BREAK, BREAK, False, False)


@pytest.mark.parametrize("left", [BREAK, WORD, INCOMPLETE, UNBREAKABLE])
@pytest.mark.parametrize("right", [BREAK, WORD, EXTEND, INCOMPLETE, UNBREAKABLE])
def test_kinds_meet_at_a_boundary_unless_both_are_words_or_one_is_not_known(left: int, right: int) -> None:
    pair = torch.tensor(left), torch.tensor(right)
    wanted = not (UNBREAKABLE in (left, right) or right == EXTEND or (left, right) == (WORD, WORD))
    assert bool(is_boundary(*pair, hopeful=True)) is wanted
    assert bool(is_boundary(*pair)) is (wanted and INCOMPLETE not in (left, right))
