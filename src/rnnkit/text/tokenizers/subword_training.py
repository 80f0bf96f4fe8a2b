"""A random sample of the lines of a text, in memory that does not grow with the text."""

from __future__ import annotations

import heapq
import io
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, Progress, null_listener
from rnnkit.text.lines import MAX_LINE_BYTES, read_lines
from rnnkit.text.normalizer import Normalizer
from rnnkit.text.tokenizers.features import split_features
from rnnkit.text.tokenizers.subword_tokenizer import SubwordTokenizer, escape


@dataclass(frozen=True)
class LineSample:
    """Lines drawn from a text.

    Attributes:
        lines: In the order in which they stood.
        seen: How many there were to draw from.
    """

    lines: list[str]
    seen: int


def sample_lines(lines: Iterable[str], limit: int, seed: int) -> LineSample:
    """Draw lines until they fill the limit; all of them, where they fit.

    Each line gets a random number and those with the smallest are kept, so a line's chance depends neither on its
    place nor on what stands around it. The largest go when the limit is passed; one line always stays.

    Args:
        lines: The text.
        limit: Bytes of UTF-8 to keep, line ends counted.
        seed: The same seed and text give the same sample.
    """
    generator = random.Random(seed)
    kept: list[tuple[float, int, str, int]] = []  # the negated random number, so that the largest leaves first
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
            # Nothing above this number can come back, or the sample would prefer short lines.
            largest = -dropped[0]
    kept.sort(key=lambda entry: entry[1])
    return LineSample([entry[2] for entry in kept], seen)


DEFAULT_SIZE: Final = 8000
_PROGRESS_LINES: Final = 1 << 16

# SentencePiece takes a line with this character for its own mark of the unknown, and skips it.
_RESERVED: Final = "▅"
_MOST_ALLOWED: Final = re.compile(r"Vocabulary size too high \(\d+\)\. Please set it to a value <= (\d+)")
_LEAST_ALLOWED: Final = re.compile(r"Vocabulary size is smaller than required_chars\. \d+ vs (\d+)")


class _TooLarge(Exception):
    """The text does not hold so many pieces; `most` is how many it does."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


def train_from_files(
    sources: Sequence[Path],
    kind: str,
    size: int | None,
    normalizer: Normalizer,
    limit: int,
    seed: int,
    listen: Listener = null_listener,
    features: bool = False,
) -> tuple[SubwordTokenizer, dict[str, Any]]:
    """Learn a tokenizer from text files.

    Args:
        sources: The files.
        kind: `unigram` or `bpe`.
        size: Number of pieces; None lets a small text have fewer than the default.
        normalizer: What is done to each line first.
        limit: Bytes of text to learn from; where there is more, a sample of the lines is drawn.
        seed: The sample's seed.
        listen: Is told when a sample was drawn or the default size was lowered.
        features: Whether what stands behind a TAB is features, of which nothing is learned.

    Returns:
        The tokenizer, which knows nothing of features, and facts about what it learned from.

    Raises:
        DataError: A file is missing, empty or not text, features cannot be read, or the text does not have pieces for
            this size.
    """
    text = chain.from_iterable(_text_lines(source, normalizer, listen, features) for source in sources)
    sample = sample_lines(text, limit, seed)
    used, seen = len(sample.lines), sample.seen
    if used < seen:
        listen(Note(f"learning from {used:,} of {seen:,} lines, {limit / 1e6:g} MB drawn at random (--learn-size)"))
    tokenizer = train_subwords(sample.lines, kind, size, normalizer)
    if size is None and tokenizer.options["size"] < DEFAULT_SIZE:
        found = tokenizer.options["size"]
        listen(Note(f"the text has {found:,} pieces, fewer than the {DEFAULT_SIZE:,} that --size is by default"))
    return tokenizer, {"lines": seen, "lines_used": used, "seed": seed}


def train_subwords(lines: Iterable[str], kind: str, size: int | None, normalizer: Normalizer) -> SubwordTokenizer:
    """Learn a SentencePiece model. The same lines give the same model, on any number of cores.

    Args:
        lines: Text, normalised already.
        kind: `unigram` or `bpe`.
        size: Number of pieces, the 256 bytes among them. None is 8000, or as many as there are in a small text.
        normalizer: What was done to the lines.

    Raises:
        DataError: There is no text, or it does not have pieces for this size.
    """
    texts = [escape(line).replace(_RESERVED, " ") for line in lines]
    if not any(text.strip() for text in texts):
        raise DataError("there is no text to learn a tokenizer from")
    coverage = _coverage(texts, size or DEFAULT_SIZE)
    try:
        model = _train_sentencepiece(texts, kind, size or DEFAULT_SIZE, coverage)
    except _TooLarge as error:
        if size is not None:
            raise DataError(
                f"--size {size} is more than the text supports",
                f"{error.most} is the largest possible size for --type {kind} on it",
                hint=f"give --size {error.most} or less, or leave --size out",
            ) from None
        model = _train_sentencepiece(texts, kind, error.most, coverage)
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
            bos_id=-1,  # none, like the two below: the four special symbols are the vocabulary's
            eos_id=-1,
            pad_id=-1,
            max_sentence_length=2
            * MAX_LINE_BYTES,  # escaping lengthens a line; at the default of 4192 it skips longer ones
            num_threads=1,  # more threads add up in another order and give other pieces
            minloglevel=2,
        )
    except RuntimeError as error:
        if found := _MOST_ALLOWED.search(str(error)):
            raise _TooLarge(int(found[1])) from None
        if found := _LEAST_ALLOWED.search(str(error)):
            raise DataError(
                f"--size {size} is too small for the text",
                f"its characters and the 256 bytes take {found[1]} pieces",
                hint=f"give --size {found[1]} or more",
            ) from None
        raise DataError("SentencePiece could not learn from this text", str(error)) from error
    return model.getvalue()


def _coverage(texts: list[str], size: int) -> float:
    """All characters are pieces where they are few; else the rarest, one in 2,000 of the text, are written as bytes."""
    alphabet: set[str] = set()
    for text in texts:
        alphabet.update(text)
    return 1.0 if len(alphabet) <= size // 8 else 0.9995


def check_not_empty(source: Path, lines: int, filled: int) -> None:
    """Raise for a text without content.

    Args:
        source: The text file.
        lines: Lines in it.
        filled: Something that is 0 where all of them are blank.

    Raises:
        DataError: It is empty, or has only blank lines.
    """
    if not lines:
        raise DataError(f"{source} is empty", hint="one sentence a line is expected")
    if not filled:
        raise DataError(f"{source} has only blank lines ({lines:,} of them)")


def _text_lines(source: Path, normalizer: Normalizer, listen: Listener, features: bool) -> Iterator[str]:
    """The lines that are not blank, normalised, without their features."""
    number = filled = 0
    for number, line in enumerate(read_lines(source), start=1):
        if number % _PROGRESS_LINES == 0:
            listen(Progress(f"read {source.name}", number))
        if (text := normalizer(split_features(line, f"{source}:{number}")[0] if features else line)).strip():
            filled += 1
            yield text
    check_not_empty(source, number, filled)
