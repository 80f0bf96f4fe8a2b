"""Precision, recall, F1 and the alignment error rate (AER) of word alignment links (Och and Ney 2003)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnnkit.alignment.pharaoh import WordAlignments


@dataclass(frozen=True)
class AlignmentScores:
    """Scores of links A against sure links S and possible links P, of which S is a subset.

    Attributes:
        precision: |A ∩ P| / |A|.
        recall: |A ∩ S| / |S|.
        f1: Harmonic mean of precision and recall.
        error_rate: AER, 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|); equal to 1 - F1 if P = S.
    """

    precision: float
    recall: float
    f1: float
    error_rate: float


def score_links(links: WordAlignments, sure: WordAlignments, possible: WordAlignments | None = None) -> AlignmentScores:
    """Score links against a gold standard. Precision without links and recall without sure links are 1.

    Args:
        links: The links to score.
        sure: Sure links of the gold standard.
        possible: Possible links of the gold standard, with or without the sure ones; None if there are no others.
    """
    found, expected = np.unique(links.keys()), np.unique(sure.keys())
    allowed = expected if possible is None else np.union1d(expected, possible.keys())
    num_sure = len(np.intersect1d(found, expected, assume_unique=True))
    num_allowed = len(np.intersect1d(found, allowed, assume_unique=True))
    precision = num_allowed / len(found) if len(found) else 1.0
    recall = num_sure / len(expected) if len(expected) else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    total = len(found) + len(expected)
    return AlignmentScores(precision, recall, f1, 1 - (num_sure + num_allowed) / total if total else 0.0)
