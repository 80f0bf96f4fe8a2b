"""Outputs truncated at a maximum length, and forbidden tokens."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.decoding.beam_search import beam_search
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.generate import ConstrainedStepper
from rnnkit.decoding.greedy import greedy_search
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

from .tables import from_table, random_stepper

A, B = 4, 5
SIZE = 6
FORBIDDEN = [PAD, UNK, BOS]
TABLE = {(): {A: 0.6, EOS: 0.4}, (A,): {A: 0.7, B: 0.2, EOS: 0.1}, (A, A): {B: 0.8, EOS: 0.2}}


@pytest.mark.parametrize(("limit", "ids", "p"), [(1, (A,), 0.6), (2, (A, A), 0.42), (3, (A, A, B), 0.42 * 0.8)])
def test_truncated_output_has_free_eos(limit: int, ids: tuple[int, ...], p: float) -> None:
    """An output that reaches the limit is truncated and does not pay for EOS."""
    stepper = ConstrainedStepper(from_table(TABLE, SIZE), limit, FORBIDDEN, SIZE)
    ((found,),) = greedy_search(stepper, torch.tensor([limit + 1]), SearchOptions(beam=1, alpha=0))
    assert found.ids == ids
    assert math.exp(found.log_p) == pytest.approx(p)


def test_shorter_output_includes_eos_probability() -> None:
    stepper = ConstrainedStepper(from_table(TABLE, SIZE), 2, FORBIDDEN, SIZE)
    (found,) = beam_search(stepper, torch.tensor([3]), SearchOptions(beam=9, nbest=9, alpha=0))
    p = {one.ids: math.exp(one.log_p) for one in found}
    assert p == pytest.approx({(A, A): 0.42, (): 0.4, (A, B): 0.12, (A,): 0.06})
    assert sum(p.values()) == pytest.approx(1), "a truncated output stands for all with this prefix"


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), limit=st.integers(1, 3), alpha=st.sampled_from([0.0, 1.0]))
def test_full_beam_equals_exhaustive_search(seed: int, limit: int, alpha: float) -> None:
    options = SearchOptions(beam=SIZE**limit, alpha=alpha, nbest=4)
    limit_B = torch.tensor([limit + 1] * 2)
    found = [
        search(ConstrainedStepper(random_stepper(2, SIZE, seed), limit, FORBIDDEN, SIZE), limit_B, options)
        for search in (beam_search, exhaustive_search)
    ]
    for one, other in zip(*found, strict=True):
        assert [each.ids for each in one] == [each.ids for each in other]
        assert [each.log_p for each in one] == pytest.approx([each.log_p for each in other], abs=1e-5)


def test_forbidden_tokens_are_not_renormalized() -> None:
    stepper = ConstrainedStepper(from_table(TABLE, SIZE), 3, [*FORBIDDEN, A], SIZE)
    log_p_11V, state, _ = stepper.step(torch.tensor([[BOS]]), stepper.start())
    assert log_p_11V.exp().squeeze().tolist() == pytest.approx([0, 0, 0, 0.4, 0, 0])
    assert state.length == 1


def test_output_ends_when_all_tokens_are_forbidden() -> None:
    stepper = ConstrainedStepper(from_table({(): {A: 1.0}, (A,): {UNK: 1.0}}, SIZE), 7, FORBIDDEN, SIZE)
    for search in (greedy_search, beam_search, exhaustive_search):
        ((found,),) = search(stepper, torch.tensor([8]), SearchOptions(beam=1, alpha=0, max_length=7))
        assert found.ids == (A,)
        assert found.log_p == pytest.approx(0)


def test_wrapped_stepper_is_unchanged() -> None:
    inner = random_stepper(1, SIZE, seed=1)
    before = inner.step(torch.tensor([[BOS]]), inner.start())[0]
    kept = before.clone()
    inner.step = lambda *_: (before, inner.start(), None)  # type: ignore[method-assign]
    ConstrainedStepper(inner, 3, FORBIDDEN, SIZE).step(
        torch.tensor([[BOS]]), ConstrainedStepper(inner, 3, FORBIDDEN, SIZE).start()
    )
    assert torch.equal(before, kept)
