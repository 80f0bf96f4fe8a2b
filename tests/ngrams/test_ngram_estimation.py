"""Estimation from ids to a model: rejected texts, log lines, metadata, and memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.events import Event, Note, WarningEvent
from rnnkit.ngrams.ngram_estimation import choose_discounts, estimate_ngram_model, estimated_bytes, prepare_text
from rnnkit.ngrams.options import NgramOptions
from rnnkit.text.special_tokens import BOS, EOS

from .samples import SIZE, flatten, make_model, random_lines


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        ([], ["no text"]),
        ([[]], ["no text"]),
        ([[4, 9, EOS]], ["id 9", "9 entries"]),
        ([[4, -1, EOS]], ["id -1", "9 entries"]),
        ([[4, EOS, 0, 0]], ["<pad>", "2 times"]),
        ([[BOS, 4, EOS]], ["<s>", "1 times"]),
        ([[4, EOS], [4]], ["</s>"]),
        ([[4], [4, EOS]], ["</s>"]),
        ([[4, EOS, 4, EOS]], ["</s>"]),
        ([[EOS, 4, EOS]], ["</s>"]),
        ([[4, EOS], [], [4, EOS]], ["</s>"]),
    ],
)
def test_invalid_texts_are_rejected(lines: list[list[int]], values: list[str]) -> None:
    with raises(DataError, *values):
        estimate_ngram_model(*flatten(lines), SIZE, NgramOptions())


def test_closed_vocabulary_rejects_unknown_words() -> None:
    with raises(DataError, "2 unknown words", option="--closed"):
        estimate_ngram_model(*flatten([[4, 1, 1, EOS]]), SIZE, NgramOptions(closed=True))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_bos_is_inserted_before_each_line(dtype: type[np.integer]) -> None:
    ids, offsets = flatten([[4, 5, EOS], [EOS], [6, EOS]])
    text_P = prepare_text(ids.astype(dtype), offsets, SIZE)
    assert text_P.dtype == np.int32
    assert text_P.tolist() == [BOS, 4, 5, EOS, BOS, EOS, BOS, 6, EOS]


def test_counts_are_reported_and_stored() -> None:
    events: list[Event] = []
    ids, offsets = flatten(random_lines(lines=200, size=40))
    model = estimate_ngram_model(ids, offsets, 40, NgramOptions(order=3, prune=(0, 0, 1)), events.append)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert [note.partition(":")[0] for note in notes] == ["1-grams", "2-grams", "3-grams"]
    assert f", {model.sizes[2]:,} after pruning; discounts " in notes[2]
    assert {**model.facts, **asdict(NgramOptions(order=3, prune=(0, 0, 1)))} == model.facts
    assert model.facts["tokens"] == len(ids) and model.facts["lines"] == 200
    assert len(model.facts["discounts"]) == 3


def test_sparse_counts_use_fallback_with_a_warning() -> None:
    events: list[Event] = []
    model = estimate_ngram_model(
        *flatten([[4, 5, EOS]]), SIZE, NgramOptions(order=2, fallback=(0.25, 1, 1.5)), events.append
    )
    warnings = [event.text for event in events if isinstance(event, WarningEvent)]
    assert len(warnings) == 2
    for order, warning in enumerate(warnings, start=1):
        assert all(value in warning for value in (f"{order}-grams", "count 2", "0.25, 1, 1.5"))
    assert model.facts["discounts"] == [(0.25, 1, 1.5)] * 2


def test_fallback_is_chosen_per_order() -> None:
    counts = [np.repeat([1, 2, 3, 4], numbers).astype(np.int32) for numbers in ([9, 3, 2, 1], [9, 0, 0, 0])]
    chosen = choose_discounts(counts, (0.5, 1.0, 1.5))
    assert chosen[0] != (0.5, 1.0, 1.5) and chosen[1] == (0.5, 1.0, 1.5)


def test_estimation_is_deterministic() -> None:
    one, other = make_model(order=4), make_model(order=4)
    assert all(np.array_equal(mine, its) for mine, its in zip(one._arrays, other._arrays, strict=True))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_a_text_of_one_empty_line_has_a_model(order: int) -> None:
    model = make_model([[EOS]], order=order)
    log_p = model.log_probabilities(model.initial_state())
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
    assert log_p.argmax() == EOS


PEAK = """
import resource
from pathlib import Path
import numpy as np
from rnnkit.ngrams.ngram_estimation import estimate_ngram_model, estimated_bytes
from rnnkit.ngrams.options import NgramOptions
estimate_ngram_model(np.array([4, 3]), np.array([0, 2]), 9, NgramOptions())
words = np.random.default_rng(1).integers(4, 50_000, size=(75_000, 20), dtype=np.int32)
words[:, -1] = 3
before = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[1])
estimate_ngram_model(words.ravel(), np.arange(0, words.size + 1, 20), 50_000, NgramOptions())
# getrusage would return the parent's peak if that is larger.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(1024 * int(status["VmHWM"].split()[0]) - before, estimated_bytes(words.size, len(words), 5))
"""


@pytest.mark.slow
def test_memory_stays_below_the_estimate() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    measured, estimated = map(int, done.stdout.split())
    assert measured < estimated < 2 * measured


def test_the_estimate_of_memory_grows_with_the_order() -> None:
    estimates: Sequence[int] = [estimated_bytes(1000, 50, order) for order in (1, 2, 3, 5)]
    assert sorted(set(estimates[1:])) == estimates[1:] and estimates[0] == estimates[1]
