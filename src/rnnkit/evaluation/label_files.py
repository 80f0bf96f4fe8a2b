"""Files of labels: reference, hypotheses and probabilities, and checks that they match line by line.

A file has one label per line (classification), a set of labels per line (multi-label classification), or one label per
word, separated by blanks (tagging). Hypotheses may also be JSON Lines as `decode --json` writes them: objects with
`label` and `probability`, or for the other two forms with `labels` or `tags`, and `probabilities`: a list, or an object
with the probabilities of all labels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import DataError
from rnnkit.evaluation.label_metrics import Ids
from rnnkit.evaluation.segments import read_hypotheses, read_nonempty_lines, source_name
from rnnkit.io.safe_reading import parse_json
from rnnkit.json_types import JsonValue
from rnnkit.options.declare import STDIN
from rnnkit.text.lines import read_lines

LINE, WORD, SET = "line", "word", "set"
"""Forms of a file: one label per line, one per word, a set of labels per line."""

RECORD_KEYS = {LINE: ("label", "probability"), WORD: ("tags", "probabilities"), SET: ("labels", "probabilities")}
"""Keys of a JSON record: of the labels, and of their probabilities."""

EXPECTED = "expected one label per line or word"
COLUMNS_HINT = (
    "a sentence is a line, its tags are separated by blanks: `rnnkit extract FILE` makes such files of columns"
)


@dataclass(frozen=True)
class LabelRows:
    """Labels of a file.

    Attributes:
        path: The file.
        rows: Labels of each line.
        probabilities: Probability of each label, by line; None if the file has none.
    """

    path: Path
    rows: list[list[str]]
    probabilities: list[list[float]] | None = None

    def where(self, line: int) -> str:
        """Return the location of a line, counted from 0."""
        return f"{source_name(self.path)}:{line + 1}"


@dataclass(frozen=True)
class EncodedLabels:
    """Labels of a file as ids.

    Attributes:
        ids_N: Ids of all labels, line by line.
        lengths_U: Number of labels of each line.
    """

    ids_N: Ids
    lengths_U: Ids

    @property
    def units_N(self) -> Ids:
        """Line of each label."""
        return np.repeat(np.arange(len(self.lengths_U)), self.lengths_U)


def detect_form(lines: Iterable[str]) -> str:
    """Return `WORD` if any line has more than one label, otherwise `LINE`."""
    return WORD if any(len(line.split(None, 1)) > 1 for line in lines) else LINE


def read_reference(path: Path, form: str | None) -> tuple[LabelRows, str]:
    """Read a reference.

    Args:
        path: The file; `-` is standard input.
        form: The form of the file; None to detect it.

    Returns:
        The labels, and the form.

    Raises:
        DataError: The file is missing, empty, not text, or has no labels, or a line has none where it needs one.
    """
    lines = read_nonempty_lines(path, EXPECTED)
    form = form or detect_form(lines)
    rows = _split(lines, form)
    if not any(rows):
        raise DataError(f"{source_name(path)} holds only blank lines", "there is no label to compare with", path=path)
    labels = LabelRows(path, rows)
    _check_not_blank(labels, form)
    return labels, form


def read_labels(path: Path, reference: LabelRows, form: str) -> LabelRows:
    """Read hypotheses, as plain text or JSON Lines.

    Args:
        path: The file; `-` is standard input.
        reference: The reference, whose numbers of lines and words they must have.
        form: The form of the reference.

    Raises:
        DataError: The file is missing, empty or not text, a record is malformed, or lines or words do not match.
    """
    lines = read_hypotheses(path, [reference.path]) if path == STDIN else read_nonempty_lines(path, EXPECTED)
    labels = _parse_records(path, lines, form) if _are_records(lines) else LabelRows(path, _split(lines, form))
    check_same_lines(labels, reference)
    _check_not_blank(labels, form)
    if form == WORD:
        check_same_lengths(labels, reference)
    return labels


def _split(lines: Sequence[str], form: str) -> list[list[str]]:
    """Split lines into labels."""
    if form == LINE:
        return [[label] if (label := line.strip()) else [] for line in lines]
    rows = [line.split() for line in lines]
    return [list(dict.fromkeys(row)) for row in rows] if form == SET else rows


def _check_not_blank(labels: LabelRows, form: str) -> None:
    """Check that no line lacks its label."""
    blank = next((line for line, row in enumerate(labels.rows) if not row), None)
    if form == LINE and blank is not None:
        raise DataError(
            f"{labels.where(blank)}: there is no label",
            "expected one label per line",
            hint=COLUMNS_HINT,
            path=labels.path,
            line=blank + 1,
        )


def check_single_labels(labels: LabelRows, reference: LabelRows) -> None:
    """Check that hypotheses have one word per line, as a reference whose form was detected by this.

    Raises:
        DataError: A line has several.
    """
    several = next((line for line, row in enumerate(labels.rows) if len(row[0].split(None, 1)) > 1), None)
    if several is not None:
        raise DataError(
            f"{labels.where(several)}: {len(labels.rows[several][0].split())} labels, and each line of "
            f"{source_name(reference.path)} has one",
            hint="--multi-label compares sets of labels, and --label-level line labels that contain blanks",
            path=labels.path,
            line=several + 1,
        )


def check_same_lines(labels: LabelRows, reference: LabelRows) -> None:
    """Check that two files have the same number of lines.

    Raises:
        DataError: The numbers differ.
    """
    shorter, longer = sorted((labels, reference), key=lambda each: len(each.rows))
    count = len(shorter.rows)
    if count != len(longer.rows):
        first, second = source_name(labels.path), source_name(reference.path)
        raise DataError(
            f"{first} and {second} differ in length",
            f"{first} has {len(labels.rows):,} lines, {second} has {len(reference.rows):,}",
            f"{longer.where(count)} has no counterpart",
            path=longer.path,
            line=count + 1,
        )


def check_same_lengths(labels: LabelRows, reference: LabelRows, what: str = "labels") -> None:
    """Check that two files have the same number of labels on each line.

    Args:
        labels: The file to check.
        reference: The reference.
        what: What the file holds.

    Raises:
        DataError: The numbers differ on a line.
    """
    pairs = zip(labels.rows, reference.rows, strict=True)
    wrong = next((line for line, (row, other) in enumerate(pairs) if len(row) != len(other)), None)
    if wrong is not None:
        raise DataError(
            f"{labels.where(wrong)}: {len(labels.rows[wrong]):,} {what}, and {reference.where(wrong)} has "
            f"{len(reference.rows[wrong]):,} labels",
            hint="each word needs one label, and each line the same number in both files",
            path=labels.path,
            line=wrong + 1,
        )


def _are_records(lines: Sequence[str]) -> bool:
    """Return whether lines are JSON Lines: the first is an object with labels."""
    first = lines[0].lstrip()
    if not first.startswith("{"):
        return False
    try:
        record = parse_json(first)
    except ValueError:
        return False
    return isinstance(record, dict) and any(key in record for key, _ in RECORD_KEYS.values())


def _parse_records(path: Path, lines: Sequence[str], form: str) -> LabelRows:
    """Parse JSON Lines. Probabilities are used if every record has them."""
    label_key, probability_key = RECORD_KEYS[form]
    rows: list[list[str]] = []
    probabilities: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        where = f"{source_name(path)}:{number}"
        record = _parse_record(line, where, path, number)
        labels = record.get(label_key)
        row = [labels] if form == LINE and isinstance(labels, str) else labels
        if not isinstance(row, list) or not all(isinstance(label, str) and label for label in row):
            expected = "a label" if form == LINE else "a list of labels"
            raise DataError(f'{where}: "{label_key}" is not {expected}', path=path, line=number)
        if form == SET and len(set(row)) < len(row):
            raise DataError(f'{where}: "{label_key}" has a label twice', path=path, line=number)
        rows.append(row)
        if probability_key in record:
            found = _select_probabilities(record[probability_key], row)
            probabilities.append([_probability(value, where, path, number) for value in found])
            _check_count(found, row, where, path, number)
    return LabelRows(path, rows, probabilities if len(probabilities) == len(rows) else None)


def _select_probabilities(values: JsonValue, row: Sequence[str]) -> Sequence[JsonValue]:
    """Return the probabilities of predicted labels: a list has them, an object has those of all labels by name."""
    if isinstance(values, dict):
        return [values.get(label) for label in row]
    return values if isinstance(values, list) else [values]


def _parse_record(line: str, where: str, path: Path, number: int) -> Mapping[str, JsonValue]:
    try:
        record = parse_json(line)
    except UnicodeError:
        raise DataError(f"{where}: half of a surrogate pair in a label", path=path, line=number) from None
    except ValueError as error:
        raise DataError(f"{where}: not a JSON object", str(error), path=path, line=number) from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: not a JSON object", path=path, line=number)
    return record


def _probability(value: JsonValue, where: str, path: Path, number: int) -> float:
    """Convert a probability.

    Raises:
        DataError: It is not a number from 0 to 1.
    """
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not 0 <= found <= 1:
        raise DataError(
            f"{where}: {value!r:.40} is not a probability", "expected a number from 0 to 1", path=path, line=number
        )
    return found


def _check_count(found: Sequence[object], row: Sequence[str], where: str, path: Path, number: int) -> None:
    if len(found) != len(row):
        raise DataError(
            f"{where}: {len(found):,} probabilities for {len(row):,} labels",
            "expected the probability of each predicted label",
            path=path,
            line=number,
        )


def read_probabilities(path: Path, hypotheses: LabelRows, form: str) -> list[list[float]]:
    """Read the probability of each predicted label: numbers separated by blanks, or JSON Lines.

    Args:
        path: The file.
        hypotheses: The predicted labels. Records must have the same.
        form: The form of the hypotheses.

    Raises:
        DataError: The file is missing, empty or not text, does not match the hypotheses, or has something else than
            probabilities.
    """
    lines = read_nonempty_lines(path, "expected the probability of each predicted label")
    if _are_records(lines):
        records = _parse_records(path, lines, form)
        check_same_lines(records, hypotheses)
        _check_same_labels(records, hypotheses)
        if records.probabilities is None:
            key = RECORD_KEYS[form][1]
            raise DataError(f'{source_name(path)} has records without "{key}"', path=path)
        return records.probabilities
    numbers = LabelRows(path, [line.split() for line in lines])
    check_same_lines(numbers, hypotheses)
    found: list[list[float]] = []
    for number, (words, row) in enumerate(zip(numbers.rows, hypotheses.rows, strict=True), start=1):
        where = numbers.where(number - 1)
        _check_count(words, row, where, path, number)
        found.append([_probability(word, where, path, number) for word in words])
    return found


def _check_same_labels(records: LabelRows, hypotheses: LabelRows) -> None:
    pairs = zip(records.rows, hypotheses.rows, strict=True)
    wrong = next((line for line, (row, other) in enumerate(pairs) if row != other), None)
    if wrong is not None:
        raise DataError(
            f"{records.where(wrong)}: other labels than {hypotheses.where(wrong)}",
            "the probabilities are those of other hypotheses",
            hint="hypotheses may be the JSON Lines themselves: --hypotheses FILE",
            path=records.path,
            line=wrong + 1,
        )


def read_known_words(text: Path, train_text: Path, reference: LabelRows) -> NDArray[np.bool]:
    """Return for each word of a text whether it occurs in the training text.

    Args:
        text: The words that the reference labels, one sentence per line, separated by blanks.
        train_text: The training text, in the same form.
        reference: The tags of the words.

    Raises:
        DataError: A file is missing or not text, or lines or words do not match.
    """
    words = LabelRows(text, [line.split() for line in read_nonempty_lines(text)])
    check_same_lines(words, reference)
    check_same_lengths(words, reference, what="words")
    known: set[str] = set()
    for line in read_lines(train_text):
        known.update(line.split())
    return np.fromiter((word in known for row in words.rows for word in row), dtype=bool)


def encode_labels(files: Sequence[LabelRows]) -> tuple[tuple[str, ...], list[EncodedLabels]]:
    """Encode the labels of several files.

    Returns:
        All labels in alphabetical order, and the ids of each file.
    """
    labels = sorted(set(itertools.chain.from_iterable(row for file in files for row in file.rows)))
    ids = {label: index for index, label in enumerate(labels)}
    return tuple(labels), [
        EncodedLabels(
            np.fromiter(map(ids.__getitem__, itertools.chain.from_iterable(file.rows)), dtype=np.int64),
            np.fromiter(map(len, file.rows), dtype=np.int64, count=len(file.rows)),
        )
        for file in files
    ]
