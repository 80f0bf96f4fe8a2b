"""Ensembles and shallow fusion: exact means, sums of logarithms, and attention."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny_models import SIZE, counts, speaker

from rnnkit.decoding.beam_search import beam_search
from rnnkit.decoding.ensemble import Ensemble, ShallowFusion
from rnnkit.decoding.rescoring import score_targets
from rnnkit.decoding.stepper import SearchOptions, Stepper
from rnnkit.models.steppers import NeuralPrompts, NgramPrompts
from rnnkit.text.special_tokens import EOS

from .tables import random_stepper


@given(st.integers(0, 1000), st.integers(1, 4))
def test_ensemble_averages_probabilities(seed: int, members: int) -> None:
    steppers = [random_stepper(2, 7, seed + index, source=3) for index in range(members)]
    ensemble = Ensemble(steppers)
    tokens = torch.tensor([[2], [2]])
    log_p_BKV, state, weights_BKS = ensemble.step(tokens, ensemble.start())
    apart = [stepper.step(tokens, stepper.start()) for stepper in steppers]
    torch.testing.assert_close(log_p_BKV.exp(), torch.stack([one[0].exp() for one in apart]).mean(0))
    assert weights_BKS is not None
    torch.testing.assert_close(weights_BKS, torch.stack([one[2] for one in apart if one[2] is not None]).mean(0))
    later, _, _ = ensemble.step(
        torch.tensor([[4, 5]]), ensemble.select(state, torch.tensor([1]), torch.tensor([[0, 0]]))
    )
    assert later.shape == (1, 2, 7)


def test_confident_model_dominates_ensemble() -> None:
    unsure, sure = random_stepper(1, 9, seed=1, sharpness=0.01), random_stepper(1, 9, seed=2, sharpness=6.0)
    limit_B, options = torch.tensor([6]), SearchOptions(beam=30)
    ((alone,),) = beam_search(sure, limit_B, options)
    ((together,),) = beam_search(Ensemble([unsure, sure]), limit_B, options)
    assert together.ids == alone.ids


@pytest.mark.parametrize("kind", ["network", "counts"])
def test_shallow_fusion_adds_weighted_log_probabilities(kind: str) -> None:
    def begin() -> NeuralPrompts | NgramPrompts:
        return NeuralPrompts(speaker(), [()] * 2) if kind == "network" else NgramPrompts(counts(), [()] * 2)

    stepper = random_stepper(2, SIZE, seed=3)
    with torch.inference_mode():
        fused = ShallowFusion(stepper, [begin()], [0.3])
    limit_B, options = torch.tensor([4, 5]), SearchOptions(beam=4, nbest=2)
    found = beam_search(fused, limit_B, options)
    outputs = [[one.ids for one in many] for many in found]
    with torch.inference_mode():
        speaking: Stepper[Any] = begin()
        apart = [score_targets(stepper, outputs)[0], score_targets(speaking, outputs)[0]]
    wanted_BK = (apart[0] + 0.3 * apart[1]).sum(-1)
    for many, wanted_K in zip(found, wanted_BK.tolist(), strict=True):
        assert [one.log_p for one in many] == pytest.approx(wanted_K, abs=1e-4)
    assert math.isfinite(wanted_BK.sum())
    assert all(EOS not in one for many in outputs for one in many)
