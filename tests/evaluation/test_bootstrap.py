"""Figures against `sacrebleu --paired-bs` live in `tests/stages/test_bleu.py`."""

from __future__ import annotations

import numpy as np
import pytest

from rnnkit.errors import DataError
from rnnkit.evaluation.bootstrap import PairedComparison, _p_value, paired_bootstrap
from rnnkit.evaluation.translation_metrics import METRICS, BleuSettings, ChrfSettings, MetricSettings, TerSettings

RIGHT = [f"sentence number {number} of the corpus" for number in range(20)]
WRONG = [line if number % 2 else "nothing of the kind" for number, line in enumerate(RIGHT)]


def compared(seed: int, samples: int = 40) -> PairedComparison:
    return paired_bootstrap(RIGHT, WRONG, [RIGHT], BleuSettings(), samples=samples, seed=seed)


def test_scores_are_those_of_the_whole_corpus() -> None:
    comparison = compared(seed=1)
    assert comparison.system.text(1) == "100.0 (100.0 ± 0.0)"
    assert 50 < comparison.baseline.value < 70
    assert "|bs:40|seed:1|" in comparison.signature


def test_the_seed_decides_the_draws_and_zero_is_a_seed() -> None:
    assert compared(seed=0) == compared(seed=0)
    assert compared(seed=0).baseline != compared(seed=1).baseline


HYPOTHESES = ["The dog bit the man.", "It was not expected.", "The man bit him."]
REFERENCES = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
UNSEEN: dict[str, list[tuple[MetricSettings, list[str]]]] = {
    "bleu": [
        (BleuSettings(), [*HYPOTHESES[:2], "The man bit him ."]),
        (BleuSettings(tokenize="char"), [line.replace(" ", "") for line in HYPOTHESES]),
        (BleuSettings(lowercase=True), [line.upper() for line in HYPOTHESES]),
        (BleuSettings(tokenize="none"), [line.replace("expected", "foreseen") for line in HYPOTHESES]),
    ],
    "chrf": [
        (ChrfSettings(), [line.replace(" ", "") for line in HYPOTHESES]),
        (ChrfSettings(lowercase=True), [line.upper() for line in HYPOTHESES]),
        (ChrfSettings(word_order=2), [line.replace(" ", "   ") for line in HYPOTHESES]),
    ],
    "ter": [
        (TerSettings(), [line.upper() for line in HYPOTHESES]),
        (TerSettings(no_punct=True), [line.replace(".", "") for line in HYPOTHESES]),
        (TerSettings(), [line.replace("him.", "her.") for line in HYPOTHESES]),
    ],
}
"""For each metric, settings under which other output is the same to it."""


def test_every_metric_is_compared_with_itself() -> None:
    assert set(UNSEEN) == set(METRICS)


@pytest.mark.parametrize("lines", [HYPOTHESES, REFERENCES, ["wrong"] * 3, ["", "x", ""]])
@pytest.mark.parametrize("settings", [settings for cases in UNSEEN.values() for settings, _ in cases])
def test_a_system_does_not_differ_from_itself(settings: MetricSettings, lines: list[str]) -> None:
    comparison = paired_bootstrap(lines, list(lines), [REFERENCES], settings, samples=30, seed=3)
    assert comparison.system == comparison.baseline
    assert comparison.p_value == 1


@pytest.mark.parametrize(("settings", "lines"), [case for cases in UNSEEN.values() for case in cases])
def test_what_a_metric_does_not_see_makes_no_difference(settings: MetricSettings, lines: list[str]) -> None:
    assert lines != HYPOTHESES
    assert paired_bootstrap(lines, HYPOTHESES, [REFERENCES], settings, samples=30, seed=3).p_value == 1
    assert paired_bootstrap(HYPOTHESES, lines, [REFERENCES], settings, samples=30, seed=3).p_value == 1


@pytest.mark.parametrize("settings", [BleuSettings(), ChrfSettings(), TerSettings()])
def test_a_real_difference_stays_significant(settings: MetricSettings) -> None:
    comparison = paired_bootstrap(RIGHT, WRONG, [RIGHT], settings, samples=100, seed=3)
    assert comparison.p_value == pytest.approx(1 / 101)


def test_a_resample_as_extreme_as_the_observed_difference_counts() -> None:
    differences = np.array([0.0, 4.0, -4.0, 8.0])  # distances 0, 4, 4 and 8; centered -4, 0, 0 and 4
    assert _p_value(differences, 4.0) == pytest.approx(2 / 5)
    assert _p_value(differences, -4.0) == pytest.approx(2 / 5)
    assert _p_value(differences, 4.0 + 1e-5) == pytest.approx(2 / 5), "float32 has no more digits"
    assert _p_value(differences, 4.01) == pytest.approx(1 / 5)
    assert _p_value(differences, 0.0) == pytest.approx(4 / 5)


def test_what_misleads_in_either_output_is_named() -> None:
    short = ["hi there", "so long", "well"]
    comparison = paired_bootstrap(REFERENCES, short, [REFERENCES], BleuSettings(), samples=3, seed=3)
    [caution] = comparison.cautions
    assert caution.startswith("baseline: the hypotheses hold no 3-gram")


def test_counts_must_agree() -> None:
    with pytest.raises(DataError, match="19 hypotheses, 20 lines in reference 1"):
        paired_bootstrap(RIGHT, WRONG[1:], [RIGHT], BleuSettings(), samples=10, seed=1)
