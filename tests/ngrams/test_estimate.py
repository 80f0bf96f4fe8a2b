"""From ids to a model: what is refused, what is told, what it takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest

from rnnkit.errors import DataError
from rnnkit.events import Event, Note, WarningEvent
from rnnkit.ngrams.estimate import choose_discounts, estimate, estimated_bytes, lay_out
from rnnkit.ngrams.options import NgramOptions
from rnnkit.text.special_tokens import BOS, EOS

from .samples import SIZE, lay, make_model, random_lines


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "there is no text to count n-grams in\n  hint: look at the training part: is it empty?"),
        ([[]], "there is no text to count n-grams in"),
        ([[4, 9, EOS]], "the text holds id 9, the vocabulary has 9 rows"),
        ([[4, -1, EOS]], "the text holds id -1, the vocabulary has 9 rows"),
        ([[4, EOS, 0, 0]], "the text holds <pad> 2 times\n  hint: align the text without a fixed length"),
        ([[BOS, 4, EOS]], "the text holds <s> 1 times\n  hint: <s> is put before each line by itself"),
        ([[4, EOS], [4]], "a line does not end with </s>, or has it within"),
        ([[4], [4, EOS]], "a line does not end with </s>, or has it within"),
        ([[4, EOS, 4, EOS]], "a line does not end with </s>, or has it within"),
        ([[EOS, 4, EOS]], "a line does not end with </s>, or has it within"),
        ([[4, EOS], [], [4, EOS]], "a line does not end with </s>, or has it within"),
    ],
)
def test_texts_that_cannot_be_counted_are_refused(lines: list[list[int]], message: str) -> None:
    with pytest.raises(DataError) as caught:
        estimate(*lay(lines), SIZE, NgramOptions())
    assert message in str(caught.value)


def test_unknown_words_are_refused_where_the_vocabulary_is_closed() -> None:
    with pytest.raises(DataError) as caught:
        estimate(*lay([[4, 1, 1, EOS]]), SIZE, NgramOptions(closed=True))
    assert str(caught.value).startswith("the text holds 2 unknown words, and the vocabulary is said to be closed")


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_the_start_is_put_before_each_line(dtype: type[np.integer]) -> None:
    ids, offsets = lay([[4, 5, EOS], [EOS], [6, EOS]])
    text_P = lay_out(ids.astype(dtype), offsets, SIZE)
    assert text_P.dtype == np.int32
    assert text_P.tolist() == [BOS, 4, 5, EOS, BOS, EOS, BOS, 6, EOS]


def test_what_was_counted_is_told_and_kept() -> None:
    events: list[Event] = []
    ids, offsets = lay(random_lines(lines=200, size=40))
    model = estimate(ids, offsets, 40, NgramOptions(order=3, prune=(0, 0, 1)), events.append)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert [note.partition(":")[0] for note in notes] == ["1-grams", "2-grams", "3-grams"]
    assert f", {model.sizes[2]:,} of them kept; discounts " in notes[2]
    assert {**model.facts, **asdict(NgramOptions(order=3, prune=(0, 0, 1)))} == model.facts
    assert model.facts["tokens"] == len(ids) and model.facts["lines"] == 200
    assert len(model.facts["discounts"]) == 3


def test_a_thin_text_takes_the_fallback_and_says_so() -> None:
    events: list[Event] = []
    model = estimate(*lay([[4, 5, EOS]]), SIZE, NgramOptions(order=2, fallback=(0.25, 1, 1.5)), events.append)
    warnings = [event.text for event in events if isinstance(event, WarningEvent)]
    assert warnings == [
        f"the text is too thin for discounts of {order}-grams: none has the count 2; 0.25, 1, 1.5 are used instead"
        for order in (1, 2)
    ]
    assert model.facts["discounts"] == [(0.25, 1, 1.5)] * 2


def test_only_the_orders_that_need_it_take_the_fallback() -> None:
    counts = [np.repeat([1, 2, 3, 4], numbers).astype(np.int32) for numbers in ([9, 3, 2, 1], [9, 0, 0, 0])]
    chosen = choose_discounts(counts, (0.5, 1.0, 1.5))
    assert chosen[0] != (0.5, 1.0, 1.5) and chosen[1] == (0.5, 1.0, 1.5)


def test_equal_texts_give_equal_models() -> None:
    one, other = make_model(order=4), make_model(order=4)
    assert all(np.array_equal(mine, its) for mine, its in zip(one._arrays, other._arrays, strict=True))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_a_text_of_one_empty_line_has_a_model(order: int) -> None:
    model = make_model([[EOS]], order=order)
    log_p = model.log_probabilities(model.start())
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
    assert log_p.argmax() == EOS


PEAK = """
import resource
from pathlib import Path
import numpy as np
from rnnkit.ngrams.estimate import estimate, estimated_bytes
from rnnkit.ngrams.options import Options
estimate(np.array([4, 3]), np.array([0, 2]), 9, Options())
words = np.random.default_rng(1).integers(4, 50_000, size=(75_000, 20), dtype=np.int32)
words[:, -1] = 3
before = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[1])
estimate(words.ravel(), np.arange(0, words.size + 1, 20), 50_000, Options())
# What getrusage says would be the parent's where that is the larger.
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
