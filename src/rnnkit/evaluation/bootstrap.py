"""Significance of a difference between two systems by paired bootstrap resampling (Koehn 2004, W04-3250).

Each resample draws lines with replacement and scores both systems on them. The results equal `sacrebleu --paired-bs`
with the same seed. sacreBLEU's `PairedTest` is not used because it copies all statistics in each resample (4 GB for
100,000 lines), reads the seed from an environment variable, and treats seed 0 as no seed. The arithmetic follows it
down to the float32 sums and means, and sacreBLEU's metrics compute the scores.

One difference is intended. A p-value is the probability of a difference at least as large as the observed one, so
resamples that equal it count. sacreBLEU 2.6 counts only larger ones: comparing a system with itself, no resample is
larger, and it reports p = 1 / (samples + 1), a significant difference. The two p-values agree unless a resample ties
with the observed difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkit.evaluation.translation_metrics import MetricScore, MetricSettings, check_same_length, make_metric, to_score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sacrebleu.metrics.base import Metric


TIE_TOLERANCE = 1e-4
"""Score differences closer than this are equal: scores of up to 100 points are computed in float32 (24 bits)."""


@dataclass(frozen=True)
class ResampledScore:
    """A system's score with its bootstrap confidence interval.

    Attributes:
        value: Score on all lines.
        mean: Mean over the resamples.
        interval: Half the width of the 95 % confidence interval.
    """

    value: float
    mean: float
    interval: float

    def text(self, width: int) -> str:
        """Format the score as the `sacrebleu` command does.

        Args:
            width: Decimal places.
        """
        return f"{self.value:.{width}f} ({self.mean:.{width}f} ± {self.interval:.{width}f})"

    def as_dict(self, width: int) -> dict[str, float]:
        """JSON form, rounded to `width` decimal places."""
        figures = {"score": self.value, "mean": self.mean, "ci": self.interval}
        return {name: float(f"{figure:.{width}f}") for name, figure in figures.items()}


@dataclass(frozen=True)
class PairedComparison:
    """Comparison of a system with a baseline under one metric.

    Attributes:
        name: Name of the metric.
        signature: sacreBLEU signature, including the number of resamples and the seed.
        baseline: Score of the baseline.
        system: Score of the system.
        p_value: Probability of a difference at least this large under the null hypothesis of equal quality.
        cautions: Reasons why a score may mislead, the baseline's first.
    """

    name: str
    signature: str
    baseline: ResampledScore
    system: ResampledScore
    p_value: float
    cautions: tuple[str, ...] = ()


def paired_bootstrap(
    hypotheses: Sequence[str],
    baseline: Sequence[str],
    references: Sequence[Sequence[str]],
    settings: MetricSettings,
    samples: int,
    seed: int,
) -> PairedComparison:
    """Compare a system with a baseline on the same references.

    Args:
        hypotheses: Output of the system.
        baseline: Output of the baseline.
        references: One or more sets of references.
        settings: The metric and its parameters.
        samples: Number of resamples.
        seed: Random seed of the resamples.

    Raises:
        DataError: The numbers of lines differ.
        ConfigError: The tokenizer needs a package that is not installed.
    """
    import numpy as np

    check_same_length(hypotheses, references)
    check_same_length(baseline, references)
    metric = make_metric(settings, references)
    system_statistics, baseline_statistics = (
        _collect_statistics(metric, hypotheses),
        _collect_statistics(metric, baseline),
    )
    system_scores, baseline_scores = [], []
    generator = np.random.default_rng(seed)
    for _ in range(samples):
        drawn = generator.choice(len(hypotheses), size=len(hypotheses), replace=True)
        system_scores.append(metric._compute_score_from_stats(system_statistics.per_line[drawn].sum(0)).score)
        baseline_scores.append(metric._compute_score_from_stats(baseline_statistics.per_line[drawn].sum(0)).score)
    system_values, baseline_values = np.array(system_scores), np.array(baseline_scores)
    signature = metric.get_signature()
    signature.update("seed", seed)
    signature.update("bs", samples)
    both = {"baseline": baseline_statistics, "system": system_statistics}
    observed = system_statistics.score.value - baseline_statistics.score.value
    return PairedComparison(
        system_statistics.score.name,
        signature.format(),
        _summarize_resamples(baseline_statistics.score.value, baseline_values),
        _summarize_resamples(system_statistics.score.value, system_values),
        _p_value(system_values - baseline_values, observed),
        tuple(f"{name}: {text}" for name, each in both.items() for text in each.score.cautions),
    )


@dataclass(frozen=True)
class _SystemStatistics:
    """A system's corpus score, and the sufficient statistics of each line, from which resamples are scored."""

    score: MetricScore
    per_line: NDArray[np.float32]


def _collect_statistics(metric: Metric, lines: Sequence[str]) -> _SystemStatistics:
    import numpy as np

    statistics = metric._extract_corpus_statistics(lines, None)
    score = to_score(metric._aggregate_and_compute(statistics), metric)
    return _SystemStatistics(score, np.array(statistics, dtype=np.float32))


def _summarize_resamples(value: float, values: NDArray[np.float64]) -> ResampledScore:
    """Compute the mean and the 95 % interval, which excludes one fortieth of the resamples at either end."""
    import numpy as np

    ordered = np.sort(values)
    tail = len(ordered) // 40
    width = ordered[len(ordered) - tail - 1] - ordered[tail]
    return ResampledScore(value, float(ordered.mean()), float(0.5 * width))


def _p_value(differences: NDArray[np.float64], observed: float) -> float:
    """Compute the share of resamples whose mean-centered difference is at least the observed one; never zero."""
    import numpy as np

    distances = np.abs(differences)
    extreme = int(np.sum(distances - distances.mean() >= abs(observed) - TIE_TOLERANCE))
    return (extreme + 1) / (len(distances) + 1)
