"""The options and the result of `rnnkit extract`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from rnnkit.io.safe_reading import Repairs
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, changed, option
from rnnkit.stages import shared_options as shared
from rnnkit.text.duplicates import SplitDuplicates
from rnnkit.text.tables.records import CHANGES
from rnnkit.text.tables.table_format import FORMATS

_MAX_SHOWN_LABELS = 12


@dataclass(frozen=True)
class ExtractOptions(shared.RepairOptions, shared.OverwriteOptions):
    """Extract columns of tables and annotated corpora as files with one line per row or sentence.

    Reads TSV, CSV, JSON Lines, CoNLL columns, CoNLL-U and fastText's __label__ lines, and writes SPLIT.NAME for each
    split and column, such as train.text and train.label. Names of files contain their split (train, dev, test), or
    --split divides the rows at random. A sentence becomes its values separated by spaces, so that all columns have an
    item per token: white space within a value becomes ␣, an empty value _. In tables, line ends within a value become a
    space.

    --write-back puts predictions, one line per row or sentence, into one column of the original file and keeps every
    other byte. It needs the manifests that the extraction wrote beside its files.
    """

    files: list[Path] = argument(
        help="Tables or annotated corpora, plain or .gz; with --write-back, the original file.", metavar="FILE"
    )
    columns: list[str] = option(
        (),
        help="Columns, by name or as NAME=COLUMN, where COLUMN is a name or a number, 1 for the first, -1 for the "
        "last; NAME ends the names of the files. CoNLL columns have the names token=1 and tag=-1.",
        metavar="NAME[=COLUMN]",
        shown_default="form,upos of CoNLL-U; token,tag of CoNLL; text,label of __label__ lines",
        variable="EXTRACT_COLUMNS",
    )
    format: str | None = option(
        None, help="Format of the files.", choices=tuple(FORMATS), shown_default="detected by name and content"
    )
    header: bool | None = option(
        None,
        help="Whether the first row of TSV and CSV is a header.",
        shown_default="yes if --columns has names",
    )
    delimiter: str | None = option(
        None,
        help="Character between the columns of TSV and CSV.",
        shown_default="detected",
        variable="EXTRACT_DELIMITER",
    )
    quotes: bool | None = option(
        None,
        help="Whether a field of TSV and CSV that begins with a double quote ends with one and may contain line ends.",
        shown_default="yes for CSV, no for TSV",
    )
    split: list[str] = option(
        (),
        help="Divide all rows among splits at random, instead of by the name of the file.",
        metavar="SPLIT=FRACTION",
        panel="Split",
        variable="EXTRACT_SPLIT",
    )
    group: str | None = option(
        None,
        help="Column by which --split groups rows: rows with the same value are in the same split. Without it, equal "
        "rows are.",
        metavar="COLUMN",
        panel="Split",
    )
    seed: int = option(1, help="Random seed of --split.", minimum=0, panel="Split")
    write_back: Path | None = option(
        None,
        help="Predictions to write into the column of the original file, one line per row or sentence; - is standard "
        "input.",
        panel="Write back",
    )
    extracted: Path | None = option(
        None,
        help="Folder with the extracted files of the original and their manifests.",
        shown_default="the folder of the predictions, or the current one",
        panel="Write back",
    )
    output: Path | None = option(
        None,
        help="Folder for the files; with --write-back, the file to write.",
        shown_default="current folder",
        panel="Output",
    )
    _: KW_ONLY
    repair: bool = changed(
        shared.RepairOptions, "repair", help="Skip broken rows and count them, instead of ending with an error."
    )


@dataclass(frozen=True)
class SourceSummary:
    """A file that was read.

    Attributes:
        path: The file.
        layout: How it was read, such as `CSV with a header`.
        rows: Rows or sentences.
        unit: `rows` or `sentences`.
        blank: Blank lines between the rows of a table.
        changes: Number of changed values, by the keys of `CHANGES`.
    """

    path: Path
    layout: str
    rows: int
    unit: str
    blank: int
    changes: Mapping[str, int]

    def __str__(self) -> str:
        """Return the summary in one line."""
        facts = [self.layout, f"{self.rows:,} {self.unit}"]
        facts += [f"blank lines skipped ({self.blank:,})"] if self.blank else []
        facts += [text.format(self.changes[key]) for key, text in CHANGES.items() if self.changes.get(key)]
        return f"{self.path}: {', '.join(facts)}"

    def as_dict(self) -> JsonObject:
        """Return the summary as JSON."""
        return {
            "path": str(self.path),
            "layout": self.layout,
            "rows": self.rows,
            "unit": self.unit,
            "blank_lines": self.blank,
            "changes": {key: count for key, count in self.changes.items() if count},
        }


@dataclass(frozen=True)
class ExtractedFile:
    """A file that was written.

    Attributes:
        path: The file.
        split: Its split.
        column: Name of its column.
        lines: Number of lines.
        blank: Number of empty lines, from empty values of a table.
        tokens: Items of the lines of a sentence; None for a table.
        labels: Labels with their counts, the most frequent first; None if the column does not look like labels.
    """

    path: Path
    split: str
    column: str
    lines: int
    blank: int
    tokens: int | None
    labels: Mapping[str, int] | None

    def __str__(self) -> str:
        """Return the summary in one line."""
        tokens = "" if self.tokens is None else f", {self.tokens:,} tokens"
        blank = f", empty lines ({self.blank:,})" if self.blank else ""
        return f"{self.path}: {self.lines:,} lines{tokens}{blank}{self._describe_labels()}"

    def _describe_labels(self) -> str:
        if self.labels is None:
            return ""
        shown = [f"{label} {count:,}" for label, count in self.labels.items()][:_MAX_SHOWN_LABELS]
        more = len(self.labels) - len(shown)
        return f", {len(self.labels):,} labels: {', '.join(shown)}{f' and {more:,} more' if more else ''}"

    def as_dict(self) -> JsonObject:
        """Return the summary as JSON."""
        return {
            "path": str(self.path),
            "split": self.split,
            "column": self.column,
            "lines": self.lines,
            "empty_lines": self.blank,
            "tokens": self.tokens,
            "labels": None if self.labels is None else dict(self.labels),
        }


@dataclass(frozen=True)
class ExtractResult:
    """What was read and written.

    Attributes:
        sources: The files that were read.
        files: The files that were written.
        duplicates: Lines of one column that occur in several splits.
        compared: Name of that column.
        repairs: Skipped rows of each file, with `--repair`.
    """

    sources: tuple[SourceSummary, ...]
    files: tuple[ExtractedFile, ...]
    duplicates: tuple[SplitDuplicates, ...]
    compared: str
    repairs: tuple[Repairs, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (*map(str, self.sources), *map(str, self.files), *self._describe_duplicates())

    def _describe_duplicates(self) -> list[str]:
        return [
            f"duplicates: {each.lines:,} of {each.compared:,} lines of {each.split}.{self.compared} occur in "
            f"{each.other}.{self.compared}"
            for each in self.duplicates
            if each.lines
        ]

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {
            "sources": [each.as_dict() for each in self.sources],
            "files": [each.as_dict() for each in self.files],
            "duplicates": [
                {
                    "column": self.compared,
                    "split": each.split,
                    "other": each.other,
                    "lines": each.lines,
                    "compared": each.compared,
                }
                for each in self.duplicates
            ],
            "repairs": [each.as_dict() for each in self.repairs if each.counts],
        }


@dataclass(frozen=True)
class WriteBackResult:
    """The file with predictions.

    Attributes:
        output: The file.
        rows: Rows or sentences that received a prediction.
        changed: Those whose bytes differ from the original.
        unit: `rows` or `sentences`.
    """

    output: Path
    rows: int
    changed: int
    unit: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (f"{self.output}: predictions of {self.rows:,} {self.unit}, {self.changed:,} of them changed",)

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {"output": str(self.output), "rows": self.rows, "changed": self.changed, "unit": self.unit}
