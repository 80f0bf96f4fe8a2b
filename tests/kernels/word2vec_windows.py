"""Hand-made windows for the word2vec kernels, and their gradients by autograd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tests.references.word2vec import ContinuousBagOfWords, SkipGram
from torch import Tensor

from rnnkit.kernels.negative_sampling import NO_REPEATS, TILE, TILE_LANES, OutputSamples, make_samples
from rnnkit.kernels.word2vec_updates import LOG_SUM_FLOATS
from rnnkit.kernels.word2vec_weights import EmbeddingWeights, HiddenRow, WindowBuffers, init_weights, unpadded_rows

Kind = type[SkipGram] | type[ContinuousBagOfWords]

SPECIAL, PADDING_ROW = 4, 1
ROWS = 40
"""Rows of either matrix; the first SPECIAL ones belong to special symbols."""

DIMENSIONS = (1, 3, 16, 37, 100)


@dataclass(frozen=True)
class Learned:
    """A loss, and the update of the rows: by a kernel, or by autograd with a learning rate of 1."""

    loss: float
    inputs_RD: NDArray[np.float64]
    outputs_VD: NDArray[np.float64]


def random_weights(dimension: int, input_rows: int = ROWS, output_rows: int = ROWS) -> EmbeddingWeights:
    """Rows whose logits are about 1, as in the middle of training."""
    weights, generator = init_weights(input_rows, output_rows, dimension, SPECIAL, seed=1), np.random.default_rng(3)
    for flat in weights[:2]:
        rows = unpadded_rows(flat, weights.stride, dimension)[SPECIAL:]
        rows[:] = generator.normal(size=rows.shape) / dimension**0.25
    return weights


def copy_of(weights: EmbeddingWeights) -> EmbeddingWeights:
    """A copy with the same padding whose rows are not aligned."""
    return EmbeddingWeights(weights.inputs.copy(), weights.outputs.copy(), weights.stride)


def change(before: EmbeddingWeights, after: EmbeddingWeights, dimension: int, loss: float) -> Learned:
    """The update made by a kernel; special rows and padding are unchanged."""
    added = [
        (new.astype(np.float64) - old).reshape(-1, after.stride) for new, old in zip(after[:2], before[:2], strict=True)
    ]
    for rows in added:
        assert not rows[:SPECIAL].any()
        assert not rows[:, dimension:].any()
    return Learned(loss, added[0][:, :dimension], added[1][:, :dimension])


def samples_of(outputs: Sequence[int], counts: Sequence[int] = (), offsets: Sequence[float] = ()) -> OutputSamples:
    """Samples of one window whose first output is the target."""
    samples = make_samples(1, len(outputs) - 1, PADDING_ROW)
    samples.rows[: len(outputs)] = outputs
    lanes = np.arange(len(outputs))
    indices = lanes // TILE * TILE_LANES + lanes % TILE
    if counts:
        samples.counts[indices] = counts
        samples.max_repeats[0] = max(counts) - 1 if max(counts) > 1 else NO_REPEATS
    if offsets:
        samples.logit_offsets[indices] = offsets
    return samples


def make_hidden(weights: EmbeddingWeights) -> HiddenRow:
    """An uninitialized hidden row."""
    return HiddenRow(*np.empty((3, weights.stride), np.float32))


def make_buffers(weights: EmbeddingWeights, samples: OutputSamples, contexts: int = 1) -> WindowBuffers:
    """Uninitialized scratch buffers for a window of so many context words."""
    sizes = (contexts * samples.tiles * TILE_LANES, LOG_SUM_FLOATS, TILE * weights.stride)
    return WindowBuffers(*(np.empty(size, np.float32) for size in sizes))


def differentiate(
    kind: Kind,
    weights: EmbeddingWeights,
    dimension: int,
    contexts: Sequence[int],
    outputs: Sequence[int],
    offsets: Sequence[float] = (),
) -> Learned:
    """The loss of a window and its negative gradient, by autograd."""
    model = _model(kind, weights, dimension)
    labels_BO = torch.arange(len(outputs)).unsqueeze(0) == 0
    offsets_BO = torch.tensor([offsets], dtype=torch.float64) if offsets else None
    loss = model(*_context(contexts), torch.tensor([outputs]), labels_BO, offsets_BO)
    return _derivative(model, loss)


def differentiate_softmax(
    kind: Kind, weights: EmbeddingWeights, dimension: int, contexts: Sequence[int], target: int
) -> Learned:
    """The same for the softmax over all rows except the special ones."""
    model = _model(kind, weights, dimension)
    hidden_ND, _ = model.hidden(*_context(contexts))
    scores_NV = hidden_ND @ model.output_VD[SPECIAL:].T
    loss = torch.nn.functional.cross_entropy(
        scores_NV, torch.full((len(scores_NV),), target - SPECIAL), reduction="sum"
    )
    return _derivative(model, loss)


def assert_close(learned: Learned, expected: Learned, rate: float, tolerance: float = 2e-5) -> None:
    """Check that an update is `rate` times autograd's, with a tolerance relative to its largest number."""
    assert abs(learned.loss - expected.loss) <= 1e-5 * abs(expected.loss) + 1e-6
    pairs = ((learned.inputs_RD, expected.inputs_RD), (learned.outputs_VD, expected.outputs_VD))
    for added, gradient in pairs:
        np.testing.assert_allclose(added / rate, gradient, rtol=0, atol=tolerance * max(1, np.abs(gradient).max()))


def _model(kind: Kind, weights: EmbeddingWeights, dimension: int) -> SkipGram | ContinuousBagOfWords:
    model = kind(1, dimension)
    inputs_RD, outputs_VD = (unpadded_rows(flat, weights.stride, dimension).astype(np.float64) for flat in weights[:2])
    model.input_VD = torch.nn.Parameter(torch.from_numpy(inputs_RD))
    model.output_VD = torch.nn.Parameter(torch.from_numpy(outputs_VD))
    return model


def _context(contexts: Sequence[int]) -> tuple[Tensor, Tensor]:
    context_BC = torch.tensor([contexts])
    return context_BC, torch.ones_like(context_BC, dtype=torch.bool)


def _derivative(model: SkipGram | ContinuousBagOfWords, loss: Tensor) -> Learned:
    inputs_RD, outputs_VD = torch.autograd.grad(loss, [model.input_VD, model.output_VD])
    return Learned(loss.item(), -inputs_RD.numpy(), -outputs_VD.numpy())
