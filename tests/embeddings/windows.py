"""Windows made by hand for the kernels, and what autograd says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tests.references.word2vec import ContinuousBagOfWords, SkipGram
from torch import Tensor

from rnnkit.embeddings.sampling import CLEAN, LANES, TILE, Draws, make_draws
from rnnkit.embeddings.weights import Weights, make_weights, rows_of

Kind = type[SkipGram] | type[ContinuousBagOfWords]

SPECIAL, SPARE = 4, 1
ROWS = 40
"""Of either matrix; the first SPECIAL are no words."""

DIMENSIONS = (1, 3, 16, 37, 100)


@dataclass(frozen=True)
class Learned:
    """A loss, and what is added to the rows: by a kernel, or by autograd for a rate of 1."""

    loss: float
    inputs_RD: NDArray[np.float64]
    outputs_VD: NDArray[np.float64]


def random_weights(dimension: int, input_rows: int = ROWS, output_rows: int = ROWS) -> Weights:
    """Rows whose scores are about 1, as in the middle of training."""
    weights, generator = make_weights(input_rows, output_rows, dimension, SPECIAL, seed=1), np.random.default_rng(3)
    for flat in weights[:2]:
        rows = rows_of(flat, weights.stride, dimension)[SPECIAL:]
        rows[:] = generator.normal(size=rows.shape) / dimension**0.25
    return weights


def copy_of(weights: Weights) -> Weights:
    """A copy whose rows are padded alike, but begin anywhere."""
    return Weights(weights.inputs.copy(), weights.outputs.copy(), weights.stride)


def change(before: Weights, after: Weights, dimension: int, loss: float) -> Learned:
    """What a kernel added; it adds nothing to special rows, nor to the padding."""
    added = [
        (new.astype(np.float64) - old).reshape(-1, after.stride) for new, old in zip(after[:2], before[:2], strict=True)
    ]
    for rows in added:
        assert not rows[:SPECIAL].any()
        assert not rows[:, dimension:].any()
    return Learned(loss, added[0][:, :dimension], added[1][:, :dimension])


def place_outputs(outputs: Sequence[int], totals: Sequence[int] = (), offsets: Sequence[float] = ()) -> Draws:
    """One window, the first of whose outputs is the word that was there."""
    draws = make_draws(1, len(outputs) - 1, SPARE)
    draws.rows[: len(outputs)] = outputs
    lanes = np.arange(len(outputs))
    places = lanes // TILE * LANES + lanes % TILE
    if totals:
        draws.totals[places] = totals
        draws.repeated[0] = max(totals) - 1 if max(totals) > 1 else CLEAN
    if offsets:
        draws.offsets[places] = offsets
    return draws


def differentiate(
    kind: Kind,
    weights: Weights,
    dimension: int,
    contexts: Sequence[int],
    outputs: Sequence[int],
    offsets: Sequence[float] = (),
) -> Learned:
    """Autograd's loss of a window, and minus its gradient."""
    model = _model(kind, weights, dimension)
    labels_BO = torch.arange(len(outputs)).unsqueeze(0) == 0
    offsets_BO = torch.tensor([offsets], dtype=torch.float64) if offsets else None
    loss = model(*_context(contexts), torch.tensor([outputs]), labels_BO, offsets_BO)
    return _derivative(model, loss)


def differentiate_softmax(
    kind: Kind, weights: Weights, dimension: int, contexts: Sequence[int], target: int
) -> Learned:
    """The same for the softmax over all rows but the special ones."""
    model = _model(kind, weights, dimension)
    hidden_ND, _ = model.hidden(*_context(contexts))
    scores_NV = hidden_ND @ model.output_VD[SPECIAL:].T
    loss = torch.nn.functional.cross_entropy(
        scores_NV, torch.full((len(scores_NV),), target - SPECIAL), reduction="sum"
    )
    return _derivative(model, loss)


def assert_close(learned: Learned, expected: Learned, rate: float, tolerance: float = 2e-5) -> None:
    """A kernel added `rate` times what autograd says, but for so much of the greatest number there."""
    assert abs(learned.loss - expected.loss) <= 1e-5 * abs(expected.loss) + 1e-6
    pairs = ((learned.inputs_RD, expected.inputs_RD), (learned.outputs_VD, expected.outputs_VD))
    for added, gradient in pairs:
        np.testing.assert_allclose(added / rate, gradient, rtol=0, atol=tolerance * max(1, np.abs(gradient).max()))


def _model(kind: Kind, weights: Weights, dimension: int) -> SkipGram | ContinuousBagOfWords:
    model = kind(1, dimension)
    inputs_RD, outputs_VD = (rows_of(flat, weights.stride, dimension).astype(np.float64) for flat in weights[:2])
    model.input_VD = torch.nn.Parameter(torch.from_numpy(inputs_RD))
    model.output_VD = torch.nn.Parameter(torch.from_numpy(outputs_VD))
    return model


def _context(contexts: Sequence[int]) -> tuple[Tensor, Tensor]:
    context_BC = torch.tensor([contexts])
    return context_BC, torch.ones_like(context_BC, dtype=torch.bool)


def _derivative(model: SkipGram | ContinuousBagOfWords, loss: Tensor) -> Learned:
    inputs_RD, outputs_VD = torch.autograd.grad(loss, [model.input_VD, model.output_VD])
    return Learned(loss.item(), -inputs_RD.numpy(), -outputs_VD.numpy())
