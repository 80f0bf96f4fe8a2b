"""Character encoders: words of any lengths are encoded as each of them alone."""

import numpy as np
import pytest
import torch

from rnnkit.data.word_table import SparseRows
from rnnkit.models.labelling.character_encoder import LENGTH_GROUPS, CharacterEncoder, drop_values, group_by_length
from rnnkit.nn.kinds import CharacterEncoding

LENGTHS = (3, 50, 1, *LENGTH_GROUPS, 7, 25, 3)


def make_words() -> list[list[int]]:
    draw = np.random.default_rng(7)
    return [draw.integers(1, 11, length).tolist() for length in LENGTHS]


@pytest.mark.parametrize("kind", ["lstm", "cnn", "ngrams"])
def test_alone_and_together(kind: CharacterEncoding) -> None:
    torch.manual_seed(3)
    encoder = CharacterEncoder(kind, 11, 5, 6, 0.4).eval()
    words = make_words()
    together = encoder(SparseRows.from_lists(words))
    assert together.shape == (len(words), 6)
    for word, expected in zip(words, together, strict=True):
        assert torch.allclose(encoder(SparseRows.from_lists([word]))[0], expected, atol=1e-6)


def test_gradient_of_groups() -> None:
    torch.manual_seed(3)
    encoder = CharacterEncoder("lstm", 11, 5, 6, 0.0)
    words = make_words()
    encoder(SparseRows.from_lists(words)).square().sum().backward()
    grouped = [parameter.grad.clone() for parameter in encoder.parameters() if parameter.grad is not None]
    encoder.zero_grad()
    for word in words:
        encoder(SparseRows.from_lists([word])).square().sum().backward()
    alone = [parameter.grad for parameter in encoder.parameters() if parameter.grad is not None]
    assert len(grouped) == len(alone) > 5
    for one, other in zip(grouped, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_groups() -> None:
    groups = group_by_length(np.array(LENGTHS))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(LENGTHS)))
    assert [np.array(LENGTHS)[rows].tolist() for rows in groups] == [
        [3, 1, 5, 3],
        [7, 7],
        [9],
        [12],
        [16],
        [24],
        [50, 25],
    ]


def test_dropped_ngrams() -> None:
    torch.manual_seed(3)
    rows = SparseRows.from_lists([[7] * 700, [], [5] * 300])
    kept = drop_values(rows, 0.25)
    assert len(kept) == 3
    assert [set(kept.select(np.array([row])).values.tolist()) for row in range(3)] == [{7}, set(), {5}]
    assert kept.lengths() == pytest.approx([525, 0, 225], abs=40)


def test_only_training_drops() -> None:
    torch.manual_seed(3)
    encoder = CharacterEncoder("ngrams", 11, 5, 6, 0.5)
    rows = SparseRows.from_lists(make_words())
    trained = encoder(rows)
    encoder.eval()
    assert not torch.equal(trained, encoder(rows))
    assert torch.equal(encoder(rows), encoder(rows))
