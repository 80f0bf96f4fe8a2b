"""Word vectors as a task: batches that cover the text, and a state from which it resumes."""

from __future__ import annotations

import io
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.embeddings.corpus import IDS, SEGMENTS, Corpus, open_corpus, write_vocabulary_ids
from rnnkit.embeddings.embedding_model import whole_word_composition
from rnnkit.embeddings.hogwild_trainer import EmbeddingTrainingConfig, HogwildTrainer
from rnnkit.io.npy import NpyWriter
from rnnkit.kernels.negative_sampling import keep_probabilities, make_noise_distribution
from rnnkit.kernels.word2vec_chunk import NEGATIVE_SAMPLING, SKIP_GRAM, TrainingMethod
from rnnkit.kernels.word2vec_weights import init_weights
from rnnkit.text import special_tokens
from rnnkit.training import word_vector_task
from rnnkit.training.word_vector_task import MIN_STEPS, TokenBatch, TokenBatches, WordVectorTask

FIRST = len(special_tokens.NAMES)
ROWS = FIRST + 7
LENGTHS = [5, 0, 3, 12, 1, 7, 2, 0]

lengths = st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any)


def corpus_of(lengths: list[int]) -> Corpus:
    """A text of which only the lengths of its segments are known."""
    return Corpus(io.BytesIO(), np.empty(0, np.int32), np.cumsum([0, *lengths]), np.empty(0, np.int32))


def written(folder: Path) -> Corpus:
    """A text of seven words, of which the first is too rare for the vocabulary."""
    ids = np.random.default_rng(5).integers(0, 8, sum(LENGTHS))
    for name, values, dtype in ((IDS, ids, np.int32), (SEGMENTS, np.cumsum([0, *LENGTHS]), np.int64)):
        file = NpyWriter(folder / name, dtype)
        file.append(values)
        file.close()
    write_vocabulary_ids(folder, np.array([special_tokens.UNK, *range(FIRST, ROWS)], np.int32))
    return open_corpus(folder)


def make_task(corpus: Corpus) -> WordVectorTask:
    counts_V = corpus.counts(ROWS)
    config = EmbeddingTrainingConfig(
        init_weights(ROWS, ROWS, 5, FIRST, seed=1),
        keep_probabilities(counts_V, 0),
        make_noise_distribution(counts_V, 0.75, 3, is_nce=False),
        whole_word_composition(),
        TrainingMethod(SKIP_GRAM, 3, False, 3, NEGATIVE_SAMPLING, False, False),
        seed=1,
    )
    return WordVectorTask(corpus, HogwildTrainer(config, 1))


@given(lengths, st.integers(1, 5), st.integers(1, 20))
def test_batches_cover_the_text_once_an_epoch(lengths: list[int], epochs: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_vector_task, "TOKENS_PER_STEP", most)
        batches = TokenBatches(corpus_of(lengths), epochs)
    segments = np.cumsum([0, *lengths])
    size = min(most, max(1, sum(lengths) * epochs // MIN_STEPS))
    for epoch in range(epochs):
        taken = list(islice(batches, batches.per_epoch))
        assert {batch.epoch for batch in taken} == {epoch}
        assert all(one.last == other.first for one, other in pairwise(taken))
        assert (segments[taken[0].first], segments[taken[-1].last]) == (0, sum(lengths))
        words = [int(segments[batch.last] - segments[batch.first]) for batch in taken]
        assert all(0 < count < size + max(lengths) for count in words), "none is empty, none goes far beyond its size"


@given(lengths, st.integers(1, 5), st.integers(0, 40))
def test_batches_resume_from_any_position(lengths: list[int], epochs: int, done: int) -> None:
    first, second = TokenBatches(corpus_of(lengths), epochs), TokenBatches(corpus_of(lengths), epochs)
    for _ in islice(first, done):
        pass
    second.load_state_dict(first.state_dict())
    assert list(islice(first, 9)) == list(islice(second, 9))


def test_batches_have_a_size_and_are_many() -> None:
    long = TokenBatches(corpus_of([1000] * 20_000), epochs=3)
    assert next(iter(long)) == TokenBatch(0, 0, 100), "100,000 words"
    assert long.per_epoch == 200
    short = TokenBatches(corpus_of([5] * 1000), epochs=2)
    assert 2 * short.per_epoch >= MIN_STEPS
    assert TokenBatches(corpus_of([9]), epochs=1).per_epoch == 1


def test_a_step_depends_on_the_position_of_its_batch(tmp_path: Path) -> None:
    corpus = written(tmp_path)
    whole, parts = make_task(corpus), make_task(corpus)
    at_once = whole.step(TokenBatch(0, 0, len(LENGTHS)), 0.5)
    reports = [parts.step(TokenBatch(0, first, last), 0.5) for first, last in pairwise([0, 3, 4, len(LENGTHS)])]
    assert sum(report.words or 0 for report in reports) == at_once.words == sum(LENGTHS)
    assert sum(report.tokens for report in reports) == at_once.tokens > 0
    assert sum(report.loss for report in reports) == pytest.approx(at_once.loss)
    assert at_once.nll == at_once.loss
    state = [task.state_dict()["weights"] for task in (whole, parts)]
    assert all(np.array_equal(state[0][name], state[1][name]) for name in ("inputs", "outputs"))


def test_the_loss_is_that_of_the_present_epoch(tmp_path: Path) -> None:
    task = make_task(written(tmp_path))
    assert task.loss == 0, "no step was taken yet"
    batches = [TokenBatch(epoch, first, last) for epoch in (0, 1) for first, last in ((0, 3), (3, len(LENGTHS)))]
    reports = [task.step(batch, 0.5) for batch in batches]
    last = reports[2:]
    assert task.loss == pytest.approx(sum(r.loss for r in last) / sum(r.tokens for r in last))


def test_a_task_resumes_from_its_state(tmp_path: Path) -> None:
    corpus = written(tmp_path)
    batches = [TokenBatch(epoch, first, last) for epoch in (0, 1) for first, last in ((0, 3), (3, len(LENGTHS)))]
    whole, cut = make_task(corpus), make_task(corpus)
    for number, batch in enumerate(batches):
        if number == 3:
            state = {group: {name: array.copy() for name, array in arrays.items()}
                     for group, arrays in whole.state_dict().items()}  # fmt: skip
        whole.step(batch, 0.5)
    cut.load_state_dict(state)
    cut.step(batches[3], 0.5)
    assert cut.loss == whole.loss
    expected = whole.state_dict()["weights"]
    assert {name: array.tobytes() for name, array in cut.state_dict()["weights"].items()} == {
        name: array.tobytes() for name, array in expected.items()
    }
