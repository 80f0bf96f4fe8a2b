"""Texts that word vectors are trained on: the Wikipedia text or its beginning, and many copies of it in one file."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

LONGEST_LINE = 1000
"""Tokens. All systems get the same lines: fastText cuts at 1,024 tokens, gensim drops what is beyond 10,000."""


@dataclass(frozen=True)
class Text:
    """A text file, one paragraph or a part of one a line."""

    path: Path
    lines: int
    tokens: int


def write_beginning(source: Path, target: Path, size: int | None) -> Text:
    """Write the lines that lie wholly in the first `size` bytes of a gzipped text; None takes all of it."""
    lines = tokens = consumed = 0
    with gzip.open(source, "rb") as stream, target.open("wb") as output:
        for line in stream:
            consumed += len(line)
            if size is not None and consumed > size:
                break
            for piece in pieces(line.split()):
                output.write(b" ".join(piece) + b"\n")
                lines, tokens = lines + 1, tokens + len(piece)
    return Text(target, lines, tokens)


def pieces(tokens: list[bytes]) -> list[list[bytes]]:
    """Cut a line's tokens into lines that are not too long."""
    return [tokens[start : start + LONGEST_LINE] for start in range(0, len(tokens), LONGEST_LINE)]


def write_copies(text: Text, target: Path, copies: int) -> Text:
    """Write a text several times, one after the other."""
    block = text.path.read_bytes()
    with target.open("wb") as output:
        for _ in range(copies):
            output.write(block)
    return Text(target, text.lines * copies, text.tokens * copies)


def frequent_words(text: Text, min_count: int) -> list[str]:
    """Words met often enough, the most frequent first, ties by code point."""
    counts: Counter[str] = Counter()
    with text.path.open(encoding="utf-8", newline="\n") as stream:
        for line in stream:
            counts.update(line.split())
    words = [word for word, count in counts.items() if count >= min_count]
    return sorted(words, key=lambda word: (-counts[word], word))
