"""Work of one worker process: tokenize blocks of text, or count tokens (`system/workers.py`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rnnkit.text.blocks import LineBlock
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES
from rnnkit.text.tokenizers.store import load_tokenizer


@dataclass(frozen=True)
class SamplingBatch:
    """Lines whose segmentations are sampled together.

    Attributes:
        lines: The lines.
        seed: Seed of the samples.
    """

    lines: list[str]
    seed: int


@dataclass(frozen=True)
class TokenizedBlock:
    """Consecutive lines of a token file.

    Attributes:
        text: UTF-8, each line with its end.
        text_lines: Lines of raw text.
        lines: Lines of the token file; several for each line of text if segmentations are sampled.
        tokens: Tokens in them.
    """

    text: bytes
    text_lines: int
    lines: int
    tokens: int


class TokenizeWorker:
    """Tokenizes blocks of lines, or samples segmentations of batches of lines.

    Args:
        tokenizer: Directory of the tokenizer.
        threads: Threads of SentencePiece; -1 is one per core.
        samples: Segmentations of each line of a batch.
        alpha: As in `SubwordTokenizer.sample_batch`.
    """

    def __init__(self, tokenizer: Path, threads: int = 1, samples: int = 0, alpha: float = 0.0) -> None:
        self._tokenizer = load_tokenizer(tokenizer)
        self._threads = threads
        self._samples = samples
        self._alpha = alpha

    def process(self, item: LineBlock | SamplingBatch) -> TokenizedBlock:
        """Tokenize a block or batch. Raises DataError if it is not text or its features are malformed."""
        if isinstance(item, LineBlock):
            lines = self._decode(item)
            rows = self._tokenizer.tokenize_to_lines(lines, self._threads)
        else:
            lines, rows = item.lines, self._sample(item)
        text = "\n".join(rows) + "\n"
        tokens = text.count(" ") + len(rows) - rows.count("")
        return TokenizedBlock(text.encode("utf-8"), len(lines), len(rows), tokens)

    def finish(self) -> None:
        """Do nothing: there is no result beyond the blocks."""

    def _decode(self, block: LineBlock) -> list[str]:
        """Return the lines of a block; malformed features are reported by file and line."""
        lines = block.decode()
        if self._tokenizer.features:
            for number, line in enumerate(lines, start=block.first_line):
                self._tokenizer.split_features(line, f"{block.path}:{number}")
        return lines

    def _sample(self, batch: SamplingBatch) -> list[str]:
        rows = self._tokenizer.sample_batch(batch.lines, self._samples, self._alpha, batch.seed)
        return [" ".join(row) for row in rows]


@dataclass(frozen=True)
class TokenCount:
    """Size of a block that was counted."""

    lines: int
    tokens: int


class TokenCounter:
    """Counts the tokens of blocks; the counts are sent once, at the end."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def process(self, block: LineBlock) -> TokenCount:
        """Count the tokens of a block. Raises DataError if it is not text."""
        tokens = " ".join(block.decode(MAX_TOKEN_LINE_BYTES)).split()
        self._counts.update(tokens)
        return TokenCount(block.lines, len(tokens))

    def finish(self) -> Counter[str]:
        """Return the counts over all blocks."""
        return self._counts
