"""Searches over real networks of every architecture have the properties that they have over tables."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tiny_models import translator

from rnnkit.data.batch_sampler import pad_sequences
from rnnkit.decoding.beam_search import beam_search, greedy_search
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions
from rnnkit.models.steppers import TranslationStepper
from rnnkit.nn import kinds
from rnnkit.text.special_tokens import EOS

SIZE = 7
VARIANTS: list[dict[str, Any]] = [
    *({"arch": arch} for arch in kinds.TRANSLATION_ARCHS),
    {"arch": "gru", "input_feeding": True, "layers": 3, "layer_norm": True},
    {"arch": "transformer", "positions": "sinusoidal", "norm": "post", "decoder_layers": 2},
    {"arch": "hybrid", "cell": "mingru", "layers": 2},
    {"arch": "lstm", "copy": True, "joint": True},
]


def stepper(changes: dict[str, Any], seed: int) -> TranslationStepper:
    """Encode three sentences of different lengths."""
    network = translator(size=SIZE, seed=seed, **changes)
    generator = torch.Generator().manual_seed(seed)
    lengths = (4, 1, 2)
    sentences = [torch.cat([torch.randint(4, SIZE, (n,), generator=generator), torch.tensor([EOS])]) for n in lengths]
    source_BS, lengths_B = (
        torch.from_numpy(array) for array in pad_sequences([sentence.numpy() for sentence in sentences])
    )
    return TranslationStepper(network, source_BS, lengths_B)


def assert_same(left: list[list[SearchHypothesis]], right: list[list[SearchHypothesis]]) -> None:
    for many, others in zip(left, right, strict=True):
        assert [one.ids for one in many] == [one.ids for one in others]
        assert [one.log_p for one in many] == pytest.approx([one.log_p for one in others], abs=1e-4)
        assert [one.score for one in many] == pytest.approx([one.score for one in others], abs=1e-4)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.0, 0.6, 1.0]))
@torch.inference_mode()
def test_full_beam_equals_exhaustive_search(changes: dict[str, Any], seed: int, alpha: float) -> None:
    options = SearchOptions(beam=SIZE**2, alpha=alpha, nbest=3)
    limit_B = torch.tensor([3, 2, 3])
    found = beam_search(stepper(changes, seed), limit_B, options)
    assert_same(found, exhaustive_search(stepper(changes, seed), limit_B, options))


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000))
@torch.inference_mode()
def test_beam_of_one_equals_greedy_search(changes: dict[str, Any], seed: int) -> None:
    options, limit_B = SearchOptions(beam=1), torch.tensor([9, 3, 6])
    found = beam_search(stepper(changes, seed), limit_B, options)
    assert_same(found, greedy_search(stepper(changes, seed), limit_B, options))
