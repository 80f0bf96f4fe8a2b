"""Training of linear text classifiers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.linear_texts import IDF, NGRAMS, SMALL, TOPICS, make_lines, one_label, to_texts, train

from rnnkit.data.word_table import SparseRows
from rnnkit.errors import DataError
from rnnkit.events import Event, Progress
from rnnkit.kernels import linear_classifier
from rnnkit.models.labelling.linear_text import LinearText, LinearTextConfig, TextLabels
from rnnkit.training import linear_text_trainer
from rnnkit.training.linear_text_trainer import train_linear_text


def accuracy(model: LinearText) -> float:
    lines, topics = make_lines(50, seed=1)
    return float((model.scores(to_texts(lines)).argmax(axis=1) == topics).mean())


def use_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all threads train every chunk."""
    monkeypatch.setattr(linear_text_trainer, "MIN_WORK", 1)
    monkeypatch.setattr(linear_text_trainer._ThreadChoice, "choose", lambda self: max(self._seconds))


@pytest.mark.parametrize("config", [SMALL, NGRAMS, IDF, replace(SMALL, one_vs_all=True, epochs=20)])
def test_topics_are_learned(config: LinearTextConfig) -> None:
    lines, topics = make_lines(200)
    model, losses = train_linear_text(config, to_texts(lines), one_label(topics))
    assert accuracy(model) > 0.95
    assert len(losses) == config.epochs and losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("config", [SMALL, NGRAMS, IDF, replace(NGRAMS, one_vs_all=True)])
def test_threads_change_no_bit(config: LinearTextConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    use_all_threads(monkeypatch)
    monkeypatch.setattr(linear_text_trainer, "CHUNK_WORDS", 100)
    config, lines = replace(config, dimension=50), make_lines(30, seed=1)[0]
    one, *others = (train(config, threads) for threads in (1, 2, 3))
    for other in others:
        for name, array in other.weights().items():
            assert np.array_equal(array, one.weights()[name])
    for threads in (2, 7, 50):
        assert np.array_equal(one.scores(to_texts(lines), threads), one.scores(to_texts(lines)))


def test_little_work_is_done_by_one_thread() -> None:
    count_N = np.full(100, 1000)
    assert linear_text_trainer._useful_threads(count_N, 112, 2) == 2
    assert linear_text_trainer._useful_threads(count_N, 16, 2) == 1
    assert linear_text_trainer._useful_threads(count_N // 1000, 112, 2) == 1


def test_texts_may_have_several_labels() -> None:
    lines, topics = make_lines(300)
    both = [f"{one} {other}" for one, other in zip(lines[::2], lines[1::2], strict=True)] + [""] * 10
    gold = [sorted({*pair}) for pair in zip(topics[::2], topics[1::2], strict=True)] + [[]] * 10
    config = replace(SMALL, one_vs_all=True, epochs=20)
    model, _ = train_linear_text(config, to_texts(both), TextLabels(SparseRows.from_lists(gold), len(TOPICS)))
    p_NC = model.probabilities(model.scores(to_texts(both[:150])))
    assert np.mean([np.flatnonzero(p_C > 0.5).tolist() == y for p_C, y in zip(p_NC, gold, strict=False)]) > 0.9


@pytest.mark.parametrize("one_vs_all", [False, True])
def test_weights_of_texts_and_labels(one_vs_all: bool) -> None:
    """Label weights scale the learning rate of gold labels; a text of weight zero changes nothing."""
    config, (lines, topics) = replace(SMALL, one_vs_all=one_vs_all, epochs=1), make_lines(50)
    texts, ones_N = to_texts(lines), np.ones(50, np.float32)
    plain = train_linear_text(config, texts, one_label(topics))[0].weights()
    doubled = one_label(topics, text_weight_N=2 * ones_N)
    twice = train_linear_text(replace(config, learning_rate=1.0), texts, one_label(topics))[0].weights()
    assert np.array_equal(train_linear_text(config, texts, doubled)[0].weights()["inputs"], twice["inputs"])
    nothing = train_linear_text(config, texts, one_label(topics, text_weight_N=0 * ones_N))[0].weights()
    assert not nothing["outputs"].any() and plain["outputs"].any()
    rare_C = np.array([1, 9, 1], np.float32)
    heavy = train_linear_text(config, texts, one_label(topics, label_weight_C=rare_C))[0]
    light = train_linear_text(config, texts, one_label(topics))[0]
    counts = [int((model.scores(texts).argmax(axis=1) == 1).sum()) for model in (light, heavy)]
    assert counts[1] > counts[0]


def test_invalid_input_is_refused() -> None:
    texts = to_texts(["a b", "c"])
    with pytest.raises(DataError, match="text 2 has 2 labels"):
        train_linear_text(SMALL, texts, TextLabels(SparseRows.from_lists([[0], [0, 1]]), 2))
    with pytest.raises(DataError, match="no text"):
        train_linear_text(SMALL, to_texts([]), TextLabels(SparseRows.from_lists([]), 2))
    many = replace(SMALL, one_vs_all=True)
    for gold in ([[0], [1, 0]], [[0, 0], []]):
        with pytest.raises(ValueError, match="labels of a text must ascend"):
            train_linear_text(many, texts, TextLabels(SparseRows.from_lists(gold), 2))
    for gold in ([[0]], [[0], [2]], [[0], [-1]]):
        with pytest.raises(ValueError, match="2 texts"):
            train_linear_text(SMALL, texts, TextLabels(SparseRows.from_lists(gold), 2))


def test_progress_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_text_trainer, "CHUNK_WORDS", 100)
    events: list[Event] = []
    lines, topics = make_lines(60)
    train_linear_text(SMALL, to_texts(lines), one_label(topics), listen=events.append)
    progress = [event for event in events if isinstance(event, Progress)]
    total = 60 * 9 * SMALL.epochs
    assert [event.done for event in progress] == sorted({event.done for event in progress})
    assert progress[-1] == Progress("training", total, total, "words", progress[-1].facts, finished=True)
    assert [event.finished for event in progress].count(True) == 1


def test_a_thread_that_cannot_start_stops_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    use_all_threads(monkeypatch)
    kernel = linear_classifier.train_texts

    def fail_in_second(*arguments: Any) -> Any:
        if arguments[-1].first:
            raise MemoryError
        return kernel(*arguments)

    monkeypatch.setattr(linear_text_trainer, "train_texts", fail_in_second)
    with pytest.raises(MemoryError):
        train(threads=2)


def test_the_faster_number_of_threads_is_chosen() -> None:
    choice = linear_text_trainer._ThreadChoice([1, 4])
    chosen = []
    for turn in range(2 * linear_text_trainer.RETRY_CHUNKS):
        chosen.append(choice.choose())
        fast = 4 if turn < 20 else 1  # another program starts
        choice.record(chosen[-1], 1.0 if chosen[-1] == fast else 2.0)
    assert chosen[:5] == [1, 4, 4, 4, 4]
    assert chosen.count(1) > 15 and chosen[-2] == 1
