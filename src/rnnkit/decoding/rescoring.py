"""Scoring of given outputs by teacher forcing, and bidirectional reranking.

`score_targets` computes the log-probabilities of given outputs token by token (forced decoding); `score_pairs` does so
for a corpus of sentence pairs. `rerank_bidirectional` combines models that generate the target from its beginning with
models that generate it from its end (Liu et al. 2016, "Agreement on Target-bidirectional LSTMs for
Sequence-to-Sequence Learning", AAAI):

    score(y) = (F log p_F(y | x) + B log p_B(reversed y | x)) / (F + B)

for F left-to-right and B right-to-left models, where p_F and p_B are the ensembles of each direction. Each direction
searches by itself; the union of the n-best lists is scored by both. Errors accumulate towards the end of what is
generated, and the two directions end on different sides.

Scoring costs one step per target position, as in greedy search; outputs that all directions found cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data.batch_sampler import pad_sequences, plan_epoch
from rnnkit.decoding.ensemble import Direction, TokenSequence
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions, Stepper, normalized_score
from rnnkit.decoding.translator import TranslationEnsemble, run_batches
from rnnkit.errors import DataError
from rnnkit.text import special_tokens
from rnnkit.text.tokenizer import Tokenizer, read_raw_text

S = TypeVar("S")

BATCH_TOKENS = 4096
"""Default tokens per batch of `score_pairs`."""

BLOCK_LINES = 2000
"""Sentence pairs that are sorted by length into batches together."""


@torch.inference_mode()
def score_targets(stepper: Stepper[S], outputs: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor | None]:
    """Score given outputs of a batch by teacher forcing.

    Args:
        stepper: The model, over an encoded batch.
        outputs: Ids of the outputs of each sentence, without EOS; the same number K for every sentence.

    Returns:
        Log-probability in nats of each token and EOS (B, K, T), in float64, 0 after EOS; and attention weights
        (B, K, T, S), 0 after the longest output of a sentence, or None for models without attention.
    """
    target_BKT = pad_targets(outputs)
    sentences, rows, longest = target_BKT.shape
    length_B = (target_BKT != special_tokens.PAD).sum(-1).amax(-1)
    row_K = torch.arange(rows)
    active_B = torch.arange(sentences)
    state, input_BK = stepper.start(), torch.full((sentences, 1), special_tokens.BOS)
    log_p_BKT = torch.zeros(sentences, rows, longest, dtype=torch.float64)
    attention_BKTS: Tensor | None = None
    for step in range(longest):
        log_p_BKV, state, weights_BKS = stepper.step(input_BK, state)
        input_BK = target_BKT[active_B, :, step]
        gold_BK = log_p_BKV.expand(-1, rows, -1).gather(-1, input_BK.unsqueeze(-1).to(log_p_BKV.device)).squeeze(-1)
        log_p_BKT[active_B, :, step] = torch.where(input_BK == special_tokens.PAD, 0.0, gold_BK.cpu().double())
        if weights_BKS is not None:
            if attention_BKTS is None:
                size = (sentences, rows, longest, weights_BKS.shape[-1])
                attention_BKTS = weights_BKS.new_zeros(size, device="cpu")
            attention_BKTS[active_B, :, step] = weights_BKS.expand(-1, rows, -1).cpu()
        # After the first step, which all outputs of a sentence share, the state has K rows. Finished sentences go.
        keep = (length_B[active_B] > step + 1).nonzero().squeeze(1)
        if len(keep) and (step == 0 or len(keep) < len(active_B)):
            row_BK = (torch.zeros_like(row_K) if step == 0 else row_K).expand(len(keep), -1)
            state, active_B, input_BK = stepper.select(state, keep, row_BK), active_B[keep], input_BK[keep]
    return log_p_BKT, attention_BKTS


def pad_targets(outputs: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Append EOS to outputs and pad them on the right (B, K, T)."""
    longest = 1 + max(len(ids) for each in outputs for ids in each)
    return torch.tensor(
        [
            [[*ids, special_tokens.EOS, *[special_tokens.PAD] * (longest - 1 - len(ids))] for ids in each]
            for each in outputs
        ]
    )


def score_pairs(
    translator: TranslationEnsemble,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    batch_tokens: int = BATCH_TOKENS,
    first_line: int = 1,
) -> list[NDArray[np.float64]]:
    """Score targets given their sources, in batches of similar length; ids without EOS.

    Args:
        translator: Models of one direction.
        sources: Sources; an empty one is EOS alone.
        targets: Targets to score.
        batch_tokens: Tokens per batch on its longer side, padding included.
        first_line: Line number of the first pair.

    Returns:
        For each pair the log-probability in nats of each target token and EOS, in reading order.

    Raises:
        DataError: A pair does not fit into memory even alone.
    """
    results: list[NDArray[np.float64]] = [np.empty(0) for _ in targets]
    lengths = [np.array([len(ids) + 1 for ids in side]) for side in (sources, targets)]

    @torch.inference_mode()
    def score_batch(batch: Sequence[int]) -> list[NDArray[np.float64]]:
        padded = pad_sequences([np.array([*sources[index], special_tokens.EOS], dtype=np.int64) for index in batch])
        (direction,) = translator.start_batch(*(torch.from_numpy(array) for array in padded))
        outputs = [[direction.reorder(targets[index])] for index in batch]
        log_p_BT = score_targets(direction.stepper, outputs)[0].squeeze(1).numpy()
        pairs = zip(log_p_BT, (len(targets[index]) for index in batch), strict=True)
        return [np.array([*direction.reorder(log_p_T[:length]), log_p_T[length]]) for log_p_T, length in pairs]

    def too_large(index: int) -> DataError:
        longer = max(len(sources[index]), len(targets[index]))
        return DataError(
            f"line {first_line + index:,} does not fit into memory",
            f"it has {longer:,} tokens on its longer side, and is scored alone",
            hint="split the line in two",
            line=first_line + index,
        )

    batches = [batch.tolist() for batch in plan_epoch(lengths, batch_tokens, seed=0, epoch=0)]
    for batch, scores in zip(batches, run_batches(score_batch, batches, too_large), strict=True):
        for index, log_p_T in zip(batch, scores, strict=True):
            results[index] = log_p_T
    return results


def rerank_bidirectional(
    directions: Sequence[Direction],
    found: Sequence[Sequence[Sequence[SearchHypothesis]]],
    options: SearchOptions,
    keep_attention: bool = False,
) -> list[list[SearchHypothesis]]:
    """Rank the hypotheses of all directions by their combined score.

    Args:
        directions: The directions; attention comes from the first that has it.
        found: Hypotheses of each direction for each sentence, in reading order, with attention if it is kept.
        options: Length penalty and n-best.
        keep_attention: Whether to return attention weights.

    Returns:
        The `nbest` best hypotheses of each sentence, best first; `log_p` is the combined score before the length
        penalty.
    """
    outputs = [list(dict.fromkeys(one.ids for each in lists for one in each)) for lists in zip(*found, strict=True)]
    scored = [
        _score_in_direction(direction, each, outputs, keep_attention)
        for direction, each in zip(directions, found, strict=True)
    ]
    results = []
    for sentence, candidates in enumerate(outputs):
        hypotheses = []
        for ids in candidates:
            by_direction = [each[sentence][ids] for each in scored]
            pairs = zip(directions, by_direction, strict=True)
            log_p = sum(direction.weight * hypothesis.log_p for direction, hypothesis in pairs)
            attention_TS = next((one.attention for one in by_direction if one.attention is not None), None)
            score = normalized_score(log_p, len(ids) + 1, options.alpha)
            hypotheses.append(SearchHypothesis(ids, log_p, score, attention_TS))
        results.append(sorted(hypotheses, key=lambda one: -one.score)[: options.nbest])
    return results


def _score_in_direction(
    direction: Direction,
    found: Sequence[Sequence[SearchHypothesis]],
    outputs: Sequence[Sequence[TokenSequence]],
    keep_attention: bool,
) -> list[dict[TokenSequence, SearchHypothesis]]:
    """Return the hypothesis of a direction for each output of each sentence; scores those its search did not find."""
    scored = [{one.ids: one for one in hypotheses} for hypotheses in found]
    missing = [[ids for ids in each if ids not in known] for each, known in zip(outputs, scored, strict=True)]
    most = max(map(len, missing))
    if not most:
        return scored
    # All sentences need the same number of outputs; empty outputs are the cheapest filler.
    filled = [[*map(direction.reorder, each), *[()] * (most - len(each))] for each in missing]
    log_p_BKT, attention_BKTS = score_targets(direction.stepper, filled)
    for sentence, each in enumerate(missing):
        for row, ids in enumerate(each):
            attention_TS = None
            if keep_attention and attention_BKTS is not None:
                attention_TS = direction.reorder_attention(attention_BKTS[sentence, row, : len(ids) + 1])
            log_p = float(log_p_BKT[sentence, row].sum())
            scored[sentence][ids] = SearchHypothesis(ids, log_p, log_p, attention_TS)
    return scored


@dataclass(frozen=True)
class SentencePair:
    """A source and target line, truncated to the longest that the model accepts.

    Attributes:
        source: Source tokens.
        target: Target tokens.
        raw_target: The target line that `target` stands for.
        truncated: Whether either side was longer.
    """

    source: Sequence[str]
    target: Sequence[str]
    raw_target: str
    truncated: bool


def tokenize_pair(source: str, target: str, tokenizer: Tokenizer, most: tuple[int, int]) -> SentencePair:
    """Tokenize a pair and truncate both sides: attention over one corrupt line takes memory quadratic in its length."""
    whole_source, whole_target = tokenizer.tokenize(source), tokenizer.tokenize(target)
    truncated = len(whole_source) > most[0] or len(whole_target) > most[1]
    tokens = whole_target[: most[1]]
    return SentencePair(
        whole_source[: most[0]], tokens, tokenizer.detokenize(tokens) if truncated else target, truncated
    )


def read_pairs(source: Path, target: Path, tokenizer: Tokenizer) -> Iterator[list[tuple[str, str]]]:
    """Read both files in parallel, in blocks of lines."""
    lines = zip_longest(read_raw_text(source, tokenizer), read_raw_text(target, tokenizer))
    block: list[tuple[str, str]] = []
    for number, (left, right) in enumerate(lines, start=1):
        if left is None or right is None:
            short, other = (source, target) if left is None else (target, source)
            raise DataError(
                f"{short} has {number - 1:,} lines, {other} has more",
                hint="both files must have the same number of lines, a translation on each",
                path=short,
                line=number,
            )
        block.append((left, right))
        if len(block) == BLOCK_LINES:
            yield block
            block = []
    if block:
        yield block
