"""Infilling: fill the gaps of lines with a masked language model.

Each gap is one token. Of several gaps in a line, the one with the most confident prediction is filled first; the model
then reads the line again, so that later predictions are conditioned on earlier ones. Gaps that are not yet filled are
read as <unk>. A line with n gaps takes n passes of the network; lines are batched by length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from rnnkit.data.batch_sampler import pad_sequences, plan_epoch
from rnnkit.decoding.generate import detokenize_line, forbidden_tokens
from rnnkit.models.lm_store import LoadedMaskedLM
from rnnkit.text import special_tokens
from rnnkit.text.masked_lines import MaskedTokens
from rnnkit.text.vocabulary import Vocabulary

BLOCK_LINES = 2000
"""Lines read before the first is written: enough to form batches of similar length."""


@dataclass(frozen=True)
class GapCandidate:
    """A token that may fill a gap.

    Attributes:
        id: Its id.
        token: The token.
        log_p: Its log-probability in nats.
    """

    id: int
    token: str
    log_p: float


@dataclass(frozen=True)
class FilledGap:
    """A gap and its predictions.

    Attributes:
        position: Its position in the line, counted from 0.
        candidates: The most probable tokens, best first; the first fills the gap.
    """

    position: int
    candidates: tuple[GapCandidate, ...]


@dataclass(frozen=True)
class FilledLine:
    """The result for one line.

    Attributes:
        tokens: Tokens of the line, None for a gap.
        gaps: Its gaps, in the order in which they were filled.
        outputs: For a line with one gap, its tokens with each candidate; otherwise the line with all gaps filled.
        texts: The outputs as text.
    """

    tokens: tuple[str | None, ...]
    gaps: tuple[FilledGap, ...]
    outputs: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]


@dataclass
class _PendingLine:
    """A line that is being filled.

    Attributes:
        ids: Ids with EOS; <unk> in open gaps.
        open_positions: Positions of the open gaps.
        gaps: The gaps that have been filled.
    """

    ids: list[int]
    open_positions: list[int]
    gaps: list[FilledGap] = field(default_factory=list)


def fill_lines(
    model: LoadedMaskedLM,
    lines: Iterable[MaskedTokens],
    candidates: int,
    allow_unknown: bool,
    batch_tokens: int,
    block_lines: int = BLOCK_LINES,
) -> Iterator[FilledLine]:
    """Fill the gaps of lines in order, one result per line.

    Args:
        model: A masked language model.
        lines: Tokens of each line, None for a gap; at least one gap per line.
        candidates: Candidates to return for each gap.
        allow_unknown: Whether <unk> may fill a gap.
        batch_tokens: Tokens per batch, padding included.
        block_lines: Lines to read ahead; 1 fills each line as soon as it arrives.
    """
    remaining = iter(lines)
    forbidden = [special_tokens.EOS, *forbidden_tokens(model.vocabulary, allow_unknown)]
    while block := list(islice(remaining, block_lines)):
        pending = [_start_line(model, line) for line in block]
        while unfinished := [line for line in pending if line.open_positions]:
            lengths = np.array([len(line.ids) for line in unfinished])
            for batch in plan_epoch([lengths], batch_tokens, seed=0, epoch=0):
                _fill_most_confident(model, [unfinished[index] for index in batch], candidates, forbidden)
        for tokens, line in zip(block, pending, strict=True):
            yield _make_filled_line(model, tokens, line.gaps)


def _start_line(model: LoadedMaskedLM, tokens: MaskedTokens) -> _PendingLine:
    ids = [special_tokens.UNK if token is None else model.vocabulary.encode([token])[0] for token in tokens]
    return _PendingLine(
        [*ids, special_tokens.EOS], [position for position, token in enumerate(tokens) if token is None]
    )


@torch.inference_mode()
def _fill_most_confident(
    model: LoadedMaskedLM, lines: Sequence[_PendingLine], candidates: int, forbidden: Sequence[int]
) -> None:
    """Run the network on a batch and fill, in each line, the gap whose best candidate is the most probable."""
    device = next(model.network.parameters()).device
    ids_BT, lengths_B = (
        torch.from_numpy(array).to(device) for array in pad_sequences([np.array(line.ids) for line in lines])
    )
    readout_BTE = model.network.hidden_states(ids_BT, lengths_B)
    for line, readout_TE in zip(lines, readout_BTE, strict=True):
        log_p_NV = model.network.log_probabilities(readout_TE[line.open_positions]).cpu()
        log_p_NV[:, list(forbidden)] = -torch.inf
        index = int(log_p_NV.max(dim=-1).values.argmax())
        best = _top_candidates(model.vocabulary, log_p_NV[index], candidates)
        gap = FilledGap(line.open_positions.pop(index), best)
        line.ids[gap.position] = gap.candidates[0].id
        line.gaps.append(gap)


def _top_candidates(vocabulary: Vocabulary, log_p_V: Tensor, count: int) -> tuple[GapCandidate, ...]:
    possible = int((log_p_V > -torch.inf).sum())
    log_p_N, id_N = log_p_V.topk(min(count, possible))
    pairs = zip(id_N.tolist(), log_p_N.tolist(), strict=True)
    return tuple(GapCandidate(token_id, vocabulary.tokens[token_id], log_p) for token_id, log_p in pairs)


def _make_filled_line(model: LoadedMaskedLM, tokens: MaskedTokens, gaps: Sequence[FilledGap]) -> FilledLine:
    if len(gaps) == 1:
        fillings = [{gaps[0].position: candidate.token} for candidate in gaps[0].candidates]
    else:
        fillings = [{gap.position: gap.candidates[0].token for gap in gaps}]
    outputs = tuple(
        tuple(filling[position] if token is None else token for position, token in enumerate(tokens))
        for filling in fillings
    )
    texts = tuple(detokenize_line(model.tokenizer, one) for one in outputs)
    return FilledLine(tuple(tokens), tuple(gaps), outputs, texts)
