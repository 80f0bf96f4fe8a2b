"""Validation of a model that fills gaps, while it trains: how likely it finds the tokens of unseen lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.models.masked_lm import MaskedLM
from rnnkit.training.lm_tasks import mean_masked_nll
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import Validation


def make_validation(
    network: MaskedLM, lines: SentenceDataset, weights: Callable[[], AbstractContextManager[None]]
) -> Callable[[StopRequest], Validation | None]:
    """A function that validates the model as it is at the moment, and leaves no trace on it.

    Args:
        network: The model under training.
        lines: The validation part.
        weights: A context in which the network has the weights that are to be measured.
    """

    def validate(stop: StopRequest) -> Validation | None:
        with weights():
            nll = mean_masked_nll(network, lines, stop)
        return None if nll is None else Validation(score=-nll, facts={"loss": nll, "perplexity": math.exp(nll)})

    return validate
