"""Properties common to all attention that depends on previous weights."""

from __future__ import annotations

import pytest
import torch

from rnnkit.nn.attention import LocationAttention, MonotonicAttention, RecurrentAttention, initial_weights

BATCH, STEPS, SOURCE, SIZE = 3, 5, 7, 4
LENGTHS = (7, 2, 5)


def test_initial_weights_lie_on_the_first_position() -> None:
    padding_BS = torch.tensor([[False, False, True], [False, True, True]])
    assert initial_weights(padding_BS).tolist() == [[1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("kind", [MonotonicAttention, LocationAttention])
def test_hypotheses_of_a_sentence_are_independent(kind: type[RecurrentAttention]) -> None:
    """Five queries of one step with five alignments are independent; those of one row follow each other."""
    torch.manual_seed(2)
    attention = kind(SIZE).eval()
    query_BKH, memory_BSH = torch.randn(BATCH, STEPS, SIZE), torch.randn(BATCH, SOURCE, SIZE)
    padding_BS = torch.arange(SOURCE).unsqueeze(0) >= torch.tensor(LENGTHS).unsqueeze(1)
    before_BKS = torch.softmax(torch.randn(BATCH, STEPS, SOURCE), dim=2)
    keys_BSH = attention.keys(memory_BSH)
    _, together_BKS = attention(query_BKH, keys_BSH, memory_BSH, padding_BS, before_BKS.flatten(0, 1))
    for row in range(STEPS):
        query_B1H = query_BKH[:, row : row + 1]
        _, alone_B1S = attention(query_B1H, keys_BSH, memory_BSH, padding_BS, before_BKS[:, row])
        torch.testing.assert_close(together_BKS[:, row : row + 1], alone_B1S)
    _, following_BTS = attention(query_BKH, keys_BSH, memory_BSH, padding_BS, before_BKS[:, 0])
    torch.testing.assert_close(following_BTS[:, :1], together_BKS[:, :1])
    assert not torch.allclose(following_BTS[:, 1:], together_BKS[:, 1:])
