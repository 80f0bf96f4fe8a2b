"""Whether one system is really better than another: paired bootstrap resampling (Koehn 2004, W04-3250).

Both systems are scored on the same lines drawn with replacement, many times over. The figures are those of
`sacrebleu --paired-bs` with the same seed. Its `PairedTest` is not called, because it copies every statistic once
a resample (4 GB for 100,000 lines), takes the seed from an environment variable, and takes seed 0 for no seed; the
arithmetic follows it, down to the 32-bit sums and means, and its metrics make the
scores.

One thing differs. A p-value is the probability of a difference at least as large as the observed one, so resamples that
equal it count. sacreBLEU 2.6 counts only larger ones: between a system and itself no resample is larger, and it reports
p = 1 / (samples + 1), a significant difference. Where no resample ties with the observed difference, which is the usual
case, the two p-values are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnkit.evaluation.translation_metrics import MetricScore, MetricSettings, check_same_length, make_metric, to_score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


TIE_TOLERANCE = 1e-4
"""Points of a score within which two differences are equal: scores of resamples, of up to 100 points, are computed with
the 24 significant bits of float32."""


@dataclass(frozen=True)
class ResampledScore:
    """A system's score and how it varies with the choice of lines.

    Attributes:
        value: Score on all lines.
        mean: Mean over the resamples.
        interval: Half the width of the 95 % confidence interval.
    """

    value: float
    mean: float
    interval: float

    def text(self, width: int) -> str:
        """The three figures as the `sacrebleu` command writes them."""
        return f"{self.value:.{width}f} ({self.mean:.{width}f} ± {self.interval:.{width}f})"

    def as_dict(self, width: int) -> dict[str, float]:
        """The three figures for JSON, rounded as they are printed."""
        figures = {"score": self.value, "mean": self.mean, "ci": self.interval}
        return {name: float(f"{figure:.{width}f}") for name, figure in figures.items()}


@dataclass(frozen=True)
class PairedComparison:
    """A system against a baseline, by one metric.

    Attributes:
        name: The metric's name.
        signature: Everything that changes the figures, number of resamples and seed included.
        baseline: The baseline's scores.
        system: The system's scores.
        p_value: How probable a difference at least as large as this one is where the two are equally good.
        cautions: Why a figure may mislead, the baseline's first.
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
    """Compare two systems' output for the same references.

    Args:
        hypotheses: The system's lines.
        baseline: The other system's lines.
        references: One or more sets of references.
        settings: Which metric, and how.
        samples: Number of resamples.
        seed: Seed of the draws.

    Raises:
        DataError: The counts differ.
        ConfigError: The tokenizer needs what is not installed.
    """
    import numpy as np

    check_same_length(hypotheses, references)
    check_same_length(baseline, references)
    metric = make_metric(settings, references)
    ours, theirs = _collect_statistics(metric, hypotheses), _collect_statistics(metric, baseline)
    our_scores, their_scores = [], []
    generator = np.random.default_rng(seed)
    for _ in range(samples):
        drawn = generator.choice(len(hypotheses), size=len(hypotheses), replace=True)
        our_scores.append(metric._compute_score_from_stats(ours.statistics[drawn].sum(0)).score)
        their_scores.append(metric._compute_score_from_stats(theirs.statistics[drawn].sum(0)).score)
    our_values, their_values = np.array(our_scores), np.array(their_scores)
    signature = metric.get_signature()
    signature.update("seed", seed)
    signature.update("bs", samples)
    both = {"baseline": theirs, "system": ours}
    return PairedComparison(
        ours.score.name,
        signature.format(),
        _summarize_resamples(theirs.score.value, their_values),
        _summarize_resamples(ours.score.value, our_values),
        _p_value(our_values - their_values, ours.score.value - theirs.score.value),
        tuple(f"{which}: {text}" for which, one in both.items() for text in one.score.cautions),
    )


@dataclass(frozen=True)
class _SystemStatistics:
    """A system's score, and what the metric counts in each line, which is all that a resample needs."""

    score: MetricScore
    statistics: NDArray[np.float32]


def _collect_statistics(metric: Any, lines: Sequence[str]) -> _SystemStatistics:
    import numpy as np

    statistics = metric._extract_corpus_statistics(lines, None)
    score = to_score(metric._aggregate_and_compute(statistics), metric)
    return _SystemStatistics(score, np.array(statistics, dtype=np.float32))


def _summarize_resamples(value: float, values: NDArray[Any]) -> ResampledScore:
    """The interval leaves out one fortieth of the resamples at either end."""
    import numpy as np

    ordered = np.sort(values)
    left_out = len(ordered) // 40
    width = ordered[len(ordered) - left_out - 1] - ordered[left_out]
    return ResampledScore(value, float(ordered.mean()), float(0.5 * width))


def _p_value(differences: NDArray[Any], observed: float) -> float:
    """Share of resamples whose difference, centered on its mean, is at least the observed one; never zero."""
    import numpy as np

    distances = np.abs(differences)
    extreme = int(np.sum(distances - distances.mean() >= abs(observed) - TIE_TOLERANCE))
    return (extreme + 1) / (len(distances) + 1)
