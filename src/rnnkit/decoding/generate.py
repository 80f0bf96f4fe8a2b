"""Text generation: continue prompts with a language model, by search or sampling.

Prompts of equal length are batched together, so no prompt is padded and each state is exactly the state after its
prompt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.beam_search import beam_search
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.greedy import greedy_search
from rnnkit.decoding.sampling import SamplingOptions, random_numbers, sample
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions, Stepper, forbidden_ids
from rnnkit.text import special_tokens
from rnnkit.text.lines import replace_line_ends
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary

S = TypeVar("S")

BLOCK_LINES = 2000
"""Lines read before the first is written: enough to find many of equal length."""

DEFAULT_MAX_LENGTH = 50
"""Maximum length of a continuation in tokens, unless it is given."""

PromptReader = Callable[[Sequence[Sequence[int]]], Stepper[Any]]
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


@dataclass(frozen=True)
class ConstrainedState(Generic[S]):
    """State of a `ConstrainedStepper`.

    Attributes:
        inner: State of the wrapped stepper.
        length: Tokens generated so far.
    """

    inner: S
    length: int


class ConstrainedStepper(Generic[S]):
    """A stepper with forbidden tokens and a length at which outputs are truncated; itself a stepper.

    A translation that reaches its maximum length must generate EOS and includes its log-probability. Nothing requires
    that the continuation of a prompt ends, so it is truncated instead: EOS after its last token has probability one.

    Args:
        stepper: The wrapped stepper.
        limit: Maximum output length. Searches over this stepper use a limit of one more, for EOS.
        forbidden: Ids that are never generated. Where the model assigns probability to nothing else, EOS has
            probability one.
        size: Size of the vocabulary.
    """

    def __init__(self, stepper: Stepper[S], limit: int, forbidden: Sequence[int], size: int) -> None:
        self._stepper = stepper
        self._limit = limit
        self._forbidden = list(forbidden)
        self._size = size

    def start(self) -> ConstrainedState[S]:
        """See `Stepper.start`."""
        return ConstrainedState(self._stepper.start(), 0)

    def step(self, token_BK: Tensor, state: ConstrainedState[S]) -> tuple[Tensor, ConstrainedState[S], None]:
        """See `Stepper.step`."""
        if state.length == self._limit:
            log_p_BKV = torch.full((*token_BK.shape, self._size), -torch.inf)
            log_p_BKV[..., special_tokens.EOS] = 0.0
            return log_p_BKV, ConstrainedState(state.inner, state.length + 1), None
        log_p_BKV, inner, _ = self._stepper.step(token_BK, state.inner)
        log_p_BKV = log_p_BKV.cpu().clone()
        log_p_BKV[..., self._forbidden] = -torch.inf
        impossible_BK = log_p_BKV.max(dim=-1).values == -torch.inf
        log_p_BKV[..., special_tokens.EOS].masked_fill_(impossible_BK, 0.0)
        return log_p_BKV, ConstrainedState(inner, state.length + 1), None

    def select(self, state: ConstrainedState[S], sentence_B: Tensor, row_BK: Tensor) -> ConstrainedState[S]:
        """See `Stepper.select`."""
        return ConstrainedState(self._stepper.select(state.inner, sentence_B, row_BK), state.length)


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
