"""Right-to-left models: the same network reversed, and reranking with both directions."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny_models import tokenizer, translator, vocabulary

from rnnkit.decoding.beam_search import beam_search
from rnnkit.decoding.constraints import UNCONSTRAINED, Constraints
from rnnkit.decoding.ensemble import Direction
from rnnkit.decoding.rescoring import rerank_bidirectional, score_pairs, score_targets
from rnnkit.decoding.sampling import SamplingOptions
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions, normalized_score
from rnnkit.decoding.translate import TranslationOptions, search_batches
from rnnkit.decoding.translator import TranslationEnsemble
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text import special_tokens

from .tables import PrefixStepper, random_stepper

SOURCES: tuple[list[int], ...] = ([4, 5, 6], [7, 8, 9, 10, 11, 5, 4], [12], [], [6, 6, 9, 13, 4])
ARCHS = ["lstm", "transformer", "hybrid"]


def model(seed: int, **changes: Any) -> LoadedSeq2Seq:
    table = vocabulary()
    network = translator(seed=seed, spread=1.0, **changes)
    return LoadedSeq2Seq(Path("m"), network, tokenizer("words"), table, table, ("de", "en"), {})


def searched(
    models: tuple[LoadedSeq2Seq, ...], options: TranslationOptions, per_sentence: list[Constraints] | None = None
) -> list[list[SearchHypothesis]]:
    return search_batches(TranslationEnsemble(models), SOURCES, per_sentence or [UNCONSTRAINED] * len(SOURCES), options)


@pytest.mark.parametrize(
    "options",
    [
        TranslationOptions(SearchOptions(beam=1), 1000),
        TranslationOptions(SearchOptions(beam=3, nbest=2, min_length=3, no_repeat_ngram=2), 12, keep_attention=True),
        TranslationOptions(
            SearchOptions(nbest=2), 1000, sampling=SamplingOptions(temperature=1.3), seed=5, keep_attention=True
        ),
    ],
    ids=["greedy", "beam", "sampled"],
)
@pytest.mark.parametrize("arch", ARCHS)
def test_right_to_left_output_is_reversed(arch: str, options: TranslationOptions) -> None:
    plain = searched((model(1, arch=arch),), options)
    reverse = searched((model(1, arch=arch, right_to_left=True),), options)
    lengths = set()
    for many, others in zip(plain, reverse, strict=True):
        assert [one.ids for one in many] == [one.ids[::-1] for one in others]
        assert [one.score for one in many] == [one.score for one in others]
        for one, other in zip(many, others, strict=True):
            lengths.add(len(one.ids))
            assert (one.attention is None) == (other.attention is None) == (not options.keep_attention)
            if one.attention is not None and other.attention is not None:
                assert torch.equal(one.attention[:-1], other.attention[:-1].flip(0))
                assert torch.equal(one.attention[-1], other.attention[-1]), "EOS is the last token in both orders"
    assert max(lengths) > 3


def test_constraints_hold_in_reading_order() -> None:
    per_sentence = [
        Constraints(sequences=((4, 9), (11, 5, 4))),
        UNCONSTRAINED,
        Constraints(sequences=((7, 8),)),
        UNCONSTRAINED,
        UNCONSTRAINED,
    ]
    for models in ((model(2, right_to_left=True),), (model(1), model(2, right_to_left=True))):
        for constraints, many in zip(
            per_sentence, searched(models, TranslationOptions(SearchOptions(beam=4), 1000), per_sentence), strict=True
        ):
            for phrase in constraints.sequences:
                ids = many[0].ids
                assert phrase in {ids[at : at + len(phrase)] for at in range(len(ids))}


def test_prefix_with_right_to_left_model_is_an_error() -> None:
    with pytest.raises(ValueError, match="prefix"):
        searched(
            (model(2, right_to_left=True),),
            TranslationOptions(SearchOptions(), 1000),
            [Constraints(prefix=(4,))] * len(SOURCES),
        )


@pytest.mark.parametrize("arch", ARCHS)
def test_targets_are_scored_right_to_left(arch: str) -> None:
    targets: tuple[list[int], ...] = ([5, 6, 7], [4], [], [8, 8, 9, 10, 4], [12, 4])
    reverse = score_pairs(TranslationEnsemble((model(1, arch=arch, right_to_left=True),)), SOURCES, targets)
    plain = score_pairs(TranslationEnsemble((model(1, arch=arch),)), SOURCES, [ids[::-1] for ids in targets])
    for one, other in zip(reverse, plain, strict=True):
        np.testing.assert_array_equal(one, np.append(other[-2::-1], other[-1]))


def whole_space(size: int, longest: int) -> list[tuple[int, ...]]:
    words = range(len(special_tokens.NAMES), size)
    return [ids for length in range(longest) for ids in itertools.product(words, repeat=length)]


def log_p(stepper: PrefixStepper, sentence: int, ids: tuple[int, ...]) -> float:
    ended = [*ids, special_tokens.EOS]
    return sum(stepper._log_probabilities(sentence, ids[:at])[token] for at, token in enumerate(ended))


@given(
    seed=st.integers(0, 1000),
    alpha=st.sampled_from([0.0, 0.7, 1.0]),
    weight=st.sampled_from([0.25, 0.5]),
    few=st.sampled_from([None, 0, 1]),
)
def test_reranking_uses_both_directions(seed: int, alpha: float, weight: float, few: int | None) -> None:
    """If one direction finds every output, the best are found even if the other finds only a few."""
    sentences, size, longest = 3, len(special_tokens.NAMES) + 2, 4
    space = whole_space(size, longest)
    options = SearchOptions(beam=len(space), nbest=5, alpha=alpha)
    steppers = [random_stepper(sentences, size, seed + index, source=3) for index in range(2)]
    directions = [Direction(steppers[0], weight=1 - weight), Direction(steppers[1], True, weight)]
    every = replace(options, nbest=options.beam)
    limit_B = torch.full((sentences,), longest)
    each = [
        [
            list(map(direction.reorder_hypothesis, many))
            for many in beam_search(direction.stepper, limit_B, every, keep_attention=True)
        ]
        for direction in directions
    ]
    if few is not None:
        each[few] = [many[: 7 * row] for row, many in enumerate(each[few])]
    found = rerank_bidirectional(directions, each, options, keep_attention=True)
    for sentence, many in enumerate(found):
        total = {
            ids: (1 - weight) * log_p(steppers[0], sentence, ids) + weight * log_p(steppers[1], sentence, ids[::-1])
            for ids in space
        }
        wanted = sorted((normalized_score(value, len(ids) + 1, alpha) for ids, value in total.items()), reverse=True)
        assert [one.score for one in many] == pytest.approx(wanted[:5], abs=1e-4)
        for one in many:
            assert one.log_p == pytest.approx(total[one.ids], abs=1e-4)
            looks = [steppers[0]._attention(sentence, one.ids[:at]) for at in range(len(one.ids) + 1)]  # type: ignore[misc]
            torch.testing.assert_close(one.attention, torch.tensor(looks))


@pytest.mark.parametrize("arch", ARCHS)
def test_models_have_equal_weight(arch: str) -> None:
    """Two left-to-right models and one right-to-left model weigh two thirds and one third."""
    models = (model(1, arch=arch), model(3, arch=arch, right_to_left=True), model(2, arch=arch))
    found = searched(models, TranslationOptions(SearchOptions(beam=3, nbest=3), 1000))
    assert [len(many) for many in found] == [3, 3, 3, 0, 3]
    best = [many[0] if many else SearchHypothesis((), 0.0, 0.0) for many in found]
    forward = score_pairs(TranslationEnsemble((models[0], models[2])), SOURCES, [one.ids for one in best])
    backward = score_pairs(TranslationEnsemble((models[1],)), SOURCES, [one.ids for one in best])
    for one, left, right, source in zip(best, forward, backward, SOURCES, strict=True):
        if source:
            assert one.log_p == pytest.approx((2 * left.sum() + right.sum()) / 3, abs=1e-4)
            assert one.score == pytest.approx(one.log_p / (len(one.ids) + 1), abs=1e-6)
    for many in found:
        assert [one.score for one in many] == sorted((one.score for one in many), reverse=True)
        assert len({one.ids for one in many}) == len(many)


def test_attention_comes_from_a_direction_that_has_it() -> None:
    models = (model(1, attention="none"), model(2, right_to_left=True))
    options = TranslationOptions(SearchOptions(beam=3), 1000, keep_attention=True)
    found = searched(models, options)
    again = score_attention(models[1], [many[0].ids if many else () for many in found])
    for many, wanted_TS in zip(found, again, strict=True):
        if many:
            assert many[0].attention is not None
            torch.testing.assert_close(many[0].attention, wanted_TS[: len(many[0].ids) + 1])


def score_attention(one: LoadedSeq2Seq, outputs: list[tuple[int, ...]]) -> list[torch.Tensor]:
    """Return the attention of a right-to-left model for each output alone, in reading order."""
    looks = []
    for source, ids in zip(SOURCES, outputs, strict=True):
        source_1S = torch.tensor([[*source, special_tokens.EOS]])
        with torch.inference_mode():
            (direction,) = TranslationEnsemble((one,)).start_batch(source_1S, torch.tensor([source_1S.shape[1]]))
            attention_11TS = score_targets(direction.stepper, [[ids[::-1]]])[1]
        assert attention_11TS is not None
        looks.append(torch.cat([attention_11TS[0, 0, :-1].flip(0), attention_11TS[0, 0, -1:]]))
    return looks


def test_hypotheses_of_one_direction_are_ranked() -> None:
    """The best hypothesis of the confident direction is not in the other's beam, and wins."""
    limit_B, options = torch.tensor([5]), SearchOptions(beam=2)
    unsure, sure = random_stepper(1, 9, seed=1, sharpness=0.01), random_stepper(1, 9, seed=2, sharpness=8.0)
    directions = [Direction(unsure, weight=0.5), Direction(sure, True, 0.5)]
    each = [
        [list(map(direction.reorder_hypothesis, many)) for many in beam_search(direction.stepper, limit_B, options)]
        for direction in directions
    ]
    assert each[0][0][0].ids != each[1][0][0].ids
    ((best,),) = rerank_bidirectional(directions, each, options)
    assert best.ids == each[1][0][0].ids
    assert best.attention is None
