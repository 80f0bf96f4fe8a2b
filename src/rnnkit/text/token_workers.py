"""Counting the tokens of token files: what each process does for `rnnkit vocab`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnnkit.text.blocks import LineBlock
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES
from rnnkit.text.tokenizers.features import FeaturedTokenizer
from rnnkit.text.tokenizers.store import load_tokenizer
from rnnkit.text.tokenizers.subword_tokenizer import SubwordTokenizer


@dataclass(frozen=True)
class TokenCount:
    """How much was counted."""

    lines: int
    tokens: int


class TokenCounter:
    """Counts the tokens of blocks; what it has counted is asked for at the end, so that it is sent once."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def do(self, block: LineBlock) -> TokenCount:
        """Count a block. Raises DataError where it is no text."""
        tokens = " ".join(block.decode(MAX_TOKEN_LINE_BYTES)).split()
        self._counts.update(tokens)
        return TokenCount(block.lines, len(tokens))

    def finish(self) -> Counter[str]:
        """The counts of all its blocks."""
        return self._counts


@dataclass(frozen=True)
class SamplingBatch:
    """Lines whose random segmentations are drawn together.

    Attributes:
        lines: The lines.
        seed: Of the draws.
    """

    lines: list[str]
    seed: int


@dataclass(frozen=True)
class TokenizedBlock:
    """A piece of a token file.

    Attributes:
        text: UTF-8, every line with its end.
        read: Lines of text that it was made from.
        lines: Lines of it.
        tokens: Tokens in it.
    """

    text: bytes
    read: int
    lines: int
    tokens: int


class TokenizeWorker:
    """Cuts blocks of lines, or draws segmentations of batches of them.

    Args:
        tokenizer: The tokenizer's folder.
        threads: Of SentencePiece; -1 is one a core.
        samples: Segmentations of each line of a batch.
        alpha: As for `SubwordTokenizer.sample_batch`.
    """

    def __init__(self, tokenizer: Path, threads: int = 1, samples: int = 0, alpha: float = 0.0) -> None:
        self._tokenizer = load_tokenizer(tokenizer)
        self._threads = threads
        self._samples = samples
        self._alpha = alpha

    def do(self, item: LineBlock | SamplingBatch) -> TokenizedBlock:
        """The tokens of a block or batch. Raises DataError where it is no text, or has features that cannot be read."""
        if isinstance(item, LineBlock):
            lines = list(self._readable(item))
            rows = self._tokenizer.join_batch(lines, self._threads)
        else:
            lines, rows = item.lines, self._drawn(item)
        text = "\n".join(rows) + "\n"
        tokens = text.count(" ") + len(rows) - rows.count("")
        return TokenizedBlock(text.encode("utf-8"), len(lines), len(rows), tokens)

    def finish(self) -> None:
        """Nothing is gathered."""

    def _readable(self, block: LineBlock) -> Iterator[str]:
        lines = block.decode()
        if self._tokenizer.features:
            for number, line in enumerate(lines, start=block.first):
                self._tokenizer.part(line, f"{block.path}:{number}")
        yield from lines

    def _drawn(self, batch: SamplingBatch) -> list[str]:
        tokenizer = self._tokenizer
        if not isinstance(tokenizer, SubwordTokenizer | FeaturedTokenizer):
            raise TypeError(f"{tokenizer.kind} cuts a line in one way only")
        return [" ".join(row) for row in tokenizer.sample_batch(batch.lines, self._samples, self._alpha, batch.seed)]
