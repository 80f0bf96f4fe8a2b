"""Lines with gaps, the masked positions of infilling: `I am ___ very hungry`.

A gap represents one token. It is separated by spaces; with a tokenizer that separates words from punctuation, the gap
may adjoin punctuation, as in `I am very ___.`
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from rnnkit.errors import DataError, UsageError
from rnnkit.text.lines import STDIN, display_name
from rnnkit.text.tokenizer import Tokenizer, read_raw_text

DEFAULT_GAP: Final = "___"
"""Default text of a gap."""

MaskedTokens = list[str | None]
"""Tokens of a line, None for a gap."""

_GapContext = tuple[str, str] | None
"""Punctuation before and after the gap of a chunk; None for a chunk without a gap."""

_PLACEHOLDER: Final = "qzgapzq"


def check_gap(gap: str) -> None:
    """Raise UsageError if no line can contain a gap written like this."""
    if gap.split() != [gap]:
        raise UsageError(
            f"--gap {gap!r} cannot occur in a line", "a gap is one word without white space", option="--gap"
        )


def read_masked_lines(
    files: Sequence[Path], gap: str, tokenizer: Tokenizer | None, single: bool = False
) -> Iterator[MaskedTokens]:
    """Yield the tokens of each line of the files.

    Args:
        files: Raw text; `-` is standard input.
        gap: Text of a gap.
        tokenizer: Tokenizer of the text around gaps; None for tokenized text.
        single: Whether a line may have one gap only.

    Raises:
        DataError: A line has no gap, or too many; the message contains the line. Also as `read_raw_text`.
    """
    for path in files:
        name = display_name(path)
        for number, line in enumerate(read_raw_text(path, tokenizer), start=1):
            tokens = tokenize_masked(line, gap, tokenizer)
            gaps = tokens.count(None)
            if not gaps:
                raise DataError(
                    f"{name}:{number}: the line has no gap",
                    f"it is {line!r}" if len(line) <= 80 else f"it begins {line[:80]!r}",
                    hint=f"write {gap} in place of the missing word, or set the text of a gap with --gap",
                    path=None if path == STDIN else path,
                    line=number,
                )
            if single and gaps > 1:
                raise DataError(
                    f"{name}:{number}: the line has {gaps} gaps, and --nbest ranks the candidates of one gap",
                    hint="omit --nbest, or add --json for the candidates of each gap",
                    path=None if path == STDIN else path,
                    line=number,
                    option="--nbest",
                )
            yield tokens


def tokenize_masked(line: str, gap: str, tokenizer: Tokenizer | None) -> MaskedTokens:
    """Return the tokens of a line, None for each gap; features have no gaps. Raises DataError if they are malformed."""
    if tokenizer is None:
        return [None if chunk == gap else chunk for chunk in line.split()]
    text, features = tokenizer.split_features(line)
    chunks = text.split(" ") if tokenizer.normalizer.exact else text.split()
    contexts = [_gap_context(chunk, gap) for chunk in chunks]
    tokens = _tokenize_with_placeholder(chunks, contexts, tokenizer)
    return [*features, *(tokens or _tokenize_between_gaps(chunks, contexts, tokenizer))]


def _gap_context(chunk: str, gap: str) -> _GapContext:
    found = re.fullmatch(rf"(\W*){re.escape(gap)}(\W*)", chunk)
    return (found[1], found[2]) if found and chunk.count(gap) == 1 else None


def _tokenize_with_placeholder(
    chunks: Sequence[str], contexts: Sequence[_GapContext], tokenizer: Tokenizer
) -> MaskedTokens:
    """Tokenize with a word in place of each gap, so that adjoining punctuation is split as in ordinary text.

    Returns:
        The tokens; none if the tokenizer splits the word.
    """
    word = _PLACEHOLDER
    while any(word in chunk.lower() for chunk in chunks):
        word += "q"
    text = " ".join(word.join(context) if context else chunk for chunk, context in zip(chunks, contexts, strict=True))
    tokens: MaskedTokens = [None if token == word else token for token in tokenizer.tokenize(text)]
    return tokens if tokens.count(None) == sum(context is not None for context in contexts) else []


def _tokenize_between_gaps(
    chunks: Sequence[str], contexts: Sequence[_GapContext], tokenizer: Tokenizer
) -> MaskedTokens:
    """Tokenize the segments between gaps independently."""
    segments: list[list[str]] = [[]]
    for chunk, context in zip(chunks, contexts, strict=True):
        if context is None:
            segments[-1].append(chunk)
        else:
            segments[-1].append(context[0])
            segments.append([context[1]])
    # The spaces around a gap are not text, which matters for a tokenizer that keeps white space.
    first, *others = (tokenizer.tokenize(" ".join(segment).strip(" ")) for segment in segments)
    return [*first, *chain.from_iterable([None, *tokens] for tokens in others)]
