"""BLEU as a textbook gives it: of one sentence, without smoothing, long matches weighing more than short ones.

    BLEU = exp(min(0, 1 - len_label / len_pred)) * prod_{n=1..k} p_n^(1 / 2^n)

Its figures lie between 0 and 1 and are not comparable with sacreBLEU's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence


def textbook_bleu(prediction: Sequence[Hashable], label: Sequence[Hashable], max_n: int) -> float:
    """BLEU of one prediction, from 0 to 1.

    Orders longer than the prediction have no n-grams and no precision, so they are left out; the factor for
    brevity is what punishes such a prediction. An empty prediction is right only where the label is empty too.

    Args:
        prediction: Tokens that a system wrote.
        label: Tokens that are right.
        max_n: Longest n-gram counted, k in the formula.
    """
    if not prediction:
        return 0.0 if label else 1.0
    score = math.exp(min(0.0, 1 - len(label) / len(prediction)))
    for n, p_n in enumerate(precisions(prediction, label, max_n), start=1):
        score *= p_n ** (1 / 2**n)
    return score


def precisions(prediction: Sequence[Hashable], label: Sequence[Hashable], max_n: int) -> list[float]:
    """Share of the prediction's n-grams found in the label, for n from 1 to `max_n` or the prediction's length.

    An n-gram of the label is found once for each time it stands there.
    """
    result = []
    for n in range(1, min(max_n, len(prediction)) + 1):
        predicted, right = _ngrams(prediction, n), _ngrams(label, n)
        result.append((predicted & right).total() / predicted.total())
    return result


def _ngrams(tokens: Sequence[Hashable], n: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))
