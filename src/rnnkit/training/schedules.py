"""Learning-rate schedules, such as the cosine schedule, and the default length of a run. No torch.

Every schedule but `onecycle` warms up linearly from zero to the peak learning rate. Then

    cosine    peak * (1 + cos(pi * done)) / 2, done from 0 to 1      Loshchilov and Hutter 2017 (arXiv:1608.03983)
    linear    peak * (1 - done)                                     Mikolov et al. 2013 (word2vec.c)
    plateau   halved when the validation score has not improved for some validations
    constant  peak

`onecycle` (Smith and Topin 2017, arXiv:1708.07120) rises from peak / 25 along half a cosine over the first 30% of the
steps and falls to nearly zero along the other half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rnnkit.json_types import JsonMapping, JsonObject

ScheduleName = Literal["cosine", "linear", "plateau", "constant", "onecycle"]
SCHEDULES: tuple[ScheduleName, ...] = ("cosine", "linear", "plateau", "constant", "onecycle")
PLATEAU_FACTOR = 0.5
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4
ONE_CYCLE_RISE = 0.3

MIN_EPOCHS = 3
MAX_EPOCHS = 60
EPOCHS_TIMES_SQRT_TOKENS = 9_000
"""Epochs times the square root of the target tokens: 14 epochs of 420,000, 28 of 100,000, 9 of a million tokens."""


@dataclass
class Schedule:
    """Learning rate as a function of the step.

    Attributes:
        name: One of `SCHEDULES`.
        peak: Highest learning rate.
        warmup: Number of linear warm-up steps.
        total: Total number of steps; `plateau` and `constant` ignore it.
        plateau_patience: Validations without improvement before `plateau` halves the rate.
        reductions: Number of reductions so far.
        bad_validations: Validations since the last improvement or reduction.
    """

    name: ScheduleName
    peak: float
    warmup: int
    total: int
    plateau_patience: int = 2
    reductions: int = 0
    bad_validations: int = 0

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 1."""
        if self.name == "onecycle":
            return self.peak * one_cycle_factor(step / max(1, self.total))
        if step <= self.warmup:
            return self.peak * step / self.warmup
        if self.name == "cosine":
            done = (step - self.warmup) / max(1, self.total - self.warmup)
            return self.peak * (1 + math.cos(math.pi * min(1.0, done))) / 2
        if self.name == "linear":  # done counts the steps before this one, so that the last rate is not 0
            return self.peak * max(0.0, 1 - (step - 1 - self.warmup) / max(1, self.total - self.warmup))
        return self.peak * PLATEAU_FACTOR**self.reductions

    def update(self, improved: bool) -> None:
        """Update with a validation result."""
        self.bad_validations = 0 if improved else self.bad_validations + 1
        if self.name == "plateau" and self.bad_validations >= self.plateau_patience:
            self.reductions += 1
            self.bad_validations = 0

    def state_dict(self) -> JsonObject:
        """Return the state that training changes, as JSON."""
        return {"reductions": self.reductions, "waiting": self.bad_validations}

    def load_state_dict(self, state: JsonMapping) -> None:
        """Restore a state from `state_dict`."""
        self.reductions, self.bad_validations = state["reductions"], state["waiting"]


def one_cycle_factor(done: float) -> float:
    """Return the factor of the peak rate when a share `done` of the cycle is over; 1 at `ONE_CYCLE_RISE`."""
    if done < ONE_CYCLE_RISE:
        return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * (1 - math.cos(math.pi * done / ONE_CYCLE_RISE)) / 2
    fallen = (min(1.0, done) - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)
    return ONE_CYCLE_END + (1 - ONE_CYCLE_END) * (1 + math.cos(math.pi * fallen)) / 2


def default_epochs(target_tokens: int, times_sqrt_tokens: int = EPOCHS_TIMES_SQRT_TOKENS) -> int:
    """Return the default number of epochs for a training split.

    It falls with the square root of the size: small corpora get more epochs, but fewer steps than large ones.

    Args:
        target_tokens: Number of target tokens of the split.
        times_sqrt_tokens: The product of the epochs and the square root of the target tokens.
    """
    return min(MAX_EPOCHS, max(MIN_EPOCHS, round(times_sqrt_tokens / math.sqrt(max(1, target_tokens)))))
