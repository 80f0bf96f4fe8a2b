"""Expectation-maximization: equal to the reference, monotone, and independent of the number of threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings

from rnnkit.alignment import alignment_reference
from rnnkit.alignment import bitext as bitexts
from rnnkit.alignment.alignment_models import DIAGONAL, HMM, MAX_JUMP, AlignmentModel, AlignmentOptions
from rnnkit.alignment.em_training import predict_links, train_alignment_model
from rnnkit.events import Event, Progress
from rnnkit.kernels.hmm_forward_backward import HmmTransitions
from rnnkit.kernels.word_alignment import EMPTY_SLOT

from .samples import SIZE, Pairs, bitext_of, pairs_of, random_pairs

MODELS = (DIAGONAL, HMM)


def table_of(model: AlignmentModel, size: int = SIZE) -> alignment_reference.Table:
    """Return the translation table in the form of the reference."""
    found: alignment_reference.Table = {}
    for row, (begin, end) in enumerate(itertools.pairwise(model.table.begin_R1.tolist())):
        slots = [slot for slot in range(begin, end) if model.table.target_A[slot] != EMPTY_SLOT]
        if slots:
            entries = {int(model.table.target_A[slot]): float(model.table.p_A[slot]) for slot in slots}
            found[None if row == size else row] = entries
    return found


def assert_same_table(mine: alignment_reference.Table, theirs: alignment_reference.Table) -> None:
    assert mine.keys() == theirs.keys()
    for source, row in theirs.items():
        assert mine[source] == pytest.approx(row, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("alpha", [0.0, 0.01])
@settings(max_examples=25)
@given(pairs=pairs_of(longest=3, most=4))
def test_equals_reference(model: str, alpha: float, pairs: Pairs) -> None:
    options = AlignmentOptions(model=model, iterations=3, alpha=alpha, null=0.15)
    mine, theirs = train_alignment_model(bitext_of(pairs), options), alignment_reference.train(pairs, SIZE, options)
    assert mine.bits == pytest.approx(theirs.bits, rel=1e-6, abs=1e-7)
    if any(len(source) > 1 and target for source, target in pairs):  # otherwise any tension is equally good
        assert mine.tension == pytest.approx(theirs.tension, abs=0.02)
    assert_same_table(table_of(mine), theirs.table)
    if isinstance(mine.prior, HmmTransitions):
        middle = len(mine.prior.jump_D) // 2
        reach = min(middle, MAX_JUMP + 1)
        found = mine.prior.jump_D[middle - reach : middle + reach + 1]
        weights = np.array(
            [theirs.jumps[d] for d in range(-reach, reach + 1)]
        )  # of the jumps that are possible in the text
        assert found / found.sum() == pytest.approx(weights / weights.sum(), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("model", MODELS)
@given(pairs=pairs_of(longest=7, most=12))
def test_likelihood_never_decreases(model: str, pairs: Pairs) -> None:
    bits = train_alignment_model(bitext_of(pairs), AlignmentOptions(model=model, iterations=6, alpha=0)).bits
    for first in range(0, len(bits), 6):
        assert all(after <= before + 1e-7 for before, after in itertools.pairwise(bits[first : first + 6]))


@pytest.mark.parametrize("model", MODELS)
def test_classic_toy_example(model: str) -> None:
    the, house, book, a = 4, 5, 6, 7
    das, haus, buch, ein = 5, 6, 7, 8
    pairs = [([das, haus], [the, house]), ([das, buch], [the, book]), ([ein, buch], [a, book])]
    trained = train_alignment_model(bitext_of(pairs), AlignmentOptions(model=model, iterations=10, alpha=0, null=0.01))
    table = table_of(trained)
    for source, target in ((das, the), (haus, house), (buch, book), (ein, a)):
        assert table[source][target] > 0.9
    assert predict_links(bitext_of(pairs), trained).tolist() == [0, 1] * 3


def test_diagonal_prior_decides_between_equal_words() -> None:
    pairs = [([4, 4, 4], [5, 5, 5])] * 5
    assert (
        predict_links(
            bitext_of(pairs), train_alignment_model(bitext_of(pairs), AlignmentOptions(model=DIAGONAL))
        ).tolist()
        == [0, 1, 2] * 5
    )


def test_hmm_learns_reversed_order() -> None:
    pairs = [(source, [word + 1 for word in reversed(source)]) for source, _ in random_pairs(count=60, size=12)]
    options = AlignmentOptions(model=HMM, iterations=6, null=0.01, tension=0.1, learn_tension=False)
    trained = train_alignment_model(bitext_of(pairs, size=13), options)
    assert isinstance(trained.prior, HmmTransitions)
    middle = len(trained.prior.jump_D) // 2
    assert trained.prior.jump_D[middle - 1] > 10 * trained.prior.jump_D[middle + 1]
    expected = [position for source, _ in pairs for position in reversed(range(len(source)))]
    assert (predict_links(bitext_of(pairs, size=13), trained) == expected).mean() > 0.98


@pytest.mark.parametrize("model", MODELS)
def test_null_aligned_words(model: str) -> None:
    pairs = [([word], [word, 8]) for word in (4, 5, 6, 7)] * 5
    assert (
        predict_links(
            bitext_of(pairs), train_alignment_model(bitext_of(pairs), AlignmentOptions(model=model, null=0.4))
        ).tolist()
        == [0, -1] * 20
    )


@pytest.mark.parametrize("model", MODELS)
def test_result_does_not_depend_on_threads(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitexts, "WORD_PAIRS_PER_CHUNK", 50)
    text = bitext_of(random_pairs(count=200))
    assert len(text.chunk_bounds()) > 20
    alone, three = (train_alignment_model(text, AlignmentOptions(model=model), threads) for threads in (1, 3))
    assert alone.bits == three.bits
    for mine, theirs in ((alone.table, three.table), (alone.prior, three.prior)):
        assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(mine, theirs, strict=True))
    assert np.array_equal(predict_links(text, alone, 1), predict_links(text, three, 3))


@pytest.mark.parametrize("model", MODELS)
def test_result_does_not_depend_on_chunks(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = random_pairs(count=60)
    whole = train_alignment_model(bitext_of(pairs), AlignmentOptions(model=model))
    monkeypatch.setattr(bitexts, "WORD_PAIRS_PER_CHUNK", 7)
    assert_same_table(table_of(train_alignment_model(bitext_of(pairs), AlignmentOptions(model=model))), table_of(whole))


@pytest.mark.parametrize("model", MODELS)
def test_long_and_empty_pairs_are_skipped(model: str) -> None:
    useful = [([4, 5], [5, 6]), ([5], [6])]
    text = bitext_of([*useful, ([], [4]), ([4], []), ([], []), ([6] * 7, [7])], longest=6)
    assert (text.too_long, text.target_words) == (1, 3)
    mine, theirs = (
        train_alignment_model(text, AlignmentOptions(model=model)),
        train_alignment_model(bitext_of(useful), AlignmentOptions(model=model)),
    )
    assert mine.bits == theirs.bits
    assert table_of(mine) == table_of(theirs)
    assert predict_links(text, mine).tolist() == [*predict_links(bitext_of(useful), theirs).tolist(), -1]


def test_empty_bitexts() -> None:
    nothing: list[Pairs] = [[], [([], [])]]
    for pairs in nothing:
        model = train_alignment_model(bitext_of(pairs), AlignmentOptions())
        assert model.bits == (0.0,) * 10
        assert predict_links(bitext_of(pairs), model).tolist() == []


def test_a_long_sentence_pair() -> None:
    words = [4 + position % 97 for position in range(300)]
    text = bitext_of([(words, words), *(([word], [word]) for word in words[:97])], size=101, longest=300)
    for model in MODELS:
        trained = train_alignment_model(text, AlignmentOptions(model=model, iterations=2, null=0.05))
        assert np.isfinite(trained.bits).all()
        assert (predict_links(text, trained)[:300] == np.arange(300)).mean() > 0.9


def test_progress_events() -> None:
    events: list[Event] = []
    train_alignment_model(
        bitext_of([([4], [5])]), AlignmentOptions(iterations=2), listen=events.append, task="words de-en"
    )
    passes = [event for event in events if isinstance(event, Progress)]
    assert [(event.task, event.done, event.total) for event in passes] == [
        ("words de-en", done, 4) for done in range(5)
    ]
    assert [event.finished for event in passes] == [False] * 4 + [True]
