"""From source lines to target lines: tokenize, search in batches of like length, put back in order, detokenize."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from rnnkit.data.batching import pad, plan_epoch
from rnnkit.decoding.beam import beam_search
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.greedy import greedy_search
from rnnkit.decoding.stepper import Hypothesis, SearchOptions
from rnnkit.models.store import Model
from rnnkit.models.translation import Translation
from rnnkit.text import special

BLOCK_LINES = 2000
"""Lines read before the first is written: enough to sort them into batches of like length."""


@dataclass(frozen=True)
class Translated:
    """One line's outputs.

    Attributes:
        source: The line's tokens; empty for an empty line.
        outputs: Detokenized lines, best first; one empty line for an empty source.
        tokens: Tokens of each output.
        hypotheses: Scores and attention of each output; empty for an empty source.
    """

    source: tuple[str, ...]
    outputs: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    hypotheses: tuple[Hypothesis, ...]


def translate_lines(
    model: Model,
    lines: Iterable[str],
    options: SearchOptions,
    batch_tokens: int,
    keep_attention: bool = False,
    block_lines: int = BLOCK_LINES,
) -> Iterator[Translated]:
    """Translate raw lines, one result a line, in order.

    On an interactive terminal `block_lines` of 1 answers each line as it comes.

    Args:
        model: What translates.
        lines: Raw source lines.
        options: How to search.
        batch_tokens: Source tokens a batch, padding counted.
        keep_attention: Whether the hypotheses carry their attention.
        block_lines: Lines read ahead.
    """
    remaining = iter(lines)
    while block := list(islice(remaining, block_lines)):
        sources = [model.tokenizer.tokenize(line) for line in block]
        ids = [model.source_vocabulary.encode(tokens) for tokens in sources]
        found = search_all(model, ids, options, batch_tokens, keep_attention)
        for tokens, hypotheses in zip(sources, found, strict=True):
            yield spell(model, tokens, hypotheses)


def search_all(
    model: Model,
    sources: Sequence[Sequence[int]],
    options: SearchOptions,
    batch_tokens: int,
    keep_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Search for every source (ids without the end symbol), in batches of like length; results in input order."""
    results: list[list[Hypothesis]] = [[] for _ in sources]
    filled = [index for index, ids in enumerate(sources) if ids]
    if not filled:
        return results
    ended = [np.array([*sources[index], special.EOS], dtype=np.int64) for index in filled]
    lengths = np.array([len(ids) for ids in ended])
    for batch in plan_epoch([lengths], batch_tokens, seed=0, epoch=0):
        found = _search(model, [ended[place] for place in batch], options, keep_attention)
        for place, hypotheses in zip(batch, found, strict=True):
            results[filled[place]] = hypotheses
    return results


@torch.inference_mode()
def _search(
    model: Model, sources: Sequence[np.ndarray], options: SearchOptions, keep_attention: bool
) -> list[list[Hypothesis]]:
    device = next(model.network.parameters()).device
    source_BS, lengths_B = (torch.from_numpy(array) for array in pad(sources))
    limit_B = torch.tensor([options.limit(int(length)) for length in lengths_B])
    stepper = Translation(model.network, source_BS.to(device), lengths_B.to(device))
    if options.exhaustive:
        return exhaustive_search(stepper, limit_B, options)
    if options.beam == 1 and not keep_attention:
        return greedy_search(stepper, limit_B, options)
    found = beam_search(stepper, limit_B, options, keep_attention)
    # Attention over this batch's padding says nothing.
    return [
        [_trim(hypothesis, int(length)) for hypothesis in hypotheses]
        for hypotheses, length in zip(found, lengths_B, strict=True)
    ]


def _trim(hypothesis: Hypothesis, length: int) -> Hypothesis:
    if hypothesis.attention is None:
        return hypothesis
    return Hypothesis(hypothesis.ids, hypothesis.log_p, hypothesis.score, hypothesis.attention[:, :length])


def spell(model: Model, source: Sequence[str], hypotheses: Sequence[Hypothesis]) -> Translated:
    """Turn hypotheses into text."""
    tokens = tuple(tuple(model.target_vocabulary.decode(hypothesis.ids)) for hypothesis in hypotheses)
    outputs = tuple(model.tokenizer.detokenize(one) for one in tokens) or ("",)
    return Translated(tuple(source), outputs, tokens, tuple(hypotheses))
