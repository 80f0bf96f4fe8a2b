"""Top k against a sorted list."""

from __future__ import annotations

import pytest
import torch

from rnnkit.decoding.top_k import keep_likeliest


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_the_likeliest_keep_their_scores(count: int) -> None:
    score_BKV = torch.randn(3, 2, 7)
    kept_BKV = keep_likeliest(score_BKV, count)
    for scores, kept in zip(score_BKV.flatten(0, 1).tolist(), kept_BKV.flatten(0, 1).tolist(), strict=True):
        best = sorted(scores, reverse=True)[:count]
        assert kept == [score if score in best else -torch.inf for score in scores]


def test_more_than_there_are_is_all() -> None:
    score_BKV = torch.randn(1, 2, 5)
    assert torch.equal(keep_likeliest(score_BKV, 6), score_BKV)


def test_equal_scores_do_not_make_more_of_them() -> None:
    assert int((keep_likeliest(torch.zeros(1, 1, 9), 4) > -torch.inf).sum()) == 4


def test_what_is_impossible_stays_so() -> None:
    score_11V = torch.tensor([[[-torch.inf, 0.5, -torch.inf]]])
    assert keep_likeliest(score_11V, 2).tolist() == [[[-torch.inf, 0.5, -torch.inf]]]
