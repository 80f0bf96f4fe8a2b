"""From prompts to the lines that a language model makes of them: tokenize, search or draw, detokenize.

Prompts of the same length are read together, so that none is padded and every state is the state behind its prompt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from rnnkit.decoding.beam import beam_search
from rnnkit.decoding.bounds import Bounded
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.greedy import greedy_search
from rnnkit.decoding.sampling import Sampling, random_numbers, sample
from rnnkit.decoding.stepper import Hypothesis, SearchOptions, Stepper, forbidden
from rnnkit.text import special_tokens
from rnnkit.text.lines import replace_line_ends
from rnnkit.text.tokenizers.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary

BLOCK_LINES = 2000
"""Lines read before the first is written: enough to find many of equal length."""

DEFAULT_LENGTH = 50
"""Most tokens of a continuation, where nobody says otherwise."""

Begin = Callable[[Sequence[Sequence[int]]], Stepper[Any]]
"""Reads prompts of equal length, ids without end symbols."""


@dataclass(frozen=True)
class Narrator:
    """What goes on from prompts.

    Attributes:
        begin: Reads a batch of prompts.
        vocabulary: Its tokens.
        tokenizer: Cuts prompts and joins tokens; None where text comes in tokens.
    """

    begin: Begin
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
    sampling: Sampling | None = None
    seed: int = 1

    @property
    def limit(self) -> int:
        """Most tokens of a continuation."""
        return self.search.max_length or DEFAULT_LENGTH


@dataclass(frozen=True)
class Continued:
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


def continue_lines(
    narrator: Narrator,
    lines: Iterable[str],
    options: GenerationOptions,
    batch_tokens: int,
    block_lines: int = BLOCK_LINES,
    first_line: int = 1,
) -> Iterator[Continued]:
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
        prompts = [cut(narrator.tokenizer, line) for line in block]
        ids = [narrator.vocabulary.encode(tokens) for tokens in prompts]
        found = continue_all(narrator, ids, options, batch_tokens, first_line=done + 1)
        for tokens, hypotheses in zip(prompts, found, strict=True):
            yield spell(narrator, tokens, hypotheses, options.limit)
        done += len(block)


def continue_all(
    narrator: Narrator,
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
            found = _continue(narrator, [prompts[place] for place in batch], lines, options)
            for place, hypotheses in zip(batch, found, strict=True):
                results[place] = hypotheses
    return results


@torch.inference_mode()
def _continue(
    narrator: Narrator, prompts: Sequence[Sequence[int]], lines: Sequence[int], options: GenerationOptions
) -> list[list[Hypothesis]]:
    search, limit = options.search, options.limit
    never = never_said(narrator.vocabulary, search.allow_unknown)
    stepper = Bounded(narrator.begin(prompts), limit, never, len(narrator.vocabulary))
    limit_B = torch.full((len(prompts),), limit + 1)
    if options.sampling is not None:
        numbers = random_numbers(options.seed, lines, search.nbest, limit + 1)
        return sample(stepper, limit_B, search, options.sampling, numbers)
    if search.exhaustive:
        return exhaustive_search(stepper, limit_B, search)
    if search.beam == 1:
        return greedy_search(stepper, limit_B, search)
    return beam_search(stepper, limit_B, search)


def never_said(vocabulary: Vocabulary, allow_unknown: bool) -> list[int]:
    """Ids that are never said: padding, the start symbol, and what stands for unknown words unless it is allowed.

    A text that others prepared writes its rare words `<unk>`, which is an ordinary row.
    """
    name = special_tokens.NAMES[special_tokens.UNK]
    written = [vocabulary.ids[name]] if name in vocabulary.ids and not allow_unknown else []
    return [*forbidden(SearchOptions(allow_unknown=allow_unknown)), *written]


def spell(narrator: Narrator, prompt: Sequence[str], hypotheses: Sequence[Hypothesis], limit: int) -> Continued:
    """Turn hypotheses into text."""
    tokens = tuple(tuple(narrator.vocabulary.decode(hypothesis.ids)) for hypothesis in hypotheses)
    return Continued(
        prompt=tuple(prompt),
        texts=tuple(join(narrator.tokenizer, [*prompt, *one]) for one in tokens),
        continuations=tuple(join(narrator.tokenizer, one) for one in tokens),
        tokens=tokens,
        hypotheses=tuple(hypotheses),
        ended=tuple(len(hypothesis.ids) < limit for hypothesis in hypotheses),
    )


def cut(tokenizer: Tokenizer | None, line: str) -> list[str]:
    """A raw line's tokens; parted by white space where there is no tokenizer."""
    return line.split() if tokenizer is None else tokenizer.tokenize(line)


def join(tokenizer: Tokenizer | None, tokens: Sequence[str]) -> str:
    """The line that tokens spell."""
    return replace_line_ends(" ".join(tokens)) if tokenizer is None else tokenizer.detokenize(tokens)
