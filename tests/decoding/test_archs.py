"""Every search on random small models of every architecture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.covering import parametrize

from rnnkit.decoding.beam_search import beam_search, greedy_search
from rnnkit.decoding.constraints import BatchConstraints, Constraints
from rnnkit.decoding.ensemble import Ensemble
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.rescoring import score_targets
from rnnkit.decoding.sampling import SamplingOptions, random_numbers, sample
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions
from rnnkit.text.special_tokens import EOS

from .archs import ARCHS, SOURCES, batch, network

WORDS = tuple(map(len, SOURCES))
LIMITS = torch.tensor([6, 3, 5, 4])
CONSTRAINTS = (
    Constraints(prefix=(5, 4)),
    Constraints(sequences=((6, 4), (5,))),
    Constraints(prefix=(6,), sequences=((4, 4),)),
    Constraints(),
)

CHANGES: dict[str, dict[str, Any]] = {
    "greedy": {"beam": 1},
    "beam": {"beam": 4, "nbest": 4},
    "length": {"beam": 3, "alpha": 0.4, "min_length": 3},
    "unknown": {"beam": 3, "allow_unknown": True},
    "repeats": {"beam": 3, "no_repeat_ngram": 2},
    "groups": {"beam": 6, "groups": 3, "diversity": 0.7, "nbest": 6},
    "coverage": {"beam": 4, "coverage": 0.3, "nbest": 2},
    "exhaustive": {"exhaustive": True, "nbest": 5},
    "sampling": {"nbest": 3},
}


def found(
    stepper: Any, changes: dict[str, Any], constraints: BatchConstraints, lines: list[int]
) -> list[list[SearchHypothesis]]:
    """Decode with one of the searches of `CHANGES`."""
    options = SearchOptions(**changes)
    limit_B = constraints.extend_limits(LIMITS[[line - 1 for line in lines]], options)
    if options.exhaustive:
        return exhaustive_search(stepper, limit_B.clamp_max(4), options)
    if changes == CHANGES["sampling"]:
        numbers = random_numbers(3, lines, options.nbest, int(limit_B.max()))
        return sample(stepper, limit_B, options, SamplingOptions(top_k=4, temperature=1.2), numbers, constraints)
    if options.beam == 1:
        return greedy_search(stepper, limit_B, options, constraints)
    return beam_search(stepper, limit_B, options, constraints=constraints)


def assert_same(left: list[list[SearchHypothesis]], right: list[list[SearchHypothesis]]) -> None:
    assert [[one.ids for one in many] for many in left] == [[one.ids for one in many] for many in right]
    for many, others in zip(left, right, strict=True):
        assert [one.log_p for one in many] == pytest.approx([one.log_p for one in others], abs=1e-4)
        assert [one.score for one in many] == pytest.approx([one.score for one in others], abs=1e-4)


@pytest.mark.parametrize("arch", ARCHS)
@settings(max_examples=8)
@given(seed=st.integers(0, 1000), alpha=st.sampled_from([0.0, 0.8, 1.5]), coverage=st.sampled_from([0.0, 0.3]))
def test_full_beam_equals_exhaustive_search(arch: str, seed: int, alpha: float, coverage: float) -> None:
    coverage = coverage if ARCHS[arch].get("attention") != "none" else 0.0
    options = SearchOptions(beam=90, alpha=alpha, coverage=coverage, nbest=5)
    model, limit_B, constraints = (
        network(arch, seed),
        torch.tensor([4, 3, 4, 1]),
        BatchConstraints(source_lengths_B=WORDS),
    )
    found = beam_search(batch(model), limit_B, options, constraints=constraints)
    every = exhaustive_search(batch(model), limit_B, replace(options, nbest=90), constraints)
    for many, others in zip(found, every, strict=True):
        exact = {one.ids: one for one in others}
        assert len({one.ids for one in many}) == len(many) == min(options.nbest, len(others))
        # By output, too: outputs whose scores differ by less than a rounding error may swap their ranks.
        assert [one.score for one in many] == pytest.approx([one.score for one in others[: len(many)]], abs=1e-4)
        assert [one.score for one in many] == pytest.approx([exact[one.ids].score for one in many], abs=1e-4)
        assert [one.log_p for one in many] == pytest.approx([exact[one.ids].log_p for one in many], abs=1e-4)


@parametrize(1, arch=list(ARCHS), name=list(CHANGES))
@settings(max_examples=4)
@given(seed=st.integers(0, 1000), constrained=st.booleans())
def test_batch_equals_single_sentences(arch: str, name: str, seed: int, constrained: bool) -> None:
    changes, model = dict(CHANGES[name]), network(arch, seed)
    if ARCHS[arch].get("attention") == "none":
        changes.pop("coverage", None)
    constrained = constrained and "groups" not in changes and "exhaustive" not in changes
    together = found(batch(model), changes, BatchConstraints(CONSTRAINTS if constrained else (), WORDS), [1, 2, 3, 4])
    for index, source in enumerate(SOURCES):
        constraints = BatchConstraints(CONSTRAINTS[index : index + 1] if constrained else (), WORDS[index : index + 1])
        assert_same([together[index]], found(batch(model, [source]), changes, constraints, [index + 1]))


@parametrize(1, arch=list(ARCHS), name=list(reversed(CHANGES)))  # other pairs than those of the test above
def test_ensemble_of_one_equals_the_model(arch: str, name: str) -> None:
    changes, model = dict(CHANGES[name]), network(arch, seed=5)
    if ARCHS[arch].get("attention") == "none":
        changes.pop("coverage", None)
    constraints, lines = BatchConstraints(source_lengths_B=WORDS), [1, 2, 3, 4]
    alone = found(batch(model), changes, constraints, lines)
    assert_same(alone, found(Ensemble([batch(model)]), changes, constraints, lines))
    assert_same(alone, found(Ensemble([batch(model), batch(model)]), changes, constraints, lines))


@pytest.mark.parametrize("arch", ARCHS)
@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_forced_scores_equal_search_and_training_loss(arch: str, seed: int) -> None:
    model = network(arch, seed)
    many = beam_search(batch(model), LIMITS, SearchOptions(beam=3, nbest=1), keep_attention=True)
    outputs = [[one.ids for one in hypotheses] for hypotheses in many]
    log_p_BKT, attention_BKTS = score_targets(batch(model), outputs)
    for index, (one,) in enumerate(many):
        assert log_p_BKT[index, 0].sum().item() == pytest.approx(one.log_p, abs=1e-4)
        assert (log_p_BKT[index, 0, len(one.ids) + 1 :] == 0).all()
        if one.attention is None:
            assert attention_BKTS is None
        else:
            assert attention_BKTS is not None
            torch.testing.assert_close(attention_BKTS[index, 0, : len(one.ids) + 1], one.attention)
        source_BS = torch.tensor([[*SOURCES[index], EOS]])
        target_BT = torch.tensor([[*one.ids, EOS]])
        read_BT = torch.tensor([[2, *one.ids]])
        _, nll = model.loss(source_BS, torch.tensor([source_BS.shape[1]]), read_BT, target_BT, 0.0)
        assert -nll.item() == pytest.approx(one.log_p, abs=1e-3)
