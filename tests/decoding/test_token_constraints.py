"""Rules and phrases in every search: what they promise holds, whatever the model would rather say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.decoding.beam_search import beam_search
from rnnkit.decoding.constraints.token_constraints import BatchConstraints, Constraints
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.greedy import greedy_search
from rnnkit.decoding.sampling import SamplingOptions, random_numbers, sample
from rnnkit.decoding.stepper import Hypothesis, SearchOptions
from rnnkit.text.special_tokens import EOS

from .tables import PrefixStepper, only, random_stepper

Search = Callable[[PrefixStepper, torch.Tensor, SearchOptions, BatchConstraints], list[list[Hypothesis]]]


def beam(
    stepper: PrefixStepper, limit_B: torch.Tensor, options: SearchOptions, terms: BatchConstraints
) -> list[list[Hypothesis]]:
    return beam_search(stepper, limit_B, options, terms=terms)


def drawn(
    stepper: PrefixStepper, limit_B: torch.Tensor, options: SearchOptions, terms: BatchConstraints
) -> list[list[Hypothesis]]:
    numbers = random_numbers(1, range(len(limit_B)), 3, int(limit_B.max()))
    return sample(stepper, limit_B, options, SamplingOptions(temperature=1.5), numbers, terms)


SEARCHES: list[Search] = [beam, greedy_search, drawn]
TOKENS = st.integers(4, 7)
PHRASES = st.lists(st.lists(TOKENS, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple)
WISHES = st.builds(Constraints, prefix=st.lists(TOKENS, max_size=3).map(tuple), phrases=PHRASES)
RULES = st.builds(
    SearchOptions,
    beam=st.integers(1, 6),
    nbest=st.just(1),
    min_length=st.integers(0, 5),
    no_repeat=st.integers(0, 3),
    alpha=st.sampled_from([0.0, 1.0]),
)


def within(ids: tuple[int, ...], phrase: tuple[int, ...]) -> bool:
    return any(ids[at : at + len(phrase)] == phrase for at in range(len(ids) - len(phrase) + 1))


@pytest.mark.parametrize("search", SEARCHES)
@given(wishes=st.lists(WISHES, min_size=3, max_size=3), options=RULES, seed=st.integers(0, 1000))
def test_prefixes_are_kept_and_constraints_met_whatever_else_is_asked_for(
    search: Search, wishes: list[Constraints], options: SearchOptions, seed: int
) -> None:
    terms = BatchConstraints(wishes)
    limit_B = terms.widen(torch.tensor([1, 5, 9]), options)
    found = search(random_stepper(3, 8, seed, sharpness=3.0), limit_B, options, terms)
    for wish, limit, many in zip(wishes, limit_B.tolist(), found, strict=True):
        assert many, "one line out for each line in"
        for one in many:
            assert one.ids[: len(wish.prefix)] == wish.prefix
            assert all(within(one.ids, phrase) for phrase in wish.phrases)
            assert len(one.ids) < limit


@pytest.mark.parametrize("search", SEARCHES)
@given(least=st.integers(0, 8), order=st.integers(1, 4), seed=st.integers(0, 1000))
def test_outputs_are_long_enough_and_repeat_nothing(search: Search, least: int, order: int, seed: int) -> None:
    options = SearchOptions(beam=3, nbest=3, min_length=least, no_repeat=order)
    limit_B = torch.tensor([9, 8])
    for many in search(random_stepper(2, 16, seed, sharpness=3.0), limit_B, options, BatchConstraints()):
        for one in many:
            assert len(one.ids) + 1 >= least
            grams = [one.ids[at : at + order] for at in range(len(one.ids) - order + 1)]
            assert len(set(grams)) == len(grams)


@pytest.mark.parametrize("search", SEARCHES)
def test_an_output_that_can_say_nothing_more_ends(search: Search) -> None:
    options = SearchOptions(beam=2, min_length=9, no_repeat=1)
    for one, *_ in search(random_stepper(2, 6, 1), torch.tensor([12, 9]), options, BatchConstraints()):
        assert set(one.ids) == {4, 5}


@pytest.mark.parametrize("search", SEARCHES)
def test_what_the_model_holds_impossible_is_said_where_it_must_be(search: Search) -> None:
    stepper = PrefixStepper(1, lambda *_: [-torch.inf] * 3 + [-0.1, -2.0, -torch.inf])
    terms = BatchConstraints([Constraints(prefix=(5,), phrases=((5, 5, 4),))])
    (many,) = search(stepper, torch.tensor([5]), SearchOptions(beam=2), terms)
    assert many[0].ids[:1] == (5,)
    assert within(many[0].ids, (5, 5, 4))


@settings(max_examples=30)
@given(wishes=st.lists(WISHES, min_size=2, max_size=2), options=RULES, seed=st.integers(0, 1000))
def test_a_beam_that_holds_the_whole_space_is_exhaustive_search(
    wishes: list[Constraints], options: SearchOptions, seed: int
) -> None:
    short = [Constraints(wish.prefix[:2], tuple(phrase[:2] for phrase in wish.phrases[:1])) for wish in wishes]
    terms = BatchConstraints(short)
    limit_B = terms.widen(torch.tensor([4, 3]), options)
    wide = SearchOptions(**{**vars(options), "beam": 700, "nbest": 3})
    left = beam_search(random_stepper(2, 8, seed), limit_B, wide, terms=terms)
    right = exhaustive_search(random_stepper(2, 8, seed), limit_B, wide, terms)
    for many, others in zip(left, right, strict=True):
        assert [one.ids for one in many] == [one.ids for one in others]
        assert [one.score for one in many] == pytest.approx([one.score for one in others], abs=1e-5)


@pytest.mark.parametrize("search", SEARCHES)
@settings(max_examples=40)
@given(wishes=st.lists(WISHES, min_size=3, max_size=3), options=RULES, seed=st.integers(0, 1000))
def test_a_batch_decodes_each_sentence_as_if_alone(
    search: Search, wishes: list[Constraints], options: SearchOptions, seed: int
) -> None:
    terms = BatchConstraints(wishes)
    limit_B = terms.widen(torch.tensor([7, 5, 9]), options)
    together = search(random_stepper(3, 8, seed), limit_B, options, terms)
    if search is drawn:  # a line's numbers are its own: of the first alone they are the same
        wishes = wishes[:1]
    for sentence, wish in enumerate(wishes):
        alone = only(random_stepper(3, 8, seed), sentence)
        (found,) = search(alone, limit_B[sentence : sentence + 1], options, BatchConstraints([wish]))
        assert [(one.ids, one.score) for one in found] == [(one.ids, one.score) for one in together[sentence]]


def test_a_beam_finds_good_places_for_phrases() -> None:
    """The model would rather say anything else; a phrase said where it costs least is cheaper than one said last."""
    cheap = {(6,): {7: 0.3, 5: 0.6}, (): {6: 0.6, 5: 0.35, 4: 0.05}}

    def log_probabilities(_: int, prefix: tuple[int, ...]) -> list[float]:
        table = cheap.get(prefix, {EOS: 0.6, 5: 0.3, 4: 0.09, 7: 0.009, 6: 0.001})
        return torch.tensor([table.get(token, 1e-6) for token in range(8)]).log().tolist()

    terms, options = BatchConstraints([Constraints(phrases=((7,),))]), SearchOptions(beam=2, alpha=1.0)
    limit_B = torch.tensor([6])
    ((best,),) = beam_search(PrefixStepper(1, log_probabilities), limit_B, options, terms=terms)
    ((exact,),) = exhaustive_search(PrefixStepper(1, log_probabilities), limit_B, options, terms)
    ((greedy,),) = greedy_search(PrefixStepper(1, log_probabilities), limit_B, options, terms)
    assert best.ids == exact.ids == (6, 7)
    assert greedy.score < best.score


@pytest.mark.parametrize(("changes", "room"), [({}, 1), ({"prefix": (4, 5)}, 3), ({"phrases": ((4, 5), (6,))}, 4)])
def test_limits_leave_room_for_what_is_asked_for(changes: dict[str, Any], room: int) -> None:
    terms = BatchConstraints([Constraints(**changes)])
    assert terms.widen(torch.tensor([1]), SearchOptions()).tolist() == [room]
    assert terms.widen(torch.tensor([9]), SearchOptions(min_length=7)).tolist() == [9]
    assert terms.widen(torch.tensor([2]), SearchOptions(min_length=7)).tolist() == [7]
