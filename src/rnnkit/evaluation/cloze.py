"""Validation of a model that fills gaps, while it trains: how likely it finds the tokens of unseen lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.models.cloze import Cloze
from rnnkit.training.cloze import mean_nll
from rnnkit.training.signals import Stop
from rnnkit.training.task import Validation


def make_validation(
    network: Cloze, lines: SentenceDataset, weights: Callable[[], AbstractContextManager[None]]
) -> Callable[[Stop], Validation | None]:
    """A function that validates the model as it is at the moment, and leaves no trace on it.

    Args:
        network: The model under training.
        lines: The validation part.
        weights: A context in which the network has the weights that are to be measured.
    """

    def validate(stop: Stop) -> Validation | None:
        with weights():
            nll = mean_nll(network, lines, stop)
        return None if nll is None else Validation(score=-nll, facts={"loss": nll, "perplexity": math.exp(nll)})

    return validate
