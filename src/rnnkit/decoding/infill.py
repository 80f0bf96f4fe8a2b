"""From lines with gaps to lines without: what stands in each gap, given all that stands around it.

One gap is one token, the likeliest but for those that are never said. Of several gaps in a line the one that the model
is surest of is filled first; then the line is read again, so that the next one sees it. A gap not yet filled is read as
<unk>.
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
"""Lines read before the first is written: enough to sort them into batches of like length."""


@dataclass(frozen=True)
class GapCandidate:
    """A token that could fill a gap.

    Attributes:
        id: Its row of the vocabulary.
        token: What stands there.
        log_p: Its log-probability in nats.
    """

    id: int
    token: str
    log_p: float


@dataclass(frozen=True)
class FilledGap:
    """A gap that was filled.

    Attributes:
        place: Number of its token in the line, from 0.
        candidates: The likeliest tokens, best first; the first fills it.
    """

    place: int
    candidates: tuple[GapCandidate, ...]


@dataclass(frozen=True)
class FilledLine:
    """What became of one line.

    Attributes:
        tokens: The line's tokens, None for a gap.
        gaps: In the order in which they were filled.
        outputs: For a line with one gap, the line's tokens with each candidate; else the one line with all gaps filled.
        texts: The same as text.
    """

    tokens: tuple[str | None, ...]
    gaps: tuple[FilledGap, ...]
    outputs: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]


@dataclass
class _PendingLine:
    """A line on the way: its ids with EOS, <unk> in the gaps, and the gaps that are left."""

    ids: list[int]
    places: list[int]
    gaps: list[FilledGap] = field(default_factory=list)


def fill_lines(
    filler: LoadedMaskedLM,
    lines: Iterable[MaskedTokens],
    candidates: int,
    allow_unknown: bool,
    batch_tokens: int,
    block_lines: int = BLOCK_LINES,
) -> Iterator[FilledLine]:
    """Fill the gaps of lines, one result a line, in order.

    Args:
        filler: What fills.
        lines: Tokens of each, None for a gap; at least one gap a line.
        candidates: Candidates kept for each gap.
        allow_unknown: Whether the unknown symbol may fill a gap.
        batch_tokens: Tokens a batch, padding counted.
        block_lines: Lines read ahead; 1 answers each as it comes.
    """
    remaining = iter(lines)
    never = [special_tokens.EOS, *forbidden_tokens(filler.vocabulary, allow_unknown)]
    while block := list(islice(remaining, block_lines)):
        opened = [_start_line(filler, line) for line in block]
        while waiting := [line for line in opened if line.places]:
            lengths = np.array([len(line.ids) for line in waiting])
            for batch in plan_epoch([lengths], batch_tokens, seed=0, epoch=0):
                _fill_most_confident(filler, [waiting[place] for place in batch], candidates, never)
        for tokens, line in zip(block, opened, strict=True):
            yield _make_filled_line(filler, tokens, line.gaps)


def _start_line(filler: LoadedMaskedLM, tokens: MaskedTokens) -> _PendingLine:
    ids = [special_tokens.UNK if token is None else filler.vocabulary.encode([token])[0] for token in tokens]
    return _PendingLine([*ids, special_tokens.EOS], [place for place, token in enumerate(tokens) if token is None])


@torch.inference_mode()
def _fill_most_confident(
    filler: LoadedMaskedLM, lines: Sequence[_PendingLine], candidates: int, never: Sequence[int]
) -> None:
    """Read the lines and fill, in each, the gap whose best candidate is the likeliest."""
    device = next(filler.network.parameters()).device
    ids_BT, lengths_B = (
        torch.from_numpy(array).to(device) for array in pad_sequences([np.array(line.ids) for line in lines])
    )
    readout_BTE = filler.network.hidden_states(ids_BT, lengths_B)
    for line, readout_TE in zip(lines, readout_BTE, strict=True):
        log_p_NV = filler.network.log_probabilities(readout_TE[line.places]).cpu()
        log_p_NV[:, list(never)] = -torch.inf
        surest = int(log_p_NV.max(dim=-1).values.argmax())
        best = _top_candidates(filler.vocabulary, log_p_NV[surest], candidates)
        gap = FilledGap(line.places.pop(surest), best)
        line.ids[gap.place] = gap.candidates[0].id
        line.gaps.append(gap)


def _top_candidates(vocabulary: Vocabulary, log_p_V: Tensor, count: int) -> tuple[GapCandidate, ...]:
    possible = int((log_p_V > -torch.inf).sum())
    best_N, index_N = log_p_V.topk(min(count, possible))
    pairs = zip(index_N.tolist(), best_N.tolist(), strict=True)
    return tuple(GapCandidate(row, vocabulary.tokens[row], log_p) for row, log_p in pairs)


def _make_filled_line(filler: LoadedMaskedLM, tokens: MaskedTokens, gaps: Sequence[FilledGap]) -> FilledLine:
    if len(gaps) == 1:
        choices = [{gaps[0].place: candidate.token} for candidate in gaps[0].candidates]
    else:
        choices = [{gap.place: gap.candidates[0].token for gap in gaps}]
    outputs = tuple(
        tuple(choice[place] if token is None else token for place, token in enumerate(tokens)) for choice in choices
    )
    texts = tuple(detokenize_line(filler.tokenizer, one) for one in outputs)
    return FilledLine(tuple(tokens), tuple(gaps), outputs, texts)
