"""Top-k log-softmax: the kernel against the reference."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from rnnkit.nn.inference_layers import LogitMask, reference_topk_log_softmax, topk_log_softmax


def assert_same(logits_NV: torch.Tensor, count: int, excluded: list[int]) -> None:
    log_p_NK, id_NK = topk_log_softmax(logits_NV, count, excluded)
    wanted_NK, _ = reference_topk_log_softmax(logits_NV, count, excluded)
    torch.testing.assert_close(log_p_NK, wanted_NK, rtol=1e-5, atol=1e-5)
    own_NK = torch.log_softmax(logits_NV, dim=-1).gather(1, id_NK)
    kept_NK = log_p_NK > -math.inf
    torch.testing.assert_close(own_NK[kept_NK], log_p_NK[kept_NK], rtol=1e-5, atol=1e-5)
    assert not torch.isin(id_NK[kept_NK], torch.tensor(excluded, dtype=torch.long)).any()


@given(
    rows=some.integers(1, 7),
    columns=some.integers(1, 300),
    count=some.integers(1, 9),
    excluded=some.sets(some.integers(0, 9), max_size=3),
    scale=some.sampled_from([1e-3, 1.0, 30.0]),
    seed=some.integers(0, 999),
)
def test_equals_log_softmax_and_topk(
    rows: int, columns: int, count: int, excluded: set[int], scale: float, seed: int
) -> None:
    torch.manual_seed(seed)
    allowed = [column for column in excluded if column < columns]
    assert_same(scale * torch.randn(rows, columns), min(count, columns), allowed)


@given(
    sentences=some.lists(some.integers(0, 2), min_size=1, max_size=7),
    columns=some.integers(3, 300),
    seed=some.integers(0, 99),
)
def test_masked_tokens_have_no_probability(sentences: list[int], columns: int, seed: int) -> None:
    torch.manual_seed(seed)
    logits_NV, open_BV = 3 * torch.randn(len(sentences), columns), torch.rand(3, columns) < 0.4
    open_BV[:, -1] = True
    mask = LogitMask(torch.zeros(3, columns).masked_fill(~open_BV, -math.inf), torch.tensor(sentences))
    log_p_NK, id_NK = topk_log_softmax(logits_NV, 3, [0], mask)
    wanted_NK, _ = reference_topk_log_softmax(logits_NV, 3, [0], mask)
    torch.testing.assert_close(log_p_NK, wanted_NK, rtol=1e-5, atol=1e-5)
    for row, sentence in enumerate(sentences):
        listed = logits_NV[row].masked_fill(~open_BV[sentence], -math.inf)
        for log_p, id_ in zip(log_p_NK[row].tolist(), id_NK[row].tolist(), strict=True):
            if log_p > -math.inf:
                assert open_BV[sentence, id_] and id_ != 0
                assert log_p == pytest.approx(torch.log_softmax(listed, 0)[id_].item(), abs=1e-5)


def test_ties_are_ordered_by_id() -> None:
    logits_NV = torch.zeros(3, 131)
    assert topk_log_softmax(logits_NV, 4, [0, 2])[1].tolist() == [[1, 3, 4, 5]] * 3


def test_missing_candidates_are_minus_infinity() -> None:
    logits_NV = torch.full((2, 70), -math.inf)
    logits_NV[:, 65] = 1.0
    log_p_NK, id_NK = topk_log_softmax(logits_NV, 3, [0])
    assert log_p_NK[:, 0].tolist() == [0.0, 0.0] and id_NK[:, 0].tolist() == [65, 65]
    assert (log_p_NK[:, 1:] == -math.inf).all()


@pytest.mark.parametrize("column", [3, 128])
def test_nan_logits_give_nan(column: int) -> None:
    logits_NV = torch.zeros(2, 130)
    logits_NV[1, column] = math.nan
    log_p_NK, _ = topk_log_softmax(logits_NV, 2)
    assert not log_p_NK[0].isnan().any()
    assert log_p_NK[1].isnan().all()


def test_other_dtypes_and_large_excluded_ids_fall_back() -> None:
    torch.manual_seed(1)
    assert_same(torch.randn(3, 90).double().float()[:, ::2], 5, [])
    half_NV = torch.randn(3, 90).bfloat16()
    assert topk_log_softmax(half_NV, 5)[1].tolist() == reference_topk_log_softmax(half_NV, 5)[1].tolist()
    assert_same(torch.randn(3, 90), 5, [70])
