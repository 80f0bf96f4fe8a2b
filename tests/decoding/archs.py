"""Small random translation models of every architecture, for tests of searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tests.tiny_models import translator

from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.models.steppers import TranslationStepper
from rnnkit.text import special_tokens

ARCHS: Mapping[str, Mapping[str, Any]] = {
    "rnn": {"arch": "rnn", "layers": 2, "decoder_layers": 2},
    "gru": {"arch": "gru", "attention": "general", "bridge": "last"},
    "lstm": {"arch": "lstm", "decoder_layers": 3},
    "feeding": {"arch": "lstm", "input_feeding": True, "attention": "additive"},
    "multihead": {"arch": "lstm", "attention": "multihead"},
    "monotonic": {"arch": "gru", "attention": "monotonic", "decoder_layers": 2},
    "monotonic feeding": {"arch": "lstm", "attention": "monotonic", "input_feeding": True},
    "monotonic copy": {"arch": "gru", "attention": "monotonic", "copy": True},
    "location": {"arch": "lstm", "attention": "location", "decoder_layers": 2},
    "location feeding": {"arch": "gru", "attention": "location", "input_feeding": True},
    "mingru": {"arch": "mingru"},
    "transformer": {"arch": "transformer", "layers": 2, "decoder_layers": 2},
    "hybrid": {"arch": "hybrid", "cell": "ssru"},
    "copy": {"arch": "gru", "copy": True},
    "blind": {"arch": "gru", "attention": "none", "bidirectional": False, "tied": False},
}

SIZE = 7
SOURCES = ((4, 5, 6, 4), (6,), (5, 1, 5), (1, 1))
"""Source sentences; id 1 is <unk>."""


def network(name: str, seed: int, size: int = SIZE, spread: float = 1.0) -> SequenceToSequence:
    """Create a model of an architecture with random weights."""
    return translator(seed=seed, size=size, spread=spread, **ARCHS[name])


def batch(model: SequenceToSequence, sources: Sequence[Sequence[int]] = SOURCES) -> TranslationStepper:
    """Encode sentences as one batch."""
    longest = max(map(len, sources)) + 1
    ended = [[*ids, special_tokens.EOS, *[special_tokens.PAD] * (longest - 1 - len(ids))] for ids in sources]
    with torch.inference_mode():
        return TranslationStepper(model, torch.tensor(ended), torch.tensor([len(ids) + 1 for ids in sources]))
