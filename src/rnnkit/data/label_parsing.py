"""Files of labels: found beside the text, read in step with it, and checked.

A label file has one line per line of the text, which is one of

    line     the label of the whole text; the label can contain blanks
    word     the tag of each word, separated by blanks
    many     the labels of the text, separated by blanks; may be empty                       (`LabelForm.many`)
    soft     LABEL=PROBABILITY for each possible label, separated by blanks                   (`LabelForm.soft`)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

from rnnkit.errors import DataError
from rnnkit.text.lines import read_lines

WORD: Final = "word"
LINE: Final = "line"
AUTO: Final = "auto"
LEVELS: Final = (AUTO, LINE, WORD)
"""What has a label; `auto` detects it."""

MAX_TAG_MISMATCH: Final = 0.1
"""Share of lines with another number of labels than words up to which labels are taken to be of words.

A file of tags with some damaged lines stays below it; one with a label per line reaches it unless most texts are a
single word.
"""

_BLANKS = re.compile("[ \t]+")


@dataclass(frozen=True)
class LabelForm:
    """How a line of labels is read.

    Attributes:
        level: `line` or `word`.
        many: Whether a text can have several labels.
        soft: Whether each label has a probability.
    """

    level: str
    many: bool = False
    soft: bool = False


@dataclass(frozen=True)
class LabelLine:
    """The labels of a line of text.

    Attributes:
        labels: One label, the tag of each word, or several labels.
        shares: Probability of each label, summing to 1, if labels are soft.
    """

    labels: tuple[str, ...]
    shares: tuple[float, ...] | None = None


def split_words(line: str) -> list[str]:
    """Split a line into words or tags at blanks and tabs. Other white space, such as U+00A0, is part of a word."""
    return [word for word in _BLANKS.split(line) if word]


def read_in_step(text: Path, others: Sequence[Path]) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yield the number of each line, the line of text, and those of the other files.

    Raises:
        DataError: A file is missing or not text, or the files have different numbers of lines.
    """
    iterators = [read_lines(path) for path in (text, *others)]
    for number, lines in enumerate(zip_longest(*iterators), start=1):
        if None in lines:
            short = [path for path, line in zip((text, *others), lines, strict=True) if line is None]
            longer = next(path for path, line in zip((text, *others), lines, strict=True) if line is not None)
            raise DataError(
                f"{short[0]} has {number - 1:,} lines, and {longer} has more",
                "text and labels must have the same number of lines",
                hint=f"compare them at line {number - 1:,}; every line of text has a line of labels",
                path=short[0],
                line=max(1, number - 1),
            )
        first, *rest = lines
        yield number, first, tuple(rest)


@dataclass
class _LevelCounts:
    """Lines of a label file by what they have room for."""

    lines: int = 0
    words: int = 0
    single: int = 0
    mismatched: int = 0
    first_mismatch: int = 0


def detect_level(text: Path, labels: Path) -> str:
    """Detect whether labels are of lines or of words, from the numbers of words and labels of each line.

    Raises:
        DataError: As `read_in_step`.
    """
    counts = _LevelCounts()
    for _, words, (line,) in read_in_step(text, [labels]):
        found, expected = len(split_words(line)), len(split_words(words))
        counts.lines += 1
        counts.words += expected
        counts.single += found == 1
        counts.mismatched += found != expected
    if counts.single == counts.lines and counts.words > counts.lines:
        return LINE
    return WORD if counts.mismatched <= MAX_TAG_MISMATCH * counts.lines and counts.words > counts.lines else LINE


def parse_labels(line: str, words: int, form: LabelForm, path: Path, number: int) -> LabelLine:
    """Read a line of labels.

    Args:
        line: The line.
        words: Number of words of the text.
        form: How to read it.
        path: The file, for messages.
        number: Number of the line, from 1.

    Raises:
        DataError: The line has another number of tags than words, no label, or an invalid probability.
    """
    if form.soft:
        return _parse_soft(line, path, number)
    if form.many:
        return LabelLine(tuple(dict.fromkeys(split_words(line))))
    if form.level == LINE:
        label = " ".join(split_words(line))
        if not label:
            raise DataError(f"{path}:{number}: there is no label", "every text needs one", path=path, line=number)
        return LabelLine((label,))
    tags = tuple(split_words(line))
    if len(tags) != words:
        raise DataError(
            f"{path}:{number}: {len(tags)} labels for {words} words",
            "every word needs one label",
            hint="words and labels are separated by blanks; --label-level line reads one label per line",
            path=path,
            line=number,
        )
    return LabelLine(tags)


def _parse_soft(line: str, path: Path, number: int) -> LabelLine:
    """Read `LABEL=PROBABILITY …`; probabilities are normalized to sum to 1."""
    found: dict[str, float] = {}
    for item in split_words(line):
        label, equals, share = item.rpartition("=")
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if not equals or not label or not math.isfinite(value) or value < 0 or label in found:
            raise DataError(
                f"{path}:{number}: {item} is not LABEL=PROBABILITY",
                "soft labels have one probability of at least 0 for each label",
                path=path,
                line=number,
            )
        found[label] = value
    total = sum(found.values())
    if not total > 0:
        raise DataError(f"{path}:{number}: no label has a probability above 0", path=path, line=number)
    kept = {label: share / total for label, share in found.items() if share > 0}
    return LabelLine(tuple(kept), tuple(kept.values()))


def parse_weight(line: str, path: Path, number: int) -> float:
    """Read the weight of a text.

    Raises:
        DataError: It is not a finite number of at least 0.
    """
    try:
        weight = float(line)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight) or weight < 0:
        raise DataError(
            f"{path}:{number}: {line.strip() or 'an empty line'} is not a weight",
            "the weight of a text is a number of at least 0",
            path=path,
            line=number,
        )
    return weight
