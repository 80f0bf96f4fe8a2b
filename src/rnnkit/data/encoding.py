"""Encoding of token lines to ids: filters, truncation, deduplication, and the raw lines of the kept sentences.

A filter that drops sentences from the training data is a reason and a predicate on the tokens of each side. The first
filter that matches is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import IO, Final, Self

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import raw_text_path
from rnnkit.data.corpus_splits import CorpusSplit
from rnnkit.errors import ArtefactError
from rnnkit.io.npy import IntArray
from rnnkit.text.blocks import LineBlock
from rnnkit.text.special_tokens import EOS, UNK
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES, encode_raw_lines, read_raw_lines
from rnnkit.text.tokenizer import is_feature

EMPTY: Final = "empty"
TOO_LONG: Final = "too long"
LENGTH_RATIO: Final = "length ratio"
LEAKED: Final = "in valid or test"
DUPLICATE: Final = "duplicate"
REASONS: Final = (EMPTY, TOO_LONG, LENGTH_RATIO, LEAKED, DUPLICATE)
"""All reasons, in the order of the filters."""

Sides = Sequence[Sequence[str]]
"""A sentence: the tokens of its source, and of its target if present."""

_FINGERPRINT_BYTES: Final = 8


@dataclass(frozen=True)
class SentenceFilter:
    """A reason to drop a sentence.

    Attributes:
        reason: Name in reports.
        drops: Returns whether a sentence is dropped.
    """

    reason: str
    drops: Callable[[Sides], bool]


def empty_filter() -> SentenceFilter:
    """Drop sentences with an empty side."""
    return SentenceFilter(EMPTY, lambda sides: not all(sides))


def max_length_filter(max_length: int) -> SentenceFilter:
    """Drop sentences with a side of more than `max_length` tokens, including EOS."""
    return SentenceFilter(TOO_LONG, lambda sides: max(map(len, sides)) >= max_length)


def length_ratio_filter(max_ratio: float, features: bool = False) -> SentenceFilter:
    """Drop pairs of very different lengths, which are probably not translations.

    Args:
        max_ratio: Maximum ratio of the lengths in tokens.
        features: Whether tokens may be features, which are not counted: the other side has no words for them.
    """

    def drops(sides: Sides) -> bool:
        lengths = [sum(not is_feature(token) for token in side) if features else len(side) for side in sides]
        return max(lengths) > max_ratio * min(lengths)

    return SentenceFilter(LENGTH_RATIO, drops)


def leakage_filter(held_out: frozenset[int], separator: str = " ") -> SentenceFilter:
    """Drop sentences that occur, with all sides equal, in held-out data.

    Args:
        held_out: Fingerprints of the held-out data.
        separator: As in `fingerprint`.
    """
    return SentenceFilter(LEAKED, lambda sides: fingerprint(sides, separator) in held_out)


def fingerprint(sides: Sides, separator: str = " ") -> int:
    """Return an 8-byte hash of a sentence.

    Args:
        sides: Its tokens.
        separator: Joins the tokens. With the empty string all segmentations of a text are equal, for tokenizers that
            represent a space by a token of its own.
    """
    text = "\n".join(separator.join(side) for side in sides)
    return int.from_bytes(blake2b(text.encode("utf-8"), digest_size=_FINGERPRINT_BYTES).digest(), "little")


def fingerprints(sentences: Iterable[Sides], separator: str = " ") -> frozenset[int]:
    """Return the fingerprints of all sentences, for `leakage_filter`."""
    return frozenset(fingerprint(sides, separator) for sides in sentences)


@dataclass(frozen=True)
class EncodingRules:
    """How the lines of one split are encoded. Lengths include EOS.

    Attributes:
        drop_empty: Drop lines with an empty side.
        max_length: Drop sentences longer than this; None for no limit.
        max_ratio: Drop pairs whose lengths differ by more than this factor; None for no limit.
        features: Whether tokens may be features, which `max_ratio` does not count.
        held_out: Fingerprints of lines to drop; None for none.
        separator: Separator of the tokens in these fingerprints.
        deduplicate: Drop lines that occurred before.
        truncate_to: Truncate longer sentences to this length; None for no truncation.
        truncate_right: Whether truncation removes the end of a sentence, not its beginning.
    """

    drop_empty: bool = True
    max_length: int | None = None
    max_ratio: float | None = None
    features: bool = False
    held_out: frozenset[int] | None = None
    separator: str = " "
    deduplicate: bool = False
    truncate_to: int | None = None
    truncate_right: bool = True

    def filters(self) -> list[SentenceFilter]:
        """Return the filters of single lines, cheap ones first; deduplication comes after them."""
        chosen = [empty_filter()] if self.drop_empty else []
        if self.max_length is not None:
            chosen.append(max_length_filter(self.max_length))
        if self.max_ratio is not None:
            chosen.append(length_ratio_filter(self.max_ratio, self.features))
        if self.held_out is not None:
            chosen.append(leakage_filter(self.held_out, self.separator))
        return chosen

    def truncate(self, ids: list[int]) -> list[int]:
        """Return the ids of a sentence, with EOS at the end, truncated if they are too long."""
        limit = self.truncate_to
        if limit is None or len(ids) <= limit:
            return ids
        return [*ids[: limit - 1], EOS] if self.truncate_right else ids[-limit:]


@dataclass(frozen=True)
class EncodedBlock:
    """The encoded sentences of a block of lines.

    Attributes:
        lines: Lines of the block.
        dropped: Dropped lines, by reason.
        sides: For each side the concatenated ids of all sentences, each with EOS at its end, and the sentence lengths.
        truncated: Whether each sentence was truncated on any side, (sentences,).
        fingerprints: Fingerprint of each sentence, for deduplication.
        kept_lines: Index of the line of each sentence within the block, (sentences,).
    """

    lines: int
    dropped: Mapping[str, int]
    sides: tuple[tuple[IntArray, IntArray], ...]
    truncated: NDArray[np.bool_]
    fingerprints: NDArray[np.uint64] | None
    kept_lines: NDArray[np.int32]

    def without(self, unwanted: NDArray[np.bool_], reason: str) -> EncodedBlock:
        """Return the block without the sentences marked in `unwanted`, (sentences,)."""
        kept = ~unwanted
        sides = tuple((ids[np.repeat(kept, lengths)], lengths[kept]) for ids, lengths in self.sides)
        dropped = {**self.dropped, reason: int(unwanted.sum())}
        return EncodedBlock(self.lines, dropped, sides, self.truncated[kept], None, self.kept_lines[kept])


class EncodeWorker:
    """Encodes blocks of token lines; the work of one process for `rnnkit align`.

    Args:
        ids: For each side the id of each token.
        rules: How lines are encoded.
    """

    def __init__(self, ids: Sequence[Mapping[str, int]], rules: EncodingRules) -> None:
        self._lookups = [side.get for side in ids]
        self._dtypes = [np.uint16 if len(side) < (1 << 16) - EOS else np.int32 for side in ids]
        self._rules = rules
        self._filters = rules.filters()

    def process(self, blocks: Sequence[LineBlock]) -> EncodedBlock:
        """Encode one block of each side with the same lines. Raises DataError if one is not text."""
        sides = [block.decode(MAX_TOKEN_LINE_BYTES) for block in blocks]
        dropped: Counter[str] = Counter()
        ids: list[list[int]] = [[] for _ in sides]
        lengths: list[list[int]] = [[] for _ in sides]
        truncated, fingerprints, kept_lines = [], [], []
        for index, lines in enumerate(zip(*sides, strict=True)):
            sentence = [line.split() for line in lines]
            reason = next((filter.reason for filter in self._filters if filter.drops(sentence)), None)
            if reason is not None:
                dropped[reason] += 1
                continue
            is_truncated = False
            for tokens, lookup, side_ids, side_lengths in zip(sentence, self._lookups, ids, lengths, strict=True):
                found = [lookup(token, UNK) for token in tokens]
                found.append(EOS)
                kept = self._rules.truncate(found)
                is_truncated |= len(kept) < len(found)
                side_ids += kept
                side_lengths.append(len(kept))
            truncated.append(is_truncated)
            kept_lines.append(index)
            if self._rules.deduplicate:
                fingerprints.append(fingerprint(sentence))
        return EncodedBlock(
            blocks[0].lines,
            dropped,
            tuple(
                (np.array(side_ids, dtype), np.array(side_lengths, np.int64))
                for side_ids, side_lengths, dtype in zip(ids, lengths, self._dtypes, strict=True)
            ),
            np.array(truncated, np.bool_),
            np.array(fingerprints, np.uint64) if self._rules.deduplicate else None,
            np.array(kept_lines, np.int32),
        )

    def finish(self) -> None:
        """Do nothing: there is no result beyond the blocks."""


class Deduplicator:
    """Drops sentences that occurred before. Memory grows by 8 bytes of hash per distinct sentence."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def deduplicate(self, block: EncodedBlock) -> EncodedBlock:
        """Return the block without duplicates; blocks must come in order."""
        if block.fingerprints is None:
            return block
        duplicate = np.zeros(len(block.fingerprints), np.bool_)
        for index, fingerprint in enumerate(block.fingerprints.tolist()):
            duplicate[index] = fingerprint in self._seen
            self._seen.add(fingerprint)
        return block.without(duplicate, DUPLICATE)


class RawLineCopier:
    """Copies the raw lines of the kept sentences of one split into the data, block by block.

    A split without raw lines on every side has nothing copied. A context manager: the files are complete when its block
    ends.

    Args:
        folder: Directory of the data.
        split: The split.
        sides: Languages, the source first.
        line_range: Half-open range of encoded line indices, from 0; None for all.
    """

    def __init__(
        self, folder: Path, split: CorpusSplit, sides: Sequence[str], line_range: tuple[int, int] | None = None
    ) -> None:
        self._copies: list[tuple[Path, Iterator[str], IO[bytes]]] = []
        self._opened = ExitStack()
        found = [file.raw for file in split.files if file.raw is not None]
        if len(found) < len(sides):
            return
        start, stop = line_range or (0, None)
        for path, side in zip(found, sides, strict=True):
            output = self._opened.enter_context(raw_text_path(folder, split.name, side).open("wb"))
            self._copies.append((path, islice(read_raw_lines(path), start, stop), output))

    def append(self, block: EncodedBlock) -> None:
        """Copy the lines of the sentences of a block.

        Raises:
            ArtefactError: There are fewer raw lines than lines of tokens.
            DataError: As `read_raw_lines`.
        """
        for path, lines, output in self._copies:
            read = list(islice(lines, block.lines))
            if len(read) < block.lines:
                raise ArtefactError(
                    f"{path} has fewer lines than its token file",
                    hint="tokenize the text again with --overwrite",
                    path=path,
                )
            output.write(encode_raw_lines(read[line] for line in block.kept_lines.tolist()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._opened.close()
