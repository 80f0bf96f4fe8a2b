"""Resamples of counts equal resamples of lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.evaluation import label_bootstrap
from rnnkit.evaluation.label_bootstrap import (
    LABEL_BLOCK,
    Occurrences,
    UnitCounts,
    bootstrap,
    distinct_units,
    resample,
)
from rnnkit.evaluation.label_metrics import accuracy, count_labels, macro_f1

LABELS = 2 * LABEL_BLOCK + 3


def unit_counts(units_N: np.ndarray, reference_N: np.ndarray, hypothesis_N: np.ndarray) -> UnitCounts:
    right = reference_N == hypothesis_N
    return UnitCounts.count(
        Occurrences(units_N[right], reference_N[right]),
        Occurrences(units_N, hypothesis_N),
        Occurrences(units_N, reference_N),
        LABELS,
    )


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_weights_repeat_units(seed: int, units: int) -> None:
    generator = np.random.default_rng(seed)
    units_N = np.sort(generator.integers(units, size=25))
    reference_N, hypothesis_N = generator.integers(LABELS, size=(2, 25))
    counts = unit_counts(units_N, reference_N, hypothesis_N)
    weights_RU = generator.integers(4, size=(3, units))
    weighted = counts.weighted(weights_RU.astype(np.float32))
    for row, weights_U in enumerate(weights_RU):
        drawn = np.repeat(np.arange(25), weights_U[units_N])
        expected = count_labels(reference_N[drawn], hypothesis_N[drawn], LABELS)
        for name, values in vars(expected).items():
            assert getattr(weighted, name)[row].tolist() == values.tolist()
    whole = count_labels(reference_N, hypothesis_N, LABELS)
    assert counts.totals.correct.tolist() == whole.correct.tolist()


def test_distinct_units() -> None:
    first, multiplicity = distinct_units(np.array([5, 1, 5, 5]), np.array([0, 0, 0, 2]))
    assert sorted(zip(first.tolist(), multiplicity.tolist(), strict=True)) == [(0, 2), (1, 1), (3, 1)]


@pytest.mark.parametrize("multiplicity", [[1, 1, 1, 1, 1], [3, 1, 0, 2, 4]])
def test_a_resample_has_as_many_units_as_the_data(multiplicity: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_bootstrap, "MAX_CELLS", 4 * LABELS * label_bootstrap.KINDS)
    ids_N = np.arange(5)
    counts = unit_counts(ids_N, ids_N, ids_N)
    blocks = [block[0].support for block in resample([counts], np.array(multiplicity), 10, seed=1)]
    assert [len(block) for block in blocks] == [4, 4, 2]
    drawn = np.concatenate(blocks)
    assert set(drawn.sum(axis=1)) == {sum(multiplicity)}
    assert (drawn[:, np.array([*multiplicity, *[0] * (LABELS - 5)]) == 0] == 0).all()
    assert len({tuple(row) for row in drawn.tolist()}) > 1


def test_grouped_lines_have_the_same_distribution() -> None:
    """Lines of one label, drawn one by one and as combinations with a multiplicity."""
    generator = np.random.default_rng(0)
    reference_N = generator.integers(3, size=400)
    hypothesis_N = np.where(generator.random(400) < 0.7, reference_N, 0)
    single = unit_counts(np.arange(400), reference_N, hypothesis_N)
    lines, multiplicity = distinct_units(reference_N, hypothesis_N)
    grouped = unit_counts(np.arange(len(lines)), reference_N[lines], hypothesis_N[lines])
    metrics = {"accuracy": accuracy, "F1": macro_f1}
    [one] = bootstrap([(single, metrics)], np.ones(400, dtype=np.int64), 2000, seed=1)
    [other] = bootstrap([(grouped, metrics)], multiplicity, 2000, seed=1)
    for name in metrics:
        assert one[name].mean() == pytest.approx(other[name].mean(), abs=0.003)
        assert one[name].std() == pytest.approx(other[name].std(), rel=0.1)
    assert one["accuracy"].std() == pytest.approx((0.78 * 0.22 / 400) ** 0.5, rel=0.15)


def test_the_seed_decides() -> None:
    counts = unit_counts(np.arange(9), np.arange(9) % 2, np.arange(9) % 3)
    first, same, other = (
        bootstrap([(counts, {"accuracy": accuracy})], np.ones(9, dtype=np.int64), 20, seed)[0]["accuracy"].tolist()
        for seed in (1, 1, 2)
    )
    assert first == same != other
