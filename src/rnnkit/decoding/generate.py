"""From prompts to the lines that a language model makes of them: tokenize, search or draw, detokenize.

Prompts of the same length are read together, so that none is padded and every state is the state behind its prompt.
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
from rnnkit.decoding.stepper import Hypothesis, SearchOptions, Stepper, forbidden_ids
from rnnkit.text import special_tokens
from rnnkit.text.lines import replace_line_ends
from rnnkit.text.tokenizers.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary

BLOCK_LINES = 2000
"""Lines read before the first is written: enough to find many of equal length."""

DEFAULT_MAX_LENGTH = 50
"""Most tokens of a continuation, where nobody says otherwise."""

PromptReader = Callable[[Sequence[Sequence[int]]], Stepper[Any]]
"""Reads prompts of equal length, ids without end symbols."""


@dataclass(frozen=True)
class TextGenerator:
    """What goes on from prompts.

    Attributes:
        begin: Reads a batch of prompts.
        vocabulary: Its tokens.
        tokenizer: Cuts prompts and joins tokens; None where text comes in tokens.
    """

    begin: PromptReader
    vocabulary: Vocabulary
    tokenizer: Tokenizer | None


@dataclass(frozen=True)
class GenerationOptions:
    """How to go on.

    Attributes:
        search: Beam, length penalty, n-best; `max_length` is the most tokens of a continuation, the end symbol counted.
        sampling: How tokens are drawn; None searches for the likeliest.
        seed: Of the random numbers.
    """

    search: SearchOptions
    sampling: SamplingOptions | None = None
    seed: int = 1

    @property
    def limit(self) -> int:
        """Most tokens of a continuation."""
        return self.search.max_length or DEFAULT_MAX_LENGTH


@dataclass(frozen=True)
class GeneratedLine:
    """What became of one prompt.

    Attributes:
        prompt: Its tokens.
        texts: Prompt and continuation, best first.
        continuations: The same without the prompt.
        tokens: Tokens of each continuation.
        hypotheses: Scores of each.
        ended: Whether each said that it ends there; else it was cut.
    """

    prompt: tuple[str, ...]
    texts: tuple[str, ...]
    continuations: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    hypotheses: tuple[Hypothesis, ...]
    ended: tuple[bool, ...]


def generate_lines(
    narrator: TextGenerator,
    lines: Iterable[str],
    options: GenerationOptions,
    batch_tokens: int,
    block_lines: int = BLOCK_LINES,
    first_line: int = 1,
) -> Iterator[GeneratedLine]:
    """Go on from raw lines, one result a line, in order; from an empty line, from nothing.

    Args:
        narrator: What goes on.
        lines: Prompts.
        options: How.
        batch_tokens: Tokens a batch, of prompts and of continuations as long as they may become.
        block_lines: Lines read ahead; 1 answers each as it comes.
        first_line: Number of the first line: what is drawn depends on it.
    """
    remaining, done = iter(lines), first_line - 1
    while block := list(islice(remaining, block_lines)):
        prompts = [tokenize_line(narrator.tokenizer, line) for line in block]
        ids = [narrator.vocabulary.encode(tokens) for tokens in prompts]
        found = generate_ids(narrator, ids, options, batch_tokens, first_line=done + 1)
        for tokens, hypotheses in zip(prompts, found, strict=True):
            yield detokenize_outputs(narrator, tokens, hypotheses, options.limit)
        done += len(block)


def generate_ids(
    narrator: TextGenerator,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions,
    batch_tokens: int,
    first_line: int = 1,
) -> list[list[Hypothesis]]:
    """Go on from ids, in batches of prompts of equal length; results in input order.

    Args:
        narrator: What goes on.
        prompts: Ids without end symbols.
        options: How.
        batch_tokens: As for `continue_lines`.
        first_line: Number of the first prompt's line: what is drawn depends on it.
    """
    results: list[list[Hypothesis]] = [[] for _ in prompts]
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        by_length[len(prompt)].append(place)
    for length, places in sorted(by_length.items()):
        rows = max(1, batch_tokens // (length + 1 + options.limit))
        for start in range(0, len(places), rows):
            batch = places[start : start + rows]
            lines = [first_line + place for place in batch]
            found = _generate_batch(narrator, [prompts[place] for place in batch], lines, options)
            for place, hypotheses in zip(batch, found, strict=True):
                results[place] = hypotheses
    return results


@torch.inference_mode()
def _generate_batch(
    narrator: TextGenerator, prompts: Sequence[Sequence[int]], lines: Sequence[int], options: GenerationOptions
) -> list[list[Hypothesis]]:
    search, limit = options.search, options.limit
    never = forbidden_tokens(narrator.vocabulary, search.allow_unknown)
    stepper = ConstrainedStepper(narrator.begin(prompts), limit, never, len(narrator.vocabulary))
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
    """Ids that are never said: padding, the start symbol, and what stands for unknown words unless it is allowed.

    A text that others prepared writes its rare words `<unk>`, which is an ordinary row.
    """
    name = special_tokens.NAMES[special_tokens.UNK]
    written = [vocabulary.ids[name]] if name in vocabulary.ids and not allow_unknown else []
    return [*forbidden_ids(SearchOptions(allow_unknown=allow_unknown)), *written]


def detokenize_outputs(
    narrator: TextGenerator, prompt: Sequence[str], hypotheses: Sequence[Hypothesis], limit: int
) -> GeneratedLine:
    """Turn hypotheses into text."""
    tokens = tuple(tuple(narrator.vocabulary.decode(hypothesis.ids)) for hypothesis in hypotheses)
    return GeneratedLine(
        prompt=tuple(prompt),
        texts=tuple(detokenize_line(narrator.tokenizer, [*prompt, *one]) for one in tokens),
        continuations=tuple(detokenize_line(narrator.tokenizer, one) for one in tokens),
        tokens=tokens,
        hypotheses=tuple(hypotheses),
        ended=tuple(len(hypothesis.ids) < limit for hypothesis in hypotheses),
    )


def tokenize_line(tokenizer: Tokenizer | None, line: str) -> list[str]:
    """A raw line's tokens; parted by white space where there is no tokenizer."""
    return line.split() if tokenizer is None else tokenizer.tokenize(line)


def detokenize_line(tokenizer: Tokenizer | None, tokens: Sequence[str]) -> str:
    """The line that tokens spell."""
    return replace_line_ends(" ".join(tokens)) if tokenizer is None else tokenizer.detokenize(tokens)


S = TypeVar("S")


@dataclass(frozen=True)
class ConstrainedState(Generic[S]):
    """What is carried between steps.

    Attributes:
        inner: The bounded stepper's state.
        said: Tokens chosen so far.
    """

    inner: S
    said: int


class ConstrainedStepper(Generic[S]):
    """A stepper within bounds; itself a stepper.

    Args:
        stepper: What is bounded.
        limit: Most tokens of an output. Searches over this stepper have a limit of one more, for the free end symbol.
        never: Ids that are never said. Where a model gives nothing else a probability, the end symbol is free.
        size: Rows of the vocabulary.
    """

    def __init__(self, stepper: Stepper[S], limit: int, never: Sequence[int], size: int) -> None:
        self._stepper = stepper
        self._limit = limit
        self._never = list(never)
        self._size = size

    def start(self) -> ConstrainedState[S]:
        """The state before the first token."""
        return ConstrainedState(self._stepper.start(), 0)

    def step(self, token_BK: Tensor, state: ConstrainedState[S]) -> tuple[Tensor, ConstrainedState[S], None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`."""
        if state.said == self._limit:
            log_p_BKV = torch.full((*token_BK.shape, self._size), -torch.inf)
            log_p_BKV[..., special_tokens.EOS] = 0.0
            return log_p_BKV, ConstrainedState(state.inner, state.said + 1), None
        log_p_BKV, inner, _ = self._stepper.step(token_BK, state.inner)
        log_p_BKV = log_p_BKV.cpu().clone()
        log_p_BKV[..., self._never] = -torch.inf
        silent_BK = log_p_BKV.max(dim=-1).values == -torch.inf
        log_p_BKV[..., special_tokens.EOS].masked_fill_(silent_BK, 0.0)
        return log_p_BKV, ConstrainedState(inner, state.said + 1), None

    def select(self, state: ConstrainedState[S], sentence_B: Tensor, row_BK: Tensor) -> ConstrainedState[S]:
        """The state of the chosen sentences, each with the chosen rows."""
        return ConstrainedState(self._stepper.select(state.inner, sentence_B, row_BK), state.said)
