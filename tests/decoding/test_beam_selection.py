"""Chunked top-k selection against `torch.topk`."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.decoding.beam_selection import TOPK_CHUNK, topk_over_beams, topk_tokens

SIZES = (1, 7, TOPK_CHUNK, 20 * TOPK_CHUNK, 20 * TOPK_CHUNK + 1, 24 * TOPK_CHUNK - 1, 1500)


@given(st.integers(0, 10_000), st.sampled_from(SIZES), st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5, 40]))
def test_chunked_topk_equals_torch(seed: int, size: int, rows: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_p_BKV = torch.randn(3, rows, size, generator=generator)
    log_p_BKV[torch.rand(log_p_BKV.shape, generator=generator) < 0.3] = -torch.inf
    log_p_BKV[0, 0, -1] = 5.0  # the last token, which no whole chunk may hold
    before_BK = torch.randn(3, rows, generator=generator).double()
    before_BK[1, rows - 1] = -torch.inf

    found, token = topk_tokens(log_p_BKV, count)
    assert torch.equal(found, log_p_BKV.topk(min(count, size)).values)
    assert torch.equal(log_p_BKV.gather(-1, token), found)

    total, row, token = topk_over_beams(log_p_BKV, before_BK, count)
    sums_BM = (log_p_BKV + before_BK.unsqueeze(-1)).flatten(1)
    assert torch.equal(total, sums_BM.topk(min(count, rows * size)).values)
    assert torch.equal(sums_BM.gather(1, row * size + token), total)
    assert torch.equal(total[0, :1], total[0].max().unsqueeze(0))


@pytest.mark.parametrize("rows", [1, 5])
def test_nan_ranks_first(rows: int) -> None:
    log_p_BKV = torch.zeros(1, rows, 1500)
    log_p_BKV[0, rows - 1, 700] = torch.nan
    assert topk_tokens(log_p_BKV, 2)[0][0, rows - 1, 0].isnan()
    assert topk_over_beams(log_p_BKV, torch.zeros(1, rows).double(), 2)[0][0, 0].isnan()
