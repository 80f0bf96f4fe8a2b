"""Lines with gaps: `I am ___ very hungry`.

A gap stands for one token. It stands alone between spaces; where a tokenizer parts words from marks, marks may touch
it, as in `I am very ___.`
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from rnnkit.errors import DataError, UsageError
from rnnkit.text.lines import STDIN
from rnnkit.text.tokenizers.tokenizer import Tokenizer, read_raw_text

DEFAULT_GAP: Final = "___"
"""How a gap is written, unless somebody says otherwise."""

MaskedTokens = list[str | None]
"""A line's tokens, None for a gap."""

_STAND_IN: Final = "qzgapzq"


def check_gap(gap: str) -> None:
    """Refuse a gap that no line could hold. Raises UsageError."""
    if gap.split() != [gap]:
        raise UsageError(f"--gap {gap!r} cannot stand in a line", "a gap is a word of its own, without white space")


def read_masked_lines(
    files: Sequence[Path], gap: str, tokenizer: Tokenizer | None, single: bool = False
) -> Iterator[MaskedTokens]:
    """The tokens of each line of the files.

    Args:
        files: Raw text; `-` is standard input.
        gap: How a gap is written.
        tokenizer: Cuts what stands between the gaps; None where text comes in tokens.
        single: Whether a line may have one gap only.

    Raises:
        DataError: A line has no gap, or more than it may; the message names it. And as `read_text`.
    """
    for path in files:
        name = "standard input" if path == STDIN else str(path)
        for number, line in enumerate(read_raw_text(path, tokenizer), start=1):
            tokens = tokenize_masked(line, gap, tokenizer)
            gaps = tokens.count(None)
            if not gaps:
                raise DataError(
                    f"{name}:{number}: the line has no gap",
                    f"it is {line!r}" if len(line) <= 80 else f"it begins {line[:80]!r}",
                    hint=f"write {gap} in place of the missing word, or say with --gap what stands there",
                )
            if single and gaps > 1:
                raise DataError(
                    f"{name}:{number}: the line has {gaps} gaps, and --nbest ranks what fills one",
                    hint="leave out --nbest, or add --json for the candidates of each gap",
                )
            yield tokens


def tokenize_masked(line: str, gap: str, tokenizer: Tokenizer | None) -> MaskedTokens:
    """The tokens of a line, None for each gap; features have none. Raises DataError where these cannot be read."""
    if tokenizer is None:
        return [None if chunk == gap else chunk for chunk in line.split()]
    text, features = tokenizer.part(line)
    chunks = text.split(" ") if tokenizer.normalizer.exact else text.split()
    parts = [_around(chunk, gap) for chunk in chunks]
    return [*features, *_cut_text(chunks, parts, tokenizer)]


def _cut_text(chunks: Sequence[str], parts: Sequence[_GapContext], tokenizer: Tokenizer) -> MaskedTokens:
    return _cut_with_stand_in(chunks, parts, tokenizer) or _cut_between(chunks, parts, tokenizer)


_GapContext = tuple[str, str] | None
"""The marks before and behind a chunk's gap; None for a chunk without one."""


def _around(chunk: str, gap: str) -> _GapContext:
    found = re.fullmatch(rf"(\W*){re.escape(gap)}(\W*)", chunk)
    return (found[1], found[2]) if found and chunk.count(gap) == 1 else None


def _cut_with_stand_in(chunks: Sequence[str], parts: Sequence[_GapContext], tokenizer: Tokenizer) -> MaskedTokens:
    """Let a word stand where the gaps are, so that the marks around are cut as they are in text.

    Returns:
        The tokens; none where the tokenizer does not keep the word whole.
    """
    word = _STAND_IN
    while any(word in chunk.lower() for chunk in chunks):
        word += "q"
    text = " ".join(word.join(part) if part else chunk for chunk, part in zip(chunks, parts, strict=True))
    tokens: MaskedTokens = [None if token == word else token for token in tokenizer.tokenize(text)]
    return tokens if tokens.count(None) == sum(part is not None for part in parts) else []


def _cut_between(chunks: Sequence[str], parts: Sequence[_GapContext], tokenizer: Tokenizer) -> MaskedTokens:
    """Cut what stands between the gaps, each piece by itself."""
    pieces: list[list[str]] = [[]]
    for chunk, part in zip(chunks, parts, strict=True):
        if part is None:
            pieces[-1].append(chunk)
        else:
            pieces[-1].append(part[0])
            pieces.append([part[1]])
    # The gap's own blanks are not text, which matters where a tokenizer keeps white space.
    first, *others = (tokenizer.tokenize(" ".join(piece).strip(" ")) for piece in pieces)
    return [*first, *chain.from_iterable([None, *tokens] for tokens in others)]
