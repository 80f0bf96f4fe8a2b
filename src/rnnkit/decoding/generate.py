"""Text generation with language models: continuing prompts by search or sampling, and infilling.

Prompts of equal length are batched together, so no prompt is padded and each state is exactly the state after its
prompt.

Infilling fills the gaps of lines with a masked language model; each gap is one token. Of several gaps in a line, the
one with the most confident prediction is filled first; the model then reads the line again, so that later predictions
are conditioned on earlier ones. Gaps that are not yet filled are read as <unk>. A line with n gaps takes n passes of
the network; lines are batched by length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from rnnkit.data.batch_sampler import pad_sequences, plan_epoch
from rnnkit.decoding.beam_search import beam_search, greedy_search
from rnnkit.decoding.constraints import ConstrainedStepper
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.sampling import SamplingOptions, random_numbers, sample
from rnnkit.decoding.stepper import AnyStepper, SearchHypothesis, SearchOptions, forbidden_ids
from rnnkit.models.lm_store import LoadedMaskedLM
from rnnkit.text import special_tokens
from rnnkit.text.lines import replace_line_ends
from rnnkit.text.masked_lines import MaskedTokens
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary

BLOCK_LINES = 2000
"""Lines read before the first is written: enough to find many of equal or similar length."""

DEFAULT_MAX_LENGTH = 50
"""Maximum length of a continuation in tokens, unless it is given."""

PromptReader = Callable[[Sequence[Sequence[int]]], AnyStepper]
"""Processes prompts of equal length (ids without EOS) and returns the stepper after them."""


@dataclass(frozen=True)
class TextGenerator:
    """A language model with its vocabulary and tokenizer.

    Attributes:
        start: Processes a batch of prompts.
        vocabulary: Its vocabulary.
        tokenizer: Its tokenizer; None if text is split at white space.
    """

    start: PromptReader
    vocabulary: Vocabulary
    tokenizer: Tokenizer | None


@dataclass(frozen=True)
class GenerationOptions:
    """How to continue prompts.

    Attributes:
        search: Beam size, length penalty, n-best; `max_length` is the maximum length of a continuation, EOS included.
        sampling: Sampling options; None for search.
        seed: Seed of the random numbers.
    """

    search: SearchOptions
    sampling: SamplingOptions | None = None
    seed: int = 1

    @property
    def limit(self) -> int:
        """Maximum length of a continuation in tokens."""
        return self.search.max_length or DEFAULT_MAX_LENGTH


@dataclass(frozen=True)
class GeneratedLine:
    """The continuations of one prompt.

    Attributes:
        prompt: Tokens of the prompt.
        texts: Prompt and continuation as text, best first.
        continuations: Continuations as text.
        tokens: Tokens of each continuation.
        hypotheses: Scores of each continuation.
        ended: Whether the model generated EOS; False for a continuation that was truncated.
    """

    prompt: tuple[str, ...]
    texts: tuple[str, ...]
    continuations: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    hypotheses: tuple[SearchHypothesis, ...]
    ended: tuple[bool, ...]


def generate_lines(
    generator: TextGenerator,
    lines: Iterable[str],
    options: GenerationOptions,
    batch_tokens: int,
    block_lines: int = BLOCK_LINES,
    first_line: int = 1,
) -> Iterator[GeneratedLine]:
    """Continue raw lines in order, one result per line; an empty line is an empty prompt.

    Args:
        generator: The language model.
        lines: Prompts.
        options: How to continue them.
        batch_tokens: Tokens per batch, counting prompts and the maximum length of their continuations.
        block_lines: Lines to read ahead; 1 continues each line as soon as it arrives.
        first_line: Number of the first line; samples depend on it.
    """
    remaining, done = iter(lines), first_line - 1
    while block := list(islice(remaining, block_lines)):
        prompts = [tokenize_line(generator.tokenizer, line) for line in block]
        ids = [generator.vocabulary.encode(tokens) for tokens in prompts]
        found = generate_ids(generator, ids, options, batch_tokens, first_line=done + 1)
        for tokens, hypotheses in zip(prompts, found, strict=True):
            yield detokenize_outputs(generator, tokens, hypotheses, options.limit)
        done += len(block)


def generate_ids(
    generator: TextGenerator,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions,
    batch_tokens: int,
    first_line: int = 1,
) -> list[list[SearchHypothesis]]:
    """Continue prompts given as ids without EOS, in batches of equal length; results are in input order.

    The other arguments are those of `generate_lines`.
    """
    results: list[list[SearchHypothesis]] = [[] for _ in prompts]
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_length[len(prompt)].append(index)
    for length, indices in sorted(by_length.items()):
        batch_size = max(1, batch_tokens // (length + 1 + options.limit))
        for start in range(0, len(indices), batch_size):
            batch = indices[start : start + batch_size]
            lines = [first_line + index for index in batch]
            found = _generate_batch(generator, [prompts[index] for index in batch], lines, options)
            for index, hypotheses in zip(batch, found, strict=True):
                results[index] = hypotheses
    return results


@torch.inference_mode()
def _generate_batch(
    generator: TextGenerator, prompts: Sequence[Sequence[int]], lines: Sequence[int], options: GenerationOptions
) -> list[list[SearchHypothesis]]:
    """Continue prompts of equal length by the selected search."""
    search, limit = options.search, options.limit
    forbidden = forbidden_tokens(generator.vocabulary, search.allow_unknown)
    stepper = ConstrainedStepper(generator.start(prompts), limit, forbidden, len(generator.vocabulary))
    limit_B = torch.full((len(prompts),), limit + 1)
    if options.sampling is not None:
        numbers = random_numbers(options.seed, lines, search.nbest, limit + 1)
        return sample(stepper, limit_B, search, options.sampling, numbers)
    if search.exhaustive:
        return exhaustive_search(stepper, limit_B, search)
    if search.beam == 1:
        return greedy_search(stepper, limit_B, search)
    return beam_search(stepper, limit_B, search)


def forbidden_tokens(vocabulary: Vocabulary, allow_unknown: bool) -> list[int]:
    """Return the ids that are never generated: padding, BOS and, unless allowed, unknown words.

    Preprocessed corpora write rare words as the text `<unk>`, which is an ordinary entry; it counts as unknown too.
    """
    name = special_tokens.NAMES[special_tokens.UNK]
    written = [vocabulary.ids[name]] if name in vocabulary.ids and not allow_unknown else []
    return [*forbidden_ids(SearchOptions(allow_unknown=allow_unknown)), *written]


def detokenize_outputs(
    generator: TextGenerator, prompt: Sequence[str], hypotheses: Sequence[SearchHypothesis], limit: int
) -> GeneratedLine:
    """Convert hypotheses to text."""
    tokens = tuple(tuple(generator.vocabulary.decode(hypothesis.ids)) for hypothesis in hypotheses)
    return GeneratedLine(
        prompt=tuple(prompt),
        texts=tuple(detokenize_line(generator.tokenizer, [*prompt, *one]) for one in tokens),
        continuations=tuple(detokenize_line(generator.tokenizer, one) for one in tokens),
        tokens=tokens,
        hypotheses=tuple(hypotheses),
        ended=tuple(len(hypothesis.ids) < limit for hypothesis in hypotheses),
    )


def tokenize_line(tokenizer: Tokenizer | None, line: str) -> list[str]:
    """Tokenize a raw line; without a tokenizer, split it at white space."""
    return line.split() if tokenizer is None else tokenizer.tokenize(line)


def detokenize_line(tokenizer: Tokenizer | None, tokens: Sequence[str]) -> str:
    """Detokenize; without a tokenizer, join tokens with spaces."""
    return replace_line_ends(" ".join(tokens)) if tokenizer is None else tokenizer.detokenize(tokens)


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
