"""Figures against `sacrebleu --paired-bs` live in `tests/stages/test_bleu.py`."""

from __future__ import annotations

import pytest

from rnnkit.errors import DataError
from rnnkit.evaluation.bleu import BleuSettings, ChrfSettings
from rnnkit.evaluation.bootstrap import Comparison, compare

RIGHT = [f"sentence number {number} of the corpus" for number in range(20)]
WRONG = [line if number % 2 else "nothing of the kind" for number, line in enumerate(RIGHT)]


def compared(seed: int, samples: int = 40) -> Comparison:
    return compare(RIGHT, WRONG, [RIGHT], BleuSettings(), samples=samples, seed=seed)


def test_scores_are_those_of_the_whole_corpus() -> None:
    comparison = compared(seed=1)
    assert comparison.system.text(1) == "100.0 (100.0 ± 0.0)"
    assert 50 < comparison.baseline.value < 70
    assert "|bs:40|seed:1|" in comparison.signature


def test_the_seed_decides_the_draws_and_zero_is_a_seed() -> None:
    assert compared(seed=0) == compared(seed=0)
    assert compared(seed=0).baseline != compared(seed=1).baseline


def test_a_system_does_not_differ_from_itself() -> None:
    comparison = compare(WRONG, WRONG, [RIGHT], ChrfSettings(), samples=30, seed=3)
    assert comparison.system == comparison.baseline
    assert comparison.p_value == pytest.approx(1 / 31)


def test_counts_must_agree() -> None:
    with pytest.raises(DataError, match="19 hypotheses, 20 lines in reference 1"):
        compare(RIGHT, WRONG[1:], [RIGHT], BleuSettings(), samples=10, seed=1)
