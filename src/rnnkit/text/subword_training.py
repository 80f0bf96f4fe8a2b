"""Training of subword tokenizers (SentencePiece), on a random sample of the text if it is large."""

from __future__ import annotations

import heapq
import io
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, Progress, Status, limit_progress, null_listener
from rnnkit.json_types import JsonObject
from rnnkit.text.lines import MAX_LINE_BYTES, read_lines
from rnnkit.text.subword_tokenizer import SubwordTokenizer, escape
from rnnkit.text.tokenizer import split_features
from rnnkit.text.unicode import Normalizer

DEFAULT_SIZE: Final = 8000
_PROGRESS_LINES: Final = 1 << 10

# SentencePiece uses this character as its own unknown mark, and skips lines that contain it.
_RESERVED: Final = "▅"
_MOST_ALLOWED: Final = re.compile(r"Vocabulary size too high \(\d+\)\. Please set it to a value <= (\d+)")
_LEAST_ALLOWED: Final = re.compile(r"Vocabulary size is smaller than required_chars\. \d+ vs (\d+)")


class _TooLarge(Exception):
    """The requested size exceeds `largest`, the largest that the text supports."""

    def __init__(self, largest: int) -> None:
        super().__init__(largest)
        self.largest = largest


@dataclass(frozen=True)
class SubwordTrainingOptions:
    """How a subword tokenizer is trained on text files.

    Attributes:
        kind: `unigram` or `bpe`.
        size: Number of pieces; None is the default, or fewer for a small text.
        limit: Bytes of training text; a larger text is sampled.
        seed: Seed of the sample.
    """

    kind: str
    size: int | None
    limit: int
    seed: int


def train_from_files(
    sources: Sequence[Path],
    options: SubwordTrainingOptions,
    normalizer: Normalizer,
    listen: Listener = null_listener,
    features: bool = False,
) -> tuple[SubwordTokenizer, JsonObject]:
    """Train a tokenizer on text files.

    Args:
        sources: The files.
        options: How to train.
        normalizer: Applied to each line first.
        listen: Receives a note if the text is sampled or has fewer pieces than the default.
        features: Whether a TAB separates features from the text; features are not part of the training text.

    Returns:
        The tokenizer, without features, and facts about its training text.

    Raises:
        DataError: A file is missing, empty or not text, features are malformed, or the text does not support the size.
    """
    listen = limit_progress(listen)
    text = chain.from_iterable(_text_lines(source, normalizer, listen, features) for source in sources)
    sample = sample_lines(text, options.limit, options.seed)
    used, seen = len(sample.lines), sample.seen
    if used < seen:
        listen(
            Note(
                f"training on {used:,} of {seen:,} lines, a random sample of {options.limit / 1e6:g} MB (--learn-size)"
            )
        )
    listen(Status(f"training a {options.kind} tokenizer"))
    tokenizer = train_subwords(sample.lines, options.kind, options.size, normalizer)
    if options.size is None and tokenizer.options["size"] < DEFAULT_SIZE:
        found = tokenizer.options["size"]
        listen(Note(f"the text supports {found:,} pieces, fewer than the default of --size, {DEFAULT_SIZE:,}"))
    return tokenizer, {"lines": seen, "lines_used": used, "seed": options.seed}


def train_subwords(lines: Iterable[str], kind: str, size: int | None, normalizer: Normalizer) -> SubwordTokenizer:
    """Train a SentencePiece model, unigram or BPE. The result is deterministic, on any number of cores.

    Args:
        lines: Normalized text.
        kind: `unigram` or `bpe`.
        size: Number of pieces, including the 256 bytes. None is 8000, or as many as a small text supports.
        normalizer: Normalizer of the lines, stored with the tokenizer.

    Raises:
        DataError: The text is empty or does not support the size.
    """
    texts = [escape(line).replace(_RESERVED, " ") for line in lines]
    if not any(text.strip() for text in texts):
        raise DataError("there is no text to train a tokenizer on")
    coverage = _coverage(texts, size or DEFAULT_SIZE)
    try:
        model = _train_sentencepiece(texts, kind, size or DEFAULT_SIZE, coverage)
    except _TooLarge as error:
        if size is not None:
            raise DataError(
                f"--size {size} is more than the text supports",
                f"{error.largest} is the largest possible size for --type {kind} on it",
                hint=f"use --size {error.largest} or less, or omit --size",
                option="--size",
            ) from None
        model = _train_sentencepiece(texts, kind, error.largest, coverage)
    return SubwordTokenizer(kind, model, normalizer)


def _train_sentencepiece(texts: list[str], kind: str, size: int, coverage: float) -> bytes:
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=kind,
            vocab_size=size,
            character_coverage=coverage,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=True,
            unk_id=0,
            bos_id=-1,  # none, as the two below: the vocabulary has the special tokens
            eos_id=-1,
            pad_id=-1,
            max_sentence_length=2
            * MAX_LINE_BYTES,  # escaping lengthens lines; the default, 4192, would skip longer ones
            num_threads=1,  # with more threads the order of sums, and so the pieces, would change
            minloglevel=2,
        )
    except RuntimeError as error:
        if found := _MOST_ALLOWED.search(str(error)):
            raise _TooLarge(int(found[1])) from None
        if found := _LEAST_ALLOWED.search(str(error)):
            raise DataError(
                f"--size {size} is too small for the text",
                f"its characters and the 256 bytes take {found[1]} pieces",
                hint=f"use --size {found[1]} or more",
                option="--size",
            ) from None
        raise DataError("SentencePiece cannot train on this text", str(error)) from error
    return model.getvalue()


def _coverage(texts: list[str], size: int) -> float:
    """Return the share of characters that are pieces: all if few, else all but the rarest 0.05 % of the text."""
    alphabet: set[str] = set()
    for text in texts:
        alphabet.update(text)
    return 1.0 if len(alphabet) <= size // 8 else 0.9995


def check_not_empty(source: Path, lines: int, filled: int) -> None:
    """Check that a text has content.

    Args:
        source: The text file.
        lines: Its number of lines.
        filled: A count that is 0 if all lines are blank.

    Raises:
        DataError: The file is empty or has only blank lines.
    """
    if not lines:
        raise DataError(f"{source} is empty", hint="the input format is one sentence per line", path=source)
    if not filled:
        raise DataError(f"{source} has only blank lines ({lines:,} of them)", path=source)


def _text_lines(source: Path, normalizer: Normalizer, listen: Listener, features: bool) -> Iterator[str]:
    """Yield the normalized lines that are not blank, without their features."""
    number = filled = 0
    for number, line in enumerate(read_lines(source), start=1):
        if number % _PROGRESS_LINES == 0:
            listen(Progress(f"read {source.name}", number))
        if (text := normalizer(split_features(line, f"{source}:{number}")[0] if features else line)).strip():
            filled += 1
            yield text
    listen(Progress(f"read {source.name}", number, number, finished=True))
    check_not_empty(source, number, filled)


@dataclass(frozen=True)
class LineSample:
    """A random sample of lines.

    Attributes:
        lines: The sample, in the order of the text.
        seen: Lines of the text.
    """

    lines: list[str]
    seen: int


def sample_lines(lines: Iterable[str], limit: int, seed: int) -> LineSample:
    """Sample lines up to a total size, in memory bounded by it; all lines if they fit.

    Each line gets a random number, and the lines with the smallest numbers are kept, so the probability of a line
    depends neither on its position nor on its neighbors. At least one line is kept.

    Args:
        lines: The text.
        limit: Maximum size in UTF-8 bytes, including line ends.
        seed: Seed of the sample.
    """
    generator = random.Random(seed)
    kept: list[tuple[float, int, str, int]] = []  # by negated random number: the largest is on top
    size, seen = 0, 0
    largest = 1.0
    for seen, line in enumerate(lines, start=1):
        number = generator.random()
        if number >= largest:
            continue
        bytes_used = len(line.encode("utf-8")) + 1
        heapq.heappush(kept, (-number, seen, line, bytes_used))
        size += bytes_used
        while size > limit and len(kept) > 1:
            dropped = heapq.heappop(kept)
            size -= dropped[3]
            # A larger number must not enter later, or the sample would be biased to short lines.
            largest = -dropped[0]
    kept.sort(key=lambda entry: entry[1])
    return LineSample([entry[2] for entry in kept], seen)
