"""Token and lexical constraints hold in every search, whatever the model prefers; truncation at a maximum length."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.decoding.beam_search import beam_search, greedy_search
from rnnkit.decoding.constraints import BatchConstraints, ConstrainedStepper, Constraints
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.sampling import SamplingOptions, random_numbers, sample
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

from .tables import PrefixStepper, from_table, only, random_stepper

Search = Callable[[PrefixStepper, torch.Tensor, SearchOptions, BatchConstraints], list[list[SearchHypothesis]]]


def beam(
    stepper: PrefixStepper, limit_B: torch.Tensor, options: SearchOptions, constraints: BatchConstraints
) -> list[list[SearchHypothesis]]:
    return beam_search(stepper, limit_B, options, constraints=constraints)


def sampled(
    stepper: PrefixStepper, limit_B: torch.Tensor, options: SearchOptions, constraints: BatchConstraints
) -> list[list[SearchHypothesis]]:
    numbers = random_numbers(1, range(len(limit_B)), 3, int(limit_B.max()))
    return sample(stepper, limit_B, options, SamplingOptions(temperature=1.5), numbers, constraints)


SEARCHES: list[Search] = [beam, greedy_search, sampled]
TOKENS = st.integers(4, 7)
PHRASES = st.lists(st.lists(TOKENS, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple)
CONSTRAINTS = st.builds(Constraints, prefix=st.lists(TOKENS, max_size=3).map(tuple), sequences=PHRASES)
RULES = st.builds(
    SearchOptions,
    beam=st.integers(1, 6),
    nbest=st.just(1),
    min_length=st.integers(0, 5),
    no_repeat_ngram=st.integers(0, 3),
    alpha=st.sampled_from([0.0, 1.0]),
)


def within(ids: tuple[int, ...], phrase: tuple[int, ...]) -> bool:
    return any(ids[at : at + len(phrase)] == phrase for at in range(len(ids) - len(phrase) + 1))


@pytest.mark.parametrize("search", SEARCHES)
@given(per_sentence=st.lists(CONSTRAINTS, min_size=3, max_size=3), options=RULES, seed=st.integers(0, 1000))
def test_constraints_hold_with_any_options(
    search: Search, per_sentence: list[Constraints], options: SearchOptions, seed: int
) -> None:
    """Outputs begin with their prefixes and contain their sequences."""
    batch_constraints = BatchConstraints(per_sentence)
    limit_B = batch_constraints.extend_limits(torch.tensor([1, 5, 9]), options)
    found = search(random_stepper(3, 8, seed, sharpness=3.0), limit_B, options, batch_constraints)
    for constraints, limit, many in zip(per_sentence, limit_B.tolist(), found, strict=True):
        assert many, "one line out for each line in"
        for one in many:
            assert one.ids[: len(constraints.prefix)] == constraints.prefix
            assert all(within(one.ids, phrase) for phrase in constraints.sequences)
            assert len(one.ids) < limit


@pytest.mark.parametrize("search", SEARCHES)
@given(least=st.integers(0, 8), order=st.integers(1, 4), seed=st.integers(0, 1000))
def test_min_length_and_ngram_blocking(search: Search, least: int, order: int, seed: int) -> None:
    options = SearchOptions(beam=3, nbest=3, min_length=least, no_repeat_ngram=order)
    limit_B = torch.tensor([9, 8])
    for many in search(random_stepper(2, 16, seed, sharpness=3.0), limit_B, options, BatchConstraints()):
        for one in many:
            assert len(one.ids) + 1 >= least
            grams = [one.ids[at : at + order] for at in range(len(one.ids) - order + 1)]
            assert len(set(grams)) == len(grams)


@pytest.mark.parametrize("search", SEARCHES)
def test_output_without_allowed_tokens_ends(search: Search) -> None:
    options = SearchOptions(beam=2, min_length=9, no_repeat_ngram=1)
    for one, *_ in search(random_stepper(2, 6, 1), torch.tensor([12, 9]), options, BatchConstraints()):
        assert set(one.ids) == {4, 5}


@pytest.mark.parametrize("search", SEARCHES)
def test_constraints_force_impossible_tokens(search: Search) -> None:
    stepper = PrefixStepper(1, lambda *_: [-torch.inf] * 3 + [-0.1, -2.0, -torch.inf])
    constraints = BatchConstraints([Constraints(prefix=(5,), sequences=((5, 5, 4),))])
    (many,) = search(stepper, torch.tensor([5]), SearchOptions(beam=2), constraints)
    assert many[0].ids[:1] == (5,)
    assert within(many[0].ids, (5, 5, 4))


@settings(max_examples=30)
@given(per_sentence=st.lists(CONSTRAINTS, min_size=2, max_size=2), options=RULES, seed=st.integers(0, 1000))
def test_full_beam_equals_exhaustive_search(per_sentence: list[Constraints], options: SearchOptions, seed: int) -> None:
    short = [
        Constraints(constraints.prefix[:2], tuple(phrase[:2] for phrase in constraints.sequences[:1]))
        for constraints in per_sentence
    ]
    constraints = BatchConstraints(short)
    limit_B = constraints.extend_limits(torch.tensor([4, 3]), options)
    wide = SearchOptions(**{**vars(options), "beam": 700, "nbest": 3})
    left = beam_search(random_stepper(2, 8, seed), limit_B, wide, constraints=constraints)
    right = exhaustive_search(random_stepper(2, 8, seed), limit_B, wide, constraints)
    for many, others in zip(left, right, strict=True):
        assert [one.ids for one in many] == [one.ids for one in others]
        assert [one.score for one in many] == pytest.approx([one.score for one in others], abs=1e-5)


@pytest.mark.parametrize("search", SEARCHES)
@settings(max_examples=40)
@given(per_sentence=st.lists(CONSTRAINTS, min_size=3, max_size=3), options=RULES, seed=st.integers(0, 1000))
def test_batch_equals_single_sentences(
    search: Search, per_sentence: list[Constraints], options: SearchOptions, seed: int
) -> None:
    batch_constraints = BatchConstraints(per_sentence)
    limit_B = batch_constraints.extend_limits(torch.tensor([7, 5, 9]), options)
    together = search(random_stepper(3, 8, seed), limit_B, options, batch_constraints)
    if search is sampled:  # random numbers depend on the line number, so only the first line can be sampled alone
        per_sentence = per_sentence[:1]
    for sentence, constraints in enumerate(per_sentence):
        alone = only(random_stepper(3, 8, seed), sentence)
        (found,) = search(alone, limit_B[sentence : sentence + 1], options, BatchConstraints([constraints]))
        assert [(one.ids, one.score) for one in found] == [(one.ids, one.score) for one in together[sentence]]


def test_beam_finds_good_positions_for_phrases() -> None:
    """The model avoids the phrase; the position where it costs least beats the last one."""
    cheap = {(6,): {7: 0.3, 5: 0.6}, (): {6: 0.6, 5: 0.35, 4: 0.05}}

    def log_probabilities(_: int, prefix: tuple[int, ...]) -> list[float]:
        table = cheap.get(prefix, {EOS: 0.6, 5: 0.3, 4: 0.09, 7: 0.009, 6: 0.001})
        return torch.tensor([table.get(token, 1e-6) for token in range(8)]).log().tolist()

    constraints, options = BatchConstraints([Constraints(sequences=((7,),))]), SearchOptions(beam=2, alpha=1.0)
    limit_B = torch.tensor([6])
    ((best,),) = beam_search(PrefixStepper(1, log_probabilities), limit_B, options, constraints=constraints)
    ((exact,),) = exhaustive_search(PrefixStepper(1, log_probabilities), limit_B, options, constraints)
    ((greedy,),) = greedy_search(PrefixStepper(1, log_probabilities), limit_B, options, constraints)
    assert best.ids == exact.ids == (6, 7)
    assert greedy.score < best.score


@pytest.mark.parametrize(
    ("changes", "max_tokens"), [({}, 1), ({"prefix": (4, 5)}, 3), ({"sequences": ((4, 5), (6,))}, 4)]
)
def test_limits_are_extended_for_constraints(changes: dict[str, Any], max_tokens: int) -> None:
    constraints = BatchConstraints([Constraints(**changes)])
    assert constraints.extend_limits(torch.tensor([1]), SearchOptions()).tolist() == [max_tokens]
    assert constraints.extend_limits(torch.tensor([9]), SearchOptions(min_length=7)).tolist() == [9]
    assert constraints.extend_limits(torch.tensor([2]), SearchOptions(min_length=7)).tolist() == [7]


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
def test_constrained_full_beam_equals_exhaustive_search(seed: int, limit: int, alpha: float) -> None:
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
