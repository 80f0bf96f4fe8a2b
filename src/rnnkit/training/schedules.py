"""Learning-rate schedules as plain arithmetic on the step's number. No torch.

All of them warm up linearly from zero to the peak rate. Then

    cosine    peak * (1 + cos(pi * done)) / 2, done from 0 to 1      Loshchilov and Hutter 2017 (arXiv:1608.03983)
    linear    peak * (1 - done)                                     Mikolov et al. 2013 (word2vec.c)
    plateau   halved whenever the validation score has not improved for some validations
    constant  stays

`onecycle` has a warm-up of its own (Smith and Topin 2017, arXiv:1708.07120): up from peak / 25 on half a cosine over
the first 30%, down to nearly nothing on the other half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

ScheduleName = Literal["cosine", "linear", "plateau", "constant", "onecycle"]
SCHEDULES: tuple[ScheduleName, ...] = ("cosine", "linear", "plateau", "constant", "onecycle")
PLATEAU_FACTOR = 0.5
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4
ONE_CYCLE_RISE = 0.3


@dataclass
class Schedule:
    """The rate of each step.

    Attributes:
        name: One of `NAMES`.
        peak: Highest rate.
        warmup: Steps of linear warm-up.
        total: Steps of the whole run; `plateau` and `constant` do not look at it.
        plateau_patience: Validations without improvement before `plateau` halves.
        reductions: Halvings so far.
        waiting: Validations since the last improvement or halving.
    """

    name: ScheduleName
    peak: float
    warmup: int
    total: int
    plateau_patience: int = 2
    reductions: int = 0
    waiting: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 1."""
        if self.name == "onecycle":
            return self.peak * one_cycle_factor(step / max(1, self.total))
        if step <= self.warmup:
            return self.peak * step / self.warmup
        if self.name == "cosine":
            done = (step - self.warmup) / max(1, self.total - self.warmup)
            return self.peak * (1 + math.cos(math.pi * min(1.0, done))) / 2
        if self.name == "linear":  # done is what came before the step, so that the last one learns too
            return self.peak * max(0.0, 1 - (step - 1 - self.warmup) / max(1, self.total - self.warmup))
        return self.peak * PLATEAU_FACTOR**self.reductions

    def update(self, improved: bool) -> None:
        """Hear how a validation went."""
        self.waiting = 0 if improved else self.waiting + 1
        if self.name == "plateau" and self.waiting >= self.plateau_patience:
            self.reductions += 1
            self.waiting = 0

    def state_dict(self) -> dict[str, Any]:
        """What changes while training, as JSON."""
        return {"reductions": self.reductions, "waiting": self.waiting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state_dict` was made."""
        self.reductions, self.waiting = state["reductions"], state["waiting"]


def one_cycle_factor(done: float) -> float:
    """Share of the peak rate when this share of a cycle is over: a small one, 1 at `CYCLE_RISE`, next to nothing."""
    if done < ONE_CYCLE_RISE:
        return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * (1 - math.cos(math.pi * done / ONE_CYCLE_RISE)) / 2
    fallen = (min(1.0, done) - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)
    return ONE_CYCLE_END + (1 - ONE_CYCLE_END) * (1 + math.cos(math.pi * fallen)) / 2


MIN_EPOCHS = 3
MAX_EPOCHS = 60
EPOCHS_TIMES_SQRT_TOKENS = 9_000
"""Epochs times the square root of the target tokens: 14 passes over 420,000, 28 over 100,000, 9 over a million."""


def default_epochs(target_tokens: int) -> int:
    """Passes over a training part of this many target tokens.

    Small corpora are read more often, but not so often that all cost the same: the passes fall with the square root
    of the size.
    """
    return min(MAX_EPOCHS, max(MIN_EPOCHS, round(EPOCHS_TIMES_SQRT_TOKENS / math.sqrt(max(1, target_tokens)))))
