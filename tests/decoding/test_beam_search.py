"""Beam search with every option against a plain reference, and each option against its definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.decoding.beam_search import beam_search
from rnnkit.decoding.constraints import BatchConstraints
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.errors import FormatError
from rnnkit.text.special_tokens import EOS

from .reference import reference_beam
from .tables import PrefixStepper, only, random_stepper

WORDS = (3, 5, 0)
LIMITS = (4, 6, 3)

OPTIONS = st.builds(
    SearchOptions,
    beam=st.integers(1, 5),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 1.7]),
    min_length=st.integers(0, 3),
    no_repeat_ngram=st.integers(0, 3),
    coverage=st.sampled_from([0.0, 0.2]),
    allow_unknown=st.booleans(),
    nbest=st.integers(1, 1),
)


@given(OPTIONS, st.integers(0, 10_000))
def test_beam_search_equals_reference(options: SearchOptions, seed: int) -> None:
    stepper = random_stepper(3, 8, seed, sharpness=1.5, source=5)
    found = beam_search(stepper, torch.tensor(LIMITS), options, constraints=BatchConstraints(source_lengths_B=WORDS))
    for sentence, many in enumerate(found):
        wanted = reference_beam(stepper, sentence, LIMITS[sentence], options, WORDS[sentence])
        assert [one.ids for one in many] == [ids for ids, _, _ in wanted]
        assert [one.log_p for one in many] == pytest.approx([log_p for _, log_p, _ in wanted], abs=1e-5)
        assert [one.score for one in many] == pytest.approx([reached for _, _, reached in wanted], abs=1e-5)


@given(OPTIONS, st.integers(0, 10_000))
def test_full_beam_equals_exhaustive_search(options: SearchOptions, seed: int) -> None:
    wide = SearchOptions(**{**vars(options), "beam": 6**4, "nbest": 4})
    stepper, limit_B = random_stepper(2, 6, seed, source=3), torch.tensor([4, 3])
    constraints = BatchConstraints(source_lengths_B=(3, 2))
    for many, others in zip(
        beam_search(stepper, limit_B, wide, constraints=constraints),
        exhaustive_search(stepper, limit_B, wide, constraints),
        strict=True,
    ):
        assert [one.ids for one in many] == [one.ids for one in others]
        assert [one.score for one in many] == pytest.approx([one.score for one in others], abs=1e-5)


@given(OPTIONS, st.integers(0, 10_000), st.sampled_from([(1, 0.0), (2, 0.5), (3, 2.0)]))
def test_batch_equals_single_sentences(options: SearchOptions, seed: int, groups: tuple[int, float]) -> None:
    changed = {"groups": groups[0], "diversity": groups[1], "beam": options.beam * groups[0], "nbest": options.beam}
    options = SearchOptions(**{**vars(options), **changed})
    together = beam_search(
        random_stepper(3, 8, seed, source=5),
        torch.tensor(LIMITS),
        options,
        constraints=BatchConstraints(source_lengths_B=WORDS),
    )
    for sentence in range(3):
        alone = only(random_stepper(3, 8, seed, source=5), sentence)
        constraints = BatchConstraints(source_lengths_B=WORDS[sentence : sentence + 1])
        (found,) = beam_search(alone, torch.tensor(LIMITS[sentence : sentence + 1]), options, constraints=constraints)
        assert [(one.ids, one.score) for one in found] == [(one.ids, one.score) for one in together[sentence]]


def test_coverage_penalty_prefers_full_coverage() -> None:
    likely, thorough = 4, 5

    def log_probabilities(_: int, prefix: tuple[int, ...]) -> list[float]:
        weights = {likely: 0.5, thorough: 0.4, EOS: 0.1} if not prefix else {EOS: 1.0}
        return torch.tensor([weights.get(token, 0.0) for token in range(6)]).log().tolist()

    def attention(_: int, prefix: tuple[int, ...]) -> list[float]:
        return [0.05, 0.9, 0.05] if prefix == (thorough,) else [0.9, 0.05, 0.05]

    stepper = PrefixStepper(1, log_probabilities, attention)
    chosen = []
    for beta in (0.0, 1.0):
        options = SearchOptions(beam=3, alpha=0, coverage=beta)
        ((one,),) = beam_search(
            stepper, torch.tensor([3]), options, constraints=BatchConstraints(source_lengths_B=(2,))
        )
        chosen.append(one.ids)
    assert chosen == [(likely,), (thorough,)]


@given(st.integers(0, 10_000), st.sampled_from([0.0, 1.0]))
def test_groups_without_penalty_equal_plain_beam(seed: int, alpha: float) -> None:
    limit_B = torch.tensor([5, 7])
    plain = beam_search(random_stepper(2, 9, seed), limit_B, SearchOptions(beam=2, nbest=1, alpha=alpha))
    groups = SearchOptions(beam=6, groups=3, diversity=0.0, nbest=1, alpha=alpha)
    assert [many[0].ids for many in beam_search(random_stepper(2, 9, seed), limit_B, groups)] == [
        many[0].ids for many in plain
    ]


@given(st.integers(0, 10_000))
def test_large_diversity_penalty_separates_groups(seed: int) -> None:
    options = SearchOptions(beam=4, groups=4, diversity=1e6, nbest=4)
    (found,) = beam_search(random_stepper(1, 9, seed), torch.tensor([5]), options)
    assert len({one.ids[:1] for one in found}) == 4
    for one in found:
        stepper, log_p = random_stepper(1, 9, seed), 0.0
        for index, token in enumerate((*one.ids, EOS)):
            log_p += stepper._log_probabilities(0, one.ids[:index])[token]
        assert one.log_p == pytest.approx(log_p, abs=1e-5), "the diversity penalty is not part of the log-probability"


def test_groups_larger_than_the_vocabulary() -> None:
    options = SearchOptions(beam=60, groups=3, diversity=0.5, nbest=60, alpha=0)
    (found,) = beam_search(random_stepper(1, 6, seed=1), torch.tensor([2]), options)
    assert {one.ids for one in found} == {(), (4,), (5,)}
    assert len(found) == 3


def test_nan_is_an_error() -> None:
    stepper = PrefixStepper(1, lambda _, prefix: [0.0, 0.0, 0.0, -2.0, torch.nan if prefix else -0.5, -1.0])
    for beam in (1, 3):
        with raises(FormatError, "NaN"):
            beam_search(stepper, torch.tensor([4]), SearchOptions(beam=beam))
