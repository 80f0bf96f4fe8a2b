"""Sides of aligned data exclude EOS and padding; chunks cover the text once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.alignment import bitext as bitexts
from rnnkit.alignment.bitext import make_side
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.text.special_tokens import EOS, PAD

from .samples import Pairs, bitext_of, pairs_of

Lines = list[list[int]]


def words() -> st.SearchStrategy[Lines]:
    return st.lists(st.lists(st.integers(4, 8), max_size=5), min_size=1, max_size=7)


@given(lines=words(), width=st.sampled_from([0, 7]), left=st.booleans(), ended=st.booleans())
def test_sides(lines: Lines, width: int, left: bool, ended: bool) -> None:
    rows = [[*line, EOS] if ended else line for line in lines]
    if width:
        pads = [[PAD] * (width - len(row)) for row in rows]
        rows = [[*pad, *row] if left else [*row, *pad] for row, pad in zip(rows, pads, strict=True)]
    ids = np.array([word for row in rows for word in row], dtype=np.uint16)
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    side = make_side(SentenceDataset(ids, offsets, padded=bool(width)), 9)
    found = [
        side.ids[begin : begin + length].tolist() for begin, length in zip(side.begin_N, side.length_N, strict=True)
    ]
    assert found == lines


@given(pairs=pairs_of(longest=7, most=9), product=st.integers(1, 60))
def test_chunks(pairs: Pairs, product: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bitexts, "WORD_PAIRS_PER_CHUNK", product)
        text = bitext_of(pairs)
        shapes, shape_N = text.shapes()
        found: Pairs = []
        for chunk in text.chunks(shape_N):
            for row, shape in enumerate(chunk.shape_N):
                source = chunk.source_S[chunk.source_begin_N1[row] : chunk.source_begin_N1[row + 1]].tolist()
                target = chunk.target_T[chunk.target_begin_N1[row] : chunk.target_begin_N1[row + 1]].tolist()
                assert shapes[shape].tolist() == [len(source), len(target)]
                found.append((source, target))
    assert found == pairs


def test_swapped() -> None:
    text = bitext_of([([4, 5], [6]), ([], [7, 8, 4])])
    assert (text.target_words, text.swapped().target_words) == (1, 2)
    assert text.swapped().source is text.target
