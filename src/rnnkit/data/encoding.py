"""Blocks of token lines to ids: what each process does for `rnnkit align`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from rnnkit.data import sentence_filters
from rnnkit.data.aligned_data import raw_text_path
from rnnkit.data.corpus_splits import CorpusSplit
from rnnkit.data.sentence_filters import SentenceFilter
from rnnkit.errors import ArtefactError
from rnnkit.io.npy import IntArray
from rnnkit.text.blocks import LineBlock
from rnnkit.text.special_tokens import EOS, UNK
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES, encode_raw_lines, read_raw_lines


@dataclass(frozen=True)
class EncodingRules:
    """What becomes of the lines of one part.

    Attributes:
        drop_empty: Leave out lines with an empty side.
        drop_longer: Leave out longer sentences than this, the end symbol counted; None for none.
        max_ratio: Leave out pairs with one side more than so many times as long; None for none.
        features: Whether tokens may be features, which `max_ratio` does not count.
        held_out: Fingerprints of lines to be left out; None for none.
        separator: Between the tokens that those are of.
        duplicates: Leave out lines that were there before.
        limit: Where longer sentences are cut, the end symbol counted; None for nowhere.
        cut_right: Whether they are cut at their end.
    """

    drop_empty: bool = True
    drop_longer: int | None = None
    max_ratio: float | None = None
    features: bool = False
    held_out: frozenset[int] | None = None
    separator: str = " "
    duplicates: bool = False
    limit: int | None = None
    cut_right: bool = True

    def filters(self) -> list[SentenceFilter]:
        """The grounds on which a line is left out by itself, cheap ones first; those of `duplicates` come behind."""
        chosen = [sentence_filters.empty_filter()] if self.drop_empty else []
        if self.drop_longer is not None:
            chosen.append(sentence_filters.max_length_filter(self.drop_longer))
        if self.max_ratio is not None:
            chosen.append(sentence_filters.length_ratio_filter(self.max_ratio, self.features))
        if self.held_out is not None:
            chosen.append(sentence_filters.leakage_filter(self.held_out, self.separator))
        return chosen


@dataclass(frozen=True)
class EncodedBlock:
    """The sentences of a block.

    Attributes:
        lines: Lines read.
        dropped: Lines left out, by reason.
        sides: For each side the ids of all sentences, EOS at the end of each, and the sentences' lengths.
        cut: Whether each sentence was cut, on any side; shape (sentences,).
        fingerprints: Of each sentence, where duplicates are to be dropped.
        kept: Number of each sentence's line in the block, from 0; shape (sentences,).
    """

    lines: int
    dropped: Mapping[str, int]
    sides: tuple[tuple[IntArray, IntArray], ...]
    cut: NDArray[np.bool_]
    fingerprints: NDArray[np.uint64] | None
    kept: NDArray[np.int32]

    def without(self, unwanted: NDArray[np.bool_], reason: str) -> EncodedBlock:
        """The block without some of its sentences, shape (sentences,)."""
        kept = ~unwanted
        sides = tuple((ids[np.repeat(kept, lengths)], lengths[kept]) for ids, lengths in self.sides)
        dropped = {**self.dropped, reason: int(unwanted.sum())}
        return EncodedBlock(self.lines, dropped, sides, self.cut[kept], None, self.kept[kept])


class EncodeWorker:
    """Looks up the ids of blocks.

    Args:
        ids: For each side the id of each token.
        rules: What becomes of the lines.
    """

    def __init__(self, ids: Sequence[Mapping[str, int]], rules: EncodingRules) -> None:
        self._lookups = [side.get for side in ids]
        self._dtypes = [np.uint16 if len(side) < (1 << 16) - EOS else np.int32 for side in ids]
        self._rules = rules
        self._filters = rules.filters()

    def do(self, blocks: Sequence[LineBlock]) -> EncodedBlock:
        """The sentences of one block of each side, of the same lines. Raises DataError where one is no text."""
        sides = [block.decode(MAX_TOKEN_LINE_BYTES) for block in blocks]
        dropped: Counter[str] = Counter()
        ids: list[list[int]] = [[] for _ in sides]
        lengths: list[list[int]] = [[] for _ in sides]
        cuts, prints, kept = [], [], []
        for number, lines in enumerate(zip(*sides, strict=True)):
            sentence = [line.split() for line in lines]
            reason = next((ground.reason for ground in self._filters if ground.drops(sentence)), None)
            if reason is not None:
                dropped[reason] += 1
                continue
            cut = False
            for tokens, lookup, flat, counts in zip(sentence, self._lookups, ids, lengths, strict=True):
                found = [lookup(token, UNK) for token in tokens]
                found.append(EOS)
                limit = self._rules.limit
                if limit is not None and len(found) > limit:
                    found, cut = [*found[: limit - 1], EOS] if self._rules.cut_right else found[-limit:], True
                flat += found
                counts.append(len(found))
            cuts.append(cut)
            kept.append(number)
            if self._rules.duplicates:
                prints.append(sentence_filters.fingerprint(sentence))
        return EncodedBlock(
            blocks[0].lines,
            dropped,
            tuple(
                (np.array(flat, kind), np.array(counts, np.int64))
                for flat, counts, kind in zip(ids, lengths, self._dtypes, strict=True)
            ),
            np.array(cuts, np.bool_),
            np.array(prints, np.uint64) if self._rules.duplicates else None,
            np.array(kept, np.int32),
        )

    def finish(self) -> None:
        """Nothing is gathered."""


class Deduplicator:
    """Finds sentences that were there before. Remembers 8 bytes of each: memory grows with the sentences."""

    def __init__(self) -> None:
        self._met: set[int] = set()

    def drop(self, block: EncodedBlock) -> EncodedBlock:
        """The block without them; blocks are to come in their order."""
        if block.fingerprints is None:
            return block
        again = np.zeros(len(block.fingerprints), np.bool_)
        for place, found in enumerate(block.fingerprints.tolist()):
            again[place] = found in self._met
            self._met.add(found)
        return block.without(again, sentence_filters.DUPLICATE)


class RawLineCopier:
    """Copies the raw lines of one part, block by block; of a part without them, nothing.

    A context manager: the files are whole when its block ends.

    Args:
        folder: Where they are copied to.
        part: The part; raw lines are copied if each of its files has some.
        sides: Languages, the source first.
        span: Lines of the files that are aligned, from 0: the first, and the one behind the last. None for all.
    """

    def __init__(
        self, folder: Path, part: CorpusSplit, sides: Sequence[str], span: tuple[int, int] | None = None
    ) -> None:
        self._copies: list[tuple[Path, Iterator[str], IO[bytes]]] = []
        self._opened = ExitStack()
        found = [file.raw for file in part.files if file.raw is not None]
        if len(found) < len(sides):
            return
        start, stop = span or (0, None)
        for path, side in zip(found, sides, strict=True):
            output = self._opened.enter_context(raw_text_path(folder, part.name, side).open("wb"))
            self._copies.append((path, islice(read_raw_lines(path), start, stop), output))

    def append(self, block: EncodedBlock) -> None:
        """Copy the lines of the sentences that a block has kept.

        Raises:
            ArtefactError: There are fewer raw lines than lines of tokens.
            DataError: As `raw_lines.read`.
        """
        for path, lines, output in self._copies:
            read = list(islice(lines, block.lines))
            if len(read) < block.lines:
                raise ArtefactError(
                    f"{path} has fewer lines than its token file", hint="tokenize the text again with --overwrite"
                )
            output.write(encode_raw_lines(read[line] for line in block.kept.tolist()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the files."""
        self._opened.close()
