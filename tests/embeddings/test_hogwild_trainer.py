"""Hogwild training: every window once, reproducible with one thread, and all kernels compiled beforehand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnkit.embeddings import hogwild_trainer
from rnnkit.embeddings.embedding_model import subword_composition, whole_word_composition
from rnnkit.embeddings.hogwild_trainer import EmbeddingTrainingConfig, HogwildTrainer
from rnnkit.embeddings.vector_table import Subwords
from rnnkit.kernels.negative_sampling import keep_probabilities, make_noise_distribution
from rnnkit.kernels.word2vec_chunk import (
    CBOW,
    NEGATIVE_SAMPLING,
    SKIP_GRAM,
    SOFTMAX,
    SUBWORD_SKIP_GRAM,
    TrainingMethod,
    train_chunk,
)
from rnnkit.kernels.word2vec_weights import Composition, init_weights
from rnnkit.kernels.word_hashing import _encode, _rehash
from rnnkit.stages.training import train_embeddings
from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions
from rnnkit.text import special_tokens

FIRST = len(special_tokens.NAMES)
WORDS = 11
ROWS = FIRST + WORDS
SUBWORDS = Subwords(1, 2, 7)
LENGTHS = [7, 0, 1, 5, 3, 12, 0, 2, 9, 1, 1, 30, 4]
KINDS = {"skipgram": SKIP_GRAM, "cbow": CBOW, "subwords": SUBWORD_SKIP_GRAM}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

SEGMENTS = np.cumsum([0, *LENGTHS])
IDS = np.random.default_rng(5).integers(FIRST, ROWS, int(SEGMENTS[-1])).astype(np.int32)


def make_trainer(
    kind: int, threads: int, *, loss: int = NEGATIVE_SAMPLING, sample: float = 0.1, dynamic: bool = True, seed: int = 1
) -> HogwildTrainer:
    counts_V = np.bincount(IDS, minlength=ROWS)
    composition: Composition = whole_word_composition()
    if kind == SUBWORD_SKIP_GRAM:
        composition = subword_composition([f"w{number}".encode() for number in range(WORDS)], SUBWORDS)
    inputs = ROWS + (SUBWORDS.buckets if kind == SUBWORD_SKIP_GRAM else 0)
    config = EmbeddingTrainingConfig(
        init_weights(inputs, ROWS, 5, FIRST, seed=1),
        keep_probabilities(counts_V, sample),
        make_noise_distribution(counts_V, 0.75, 3, is_nce=False),
        composition,
        TrainingMethod(kind, 3, dynamic, 3, loss, kind == CBOW, False),
        seed,
    )
    return HogwildTrainer(config, threads)


def train(trainer: HogwildTrainer, cuts: list[int], epochs: int = 2) -> tuple[bytes, float, int]:
    """Train on the text, split before these segments; returns the bytes of the weights, loss and predictions."""
    losses, predictions = 0.0, 0
    for epoch in range(epochs):
        for first, last in pairwise([0, *cuts, len(LENGTHS)]):
            bounds = SEGMENTS[first : last + 1]
            ids = IDS[bounds[0] : bounds[-1]]
            loss, count = trainer.train(ids, bounds - bounds[0], int(bounds[0]), epoch, 0.25)
            losses, predictions = losses + loss, predictions + count
    weights = trainer.config.weights
    return weights.inputs.tobytes() + weights.outputs.tobytes(), losses, predictions


def pairs(reach: int) -> int:
    """The number of pairs of words at most this far apart."""
    return sum(min(reach, i) + min(reach, length - 1 - i) for length in LENGTHS for i in range(length))


@kinds
def test_one_thread_is_reproducible_for_any_batches(kind: int) -> None:
    learned, loss, predictions = train(make_trainer(kind, 1), [])
    for cuts in ([], [1], [5, 6], list(range(1, len(LENGTHS)))):
        again, same_loss, same_predictions = train(make_trainer(kind, 1), cuts)
        assert again == learned
        assert same_predictions == predictions
        assert same_loss == pytest.approx(loss)


@kinds
def test_seed_and_epoch_change_the_random_numbers(kind: int) -> None:
    learned, _, _ = train(make_trainer(kind, 1), [], epochs=1)
    assert train(make_trainer(kind, 1, seed=2), [], epochs=1)[0] != learned
    again = make_trainer(kind, 1)
    again.train(IDS, SEGMENTS, 0, 1, 0.25)
    assert again.config.weights.inputs.tobytes() + again.config.weights.outputs.tobytes() != learned


def test_a_seed_may_be_any_number() -> None:
    seeds = [0, 1 << 44, (1 << 44) + 1, 10**30]
    assert len({train(make_trainer(SKIP_GRAM, 1, seed=seed), [], epochs=1)[0] for seed in seeds}) == 3
    assert seeds[0] % (1 << 44) == seeds[1] % (1 << 44), "44 bits of a seed count"


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@kinds
def test_threads_train_every_window_once(kind: int, threads: int) -> None:
    trainer = make_trainer(kind, threads, sample=0, dynamic=False)
    _, loss, predictions = train(trainer, [4, 9], epochs=1)
    expected = sum(length for length in LENGTHS if length > 1) if kind == CBOW else pairs(reach=3)
    assert predictions == expected
    assert 0 < loss / predictions < 4 * np.log(2) * 1.5, "about that of a coin flip for each of four outputs"


@kinds
def test_full_softmax(kind: int) -> None:
    learned, loss, predictions = train(make_trainer(kind, 1, loss=SOFTMAX), [3])
    assert train(make_trainer(kind, 1, loss=SOFTMAX), [5])[0] == learned
    assert loss / predictions == pytest.approx(np.log(WORDS), rel=0.2)


@kinds
def test_special_rows_are_never_read(kind: int) -> None:
    """Threads use them as padding rows."""
    learned = []
    for spare in (0.0, 9.0):
        trainer = make_trainer(kind, 1)
        weights = trainer.config.weights
        outputs_VD = weights.outputs.reshape(ROWS, -1)
        outputs_VD[:FIRST] = spare
        train(trainer, [])
        assert not weights.inputs.reshape(-1, weights.stride)[:FIRST].any()
        learned.append(weights.inputs.tobytes() + outputs_VD[FIRST:].tobytes())
    assert learned[0] == learned[1]


def empty() -> NDArray[np.int32]:
    return np.empty(0, np.int32)


@pytest.mark.parametrize("threads", [1, 3])
def test_empty_batch(threads: int) -> None:
    trainer = make_trainer(SKIP_GRAM, threads)
    assert trainer.train(empty(), np.zeros(3, np.int64), 0, 0, 0.1) == (0, 0)


KERNELS: list[Any] = [train_chunk, _encode, _rehash]


@pytest.mark.parametrize("options", [{}, {"method": "cbow"}, {"subwords": True}, {"plain_loops": True}], ids=str)
def test_all_kernels_are_compiled_beforehand(tmp_path: Path, options: dict[str, Any]) -> None:
    hogwild_trainer.compile_kernels()
    versions = [len(kernel.signatures) for kernel in KERNELS]
    assert all(versions)
    text = tmp_path / "text"
    text.write_text("a b c\n" * 5, encoding="utf-8")
    train_embeddings.run(TrainEmbeddingsOptions([text], output=tmp_path / "vectors", dimension=3, **options))
    assert [len(kernel.signatures) for kernel in KERNELS] == versions
