"""Boundary classes of tokens: byte tokens resolve to the characters of UTF-8."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.decoding.token_boundaries import (
    INCOMPLETE,
    UNBREAKABLE,
    TokenEdge,
    VocabularyEdges,
    is_boundary,
    resolve_bytes,
    token_edge,
)
from rnnkit.text.rule_based_tokenizers import ByteTokenizer, WhitespaceTokenizer, WordTokenizer
from rnnkit.text.special_tokens import BYTE_TOKENS
from rnnkit.text.tokenizer import FeaturedTokenizer
from rnnkit.text.unicode import BREAK, EXTEND, WORD, Normalizer, class_as_left, class_as_right

OCTETS = ByteTokenizer(Normalizer())
BROKEN = (b"\xc0", b"\xf5", b"\x80", b"\xed", b"\xe4\xb8")
PIECES = st.sampled_from([*(letter.encode() for letter in "aé中กิ🙂—\u0301 "), *BROKEN])


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=4), cut=st.integers(0, 3), right_to_left=st.booleans())
def test_resolved_bytes_equal_python_decoding(pieces: list[bytes], cut: int, right_to_left: bool) -> None:
    octets = b"".join(pieces)[min(cut, len(pieces) - 1) :] or b"a"
    edges = VocabularyEdges.from_tokens(OCTETS, [BYTE_TOKENS[value] for value in octets])
    first_1T, last_1T = resolve_bytes(edges.first_V[None], edges.last_V[None], edges.byte_V[None], right_to_left)
    text = octets.decode("utf-8", errors="replace")
    first, last = int(first_1T[0, 0]), int(last_1T[0, -1])
    assert first == class_as_right(text[0]) or (first == INCOMPLETE and not right_to_left and text[-1] == "�")
    assert last == class_as_left(text[-1]) or (last == INCOMPLETE and right_to_left and text[0] == "�")


def test_edges_of_words_joiners_and_features() -> None:
    words = WordTokenizer(Normalizer())
    assert token_edge(words, "￭,") == TokenEdge(BREAK, BREAK, True, False)
    assert token_edge(words, "(￭") == TokenEdge(BREAK, BREAK, False, True)
    assert token_edge(words, "cat") == TokenEdge(WORD, WORD, False, False)
    assert token_edge(FeaturedTokenizer(words), "␉V") == TokenEdge(UNBREAKABLE, UNBREAKABLE, True, True)
    assert token_edge(FeaturedTokenizer(words), "␉␉V").first == BREAK
    assert token_edge(WhitespaceTokenizer(Normalizer()), "cat") == TokenEdge(BREAK, BREAK, False, False)


@pytest.mark.parametrize("left", [BREAK, WORD, INCOMPLETE, UNBREAKABLE])
@pytest.mark.parametrize("right", [BREAK, WORD, EXTEND, INCOMPLETE, UNBREAKABLE])
def test_boundary_between_classes(left: int, right: int) -> None:
    """There is a boundary unless both are word characters, or one is unbreakable or incomplete."""
    pair = torch.tensor(left), torch.tensor(right)
    wanted = not (UNBREAKABLE in (left, right) or right == EXTEND or (left, right) == (WORD, WORD))
    assert bool(is_boundary(*pair, if_incomplete=True)) is wanted
    assert bool(is_boundary(*pair)) is (wanted and INCOMPLETE not in (left, right))
