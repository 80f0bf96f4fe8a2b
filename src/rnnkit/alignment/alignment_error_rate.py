"""How far links agree with others, made by hand or by another aligner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnnkit.alignment.pharaoh import AlignmentLinks


@dataclass(frozen=True)
class AlignmentScores:
    """Links A held against sure links S and possible links P, which hold the sure ones too (Och and Ney 2003).

    Attributes:
        precision: |A and P| / |A|.
        recall: |A and S| / |S|.
        f1: Their harmonic mean.
        error_rate: Alignment error rate, 1 - (|A and S| + |A and P|) / (|A| + |S|); 1 - F1 where P is S.
    """

    precision: float
    recall: float
    f1: float
    error_rate: float


def score_links(links: AlignmentLinks, sure: AlignmentLinks, possible: AlignmentLinks | None = None) -> AlignmentScores:
    """Compare links pair by pair. Where there is nothing to be found or nothing was found, the share is 1.

    Args:
        links: What was found.
        sure: What is to be found.
        possible: What may be found, the sure links too; None: the sure ones alone.
    """
    found, wanted = np.unique(links.keys()), np.unique(sure.keys())
    allowed = wanted if possible is None else np.union1d(wanted, possible.keys())
    in_wanted = len(np.intersect1d(found, wanted, assume_unique=True))
    in_allowed = len(np.intersect1d(found, allowed, assume_unique=True))
    precision = in_allowed / len(found) if len(found) else 1.0
    recall = in_wanted / len(wanted) if len(wanted) else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    both = len(found) + len(wanted)
    return AlignmentScores(precision, recall, f1, 1 - (in_wanted + in_allowed) / both if both else 0.0)
