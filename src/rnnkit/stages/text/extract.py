"""`rnnkit extract`: columns of tables and annotated corpora as files with one line per row or sentence."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, Progress, WarningEvent, null_listener
from rnnkit.io import manifest
from rnnkit.io.artifact_output import artifact_file
from rnnkit.io.safe_reading import Repairs, spool_pipes
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import STDIN
from rnnkit.options.record import as_dict
from rnnkit.stages.outputs import check_output_file
from rnnkit.stages.text import write_back
from rnnkit.stages.text.extract_options import (
    ExtractedFile,
    ExtractOptions,
    ExtractResult,
    SourceSummary,
    WriteBackResult,
)
from rnnkit.text.duplicates import MAX_HASHES, DuplicateCounter
from rnnkit.text.label_counts import LabelCounter, look_like_labels
from rnnkit.text.lines import open_text
from rnnkit.text.row_splits import HashSplit, has_split_name, parse_fractions, split_of_file, split_rank
from rnnkit.text.tables import extraction_manifest, table_format
from rnnkit.text.tables.columns import ColumnSelection, parse_column, parse_columns
from rnnkit.text.tables.extraction_manifest import KIND, VERSION, Extraction
from rnnkit.text.tables.records import Record, TableReader, read_rows
from rnnkit.text.tables.table_format import GivenLayout, TableLayout

EXAMPLE = """\
rnnkit extract en_ewt-ud-train.conllu en_ewt-ud-dev.conllu en_ewt-ud-test.conllu --columns form,upos
rnnkit extract train.tsv dev.tsv test.tsv --columns text=1,label=2      # no header
rnnkit extract all.csv --columns review,stars --split train=0.9,valid=0.05,test=0.05 --group author
rnnkit extract test.conllu --columns upos --write-back test.hyp --output test.tagged.conllu"""

_PROGRESS_ROWS = 1 << 14
"""Rows between two progress events."""


@dataclass(frozen=True)
class _Source:
    """A file to read.

    Attributes:
        path: The file.
        layout: How it is read.
        reader: Its reader, for the selected columns and the one that groups rows.
        split: Its split; None if each row has its own.
        sha256: Its checksum.
    """

    path: Path
    layout: TableLayout
    reader: TableReader
    split: str | None
    sha256: str


class _SplitWriter:
    """Writes the files of a split and counts what it writes.

    Attributes:
        files: The files, one per column.
        labels: Counts of each column.
        rows: Rows by the name of the original file.
    """

    def __init__(self, files: Sequence[IO[str]], labels: Sequence[LabelCounter]) -> None:
        self.files = files
        self.labels = labels
        self.rows: dict[str, int] = {}

    def write(self, source: str, values: Sequence[str]) -> None:
        """Write a line to each file."""
        for file, counter, value in zip(self.files, self.labels, values, strict=True):
            file.write(f"{value}\n")
            counter.add(value)
        self.rows[source] = self.rows.get(source, 0) + 1


def run(options: ExtractOptions, listen: Listener = null_listener) -> ExtractResult | WriteBackResult:
    """Extract the columns, or write predictions back. All files appear together.

    Raises:
        UsageError: Options contradict each other.
        DataError: A file is missing, damaged or of unknown format, a row is broken, a column does not exist, or the
            split of a file is unknown.
        ArtefactError: An output already exists, or is one of the inputs; or an original has changed.
    """
    _check_options(options)
    if options.write_back is not None:
        return write_back.run(options, listen)
    with spool_pipes(options.files) as files:
        return _Extractor(dataclasses.replace(options, files=files), as_dict(options), listen).run()


def _check_options(options: ExtractOptions) -> None:
    if STDIN in options.files:
        raise UsageError(
            "extract does not read standard input",
            "files are read repeatedly, and their names decide about formats and splits",
            hint="`rnnkit extract <(COMMAND)` reads the output of a command",
        )
    if options.group is not None and not options.split:
        raise UsageError("--group needs --split", "it groups the rows that --split divides", option="--group")
    if options.extracted is not None and options.write_back is None:
        raise UsageError(
            "--extracted needs --write-back", hint="--output is the folder to write to", option="--extracted"
        )
    folder = options.output
    if options.write_back is None and folder is not None and folder.exists() and not folder.is_dir():
        raise ArtefactError(f"{folder} is not a folder", "extracted files are written into one", path=folder)


class _Extractor:
    """Extracts the columns of all files.

    Args:
        options: The options.
        given: The options as given, for the manifests.
        listen: Receives events.
    """

    def __init__(self, options: ExtractOptions, given: JsonObject, listen: Listener) -> None:
        self._options = options
        self._given = given
        self._listen = listen
        self._fractions = parse_fractions(options.split)
        self._hash_split = HashSplit(self._fractions, options.seed)
        self._columns = parse_columns(options.columns)
        self._sources = self._open_sources()
        self._splits = sorted(self._fractions or [source.split or "" for source in self._sources], key=split_rank)
        self._duplicates = DuplicateCounter(self._splits)
        self._compared: int | None = None
        self._writers: dict[str, _SplitWriter] = {}
        self._repairs = [Repairs(source.path) for source in self._sources]
        self._first_rows: dict[str, list[str]] = {}

    def _open_sources(self) -> list[_Source]:
        for path in self._options.files:
            with open_text(path):  # a missing file is an error before its name is
                pass
        _check_names(self._options.files)
        splits = [None] * len(self._options.files) if self._fractions else _splits_of_files(self._options.files)
        named = [path.name for path in self._options.files if has_split_name(path)]
        if self._fractions and len(named) > 1:
            self._listen(WarningEvent(f"--split divides all rows of {', '.join(named)}, regardless of their names"))
        return [self._open_source(path, split) for path, split in zip(self._options.files, splits, strict=True)]

    def _open_source(self, path: Path, split: str | None) -> _Source:
        layout = table_format.detect_layout(path, given_layout(self._options), self._columns)
        if not self._columns:
            self._columns = table_format.default_columns(layout)
        if not self._columns:
            raise table_format.missing_columns(path, layout)
        columns = list(self._columns)
        if self._options.group is not None:
            columns.append(ColumnSelection("group", parse_column(self._options.group, "--group")))
        reader = table_format.open_reader(path, layout, columns)
        return _Source(path, layout, reader, split, manifest.sha256(path))

    def run(self) -> ExtractResult:
        """Read all files and write all files."""
        paths = {split: [self._path(split, column) for column in self._columns] for split in self._splits}
        for path in (path for files in paths.values() for path in files):
            check_output_file(self._options, path, KIND)
        with ExitStack() as stack:
            for split, files in paths.items():
                opened = [stack.enter_context(artifact_file(path, KIND, VERSION)) for path in files]
                counters = table_format.open_counters(self._sources[0].layout, self._columns)
                self._writers[split] = _SplitWriter(opened, counters)
            summaries = [
                self._read(source, repairs) for source, repairs in zip(self._sources, self._repairs, strict=True)
            ]
        for split, files in paths.items():
            for path, column in zip(files, self._columns, strict=True):
                extraction_manifest.write(path, self._given, self._extraction(split, column))
        for repairs in self._repairs:
            repairs.warn(self._listen)
        return self._result(summaries, paths)

    def _path(self, split: str, column: ColumnSelection) -> Path:
        return (self._options.output or Path()) / f"{split}.{column.name}"

    def _read(self, source: _Source, repairs: Repairs) -> SourceSummary:
        """Read one file and write its rows."""
        task = f"extract {source.path.name}"
        rows = blank = 0
        for record, values in read_rows(source.path, source.reader, repairs if self._options.repair else None):
            if values is None:
                blank += source.reader.unit == "rows" and record.raw.isspace()
                continue
            split = source.split or self._hash_split(self._split_key(source, record, values))
            self._writers[split].write(source.path.name, values)
            if self._compared is None:
                self._compared = self._text_column(values)
            self._duplicates.add(split, values[self._compared])
            if not rows and source.layout.format in (table_format.TSV, table_format.CSV) and not source.layout.header:
                self._first_rows[source.path.name] = values
            rows += 1
            if rows % _PROGRESS_ROWS == 0:
                self._listen(Progress(task, rows, unit=source.reader.unit))
        self._listen(Progress(task, rows, rows, unit=source.reader.unit, finished=True))
        if not rows:
            skipped = sum(repairs.counts.values())
            why = f"all {skipped:,} are broken" if skipped else f"it is {source.layout}"
            raise DataError(f"{source.path} has no {source.reader.unit}", why, path=source.path)
        reader = source.reader
        return SourceSummary(source.path, str(source.layout), rows, reader.unit, blank, reader.changes)

    def _text_column(self, values: Sequence[str]) -> int:
        """Return the column that is compared between splits: of tokens or, in a table, of the longest value."""
        counters = next(iter(self._writers.values())).labels
        tokens = [place for place, counter in enumerate(counters) if not counter.may_be_labels]
        return tokens[0] if tokens else max(range(len(values)), key=lambda place: len(values[place]))

    def _split_key(self, source: _Source, record: Record, values: list[str]) -> bytes:
        """Return the bytes by which a row is assigned to a split, and remove the group from its values."""
        return values.pop().encode() if self._options.group is not None else source.reader.content(record)

    def _extraction(self, split: str, column: ColumnSelection) -> Extraction:
        writer = self._writers[split]
        sources = [source for source in self._sources if source.split in (None, split)]
        return Extraction(
            split=split,
            column=column,
            columns=tuple(self._columns),
            lines=sum(writer.rows.values()),
            rows=writer.rows,
            layouts={source.path.name: source.layout for source in sources},
            checksums={source.path.name: source.sha256 for source in sources},
            fractions=self._fractions,
            seed=self._options.seed,
            group=self._options.group,
            repair=self._options.repair,
        )

    def _result(self, summaries: Sequence[SourceSummary], paths: dict[str, list[Path]]) -> ExtractResult:
        self._warn_of_empty_splits()
        files = tuple(self._summaries(paths))
        self._warn_of_unseen_labels(files)
        self._warn_of_header(files)
        if not self._duplicates.is_complete:
            self._listen(WarningEvent(f"duplicates were counted in the first {MAX_HASHES:,} lines of each split alone"))
        compared = self._columns[self._compared or 0].name
        duplicates = tuple(self._duplicates.count())
        return ExtractResult(tuple(summaries), files, duplicates, compared, tuple(self._repairs))

    def _summaries(self, paths: dict[str, list[Path]]) -> Iterator[ExtractedFile]:
        is_label = [
            look_like_labels(writer.labels[place] for writer in self._writers.values())
            for place in range(len(self._columns))
        ]
        for split, files in paths.items():
            for place, (path, column) in enumerate(zip(files, self._columns, strict=True)):
                counter = self._writers[split].labels[place]
                tokens = counter.items if self._sources[0].reader.unit == "sentences" else None
                labels = counter.counts if is_label[place] else None
                yield ExtractedFile(path, split, column.name, counter.lines, counter.blank, tokens, labels)

    def _warn_of_empty_splits(self) -> None:
        for split, writer in self._writers.items():
            if not writer.rows:
                self._listen(WarningEvent(f"no row is in the split {split}: there are too few for --split"))

    def _warn_of_unseen_labels(self, files: Sequence[ExtractedFile]) -> None:
        seen = {file.column: file.labels for file in files if file.split == "train" and file.labels is not None}
        for file in files:
            unseen = [label for label in file.labels or () if label not in seen.get(file.column, file.labels or ())]
            if unseen:
                self._listen(
                    WarningEvent(f"{file.path} has labels that train.{file.column} lacks: {', '.join(unseen[:10])}")
                )

    def _warn_of_header(self, files: Sequence[ExtractedFile]) -> None:
        """Warn if the first row has a value that occurs nowhere else in a column of labels: probably its name."""
        if self._options.header is not None:
            return
        tables = [source for source in self._sources if source.path.name in self._first_rows]
        for place, column in enumerate(self._columns):
            counts = sum((Counter(file.labels or {}) for file in files if file.column == column.name), Counter[str]())
            for source in tables:
                value = self._first_rows[source.path.name][place]
                if counts[value] == len(tables) and len(counts) > 1 and not value.isdecimal():
                    self._listen(
                        WarningEvent(f"{source.path}:1: {value!r} may be the name of a column; --header skips the row")
                    )
                    return


def given_layout(options: ExtractOptions) -> GivenLayout:
    """Return what the options give of the layout.

    Raises:
        UsageError: The delimiter is not one character.
    """
    delimiter = "\t" if options.delimiter == "\\t" else options.delimiter
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0' or not delimiter.isascii()):
        raise UsageError(
            f"--delimiter expects one ASCII character, not {options.delimiter!r}",
            "quotes and line ends cannot separate columns",
            option="--delimiter",
        )
    return GivenLayout(options.format, delimiter, options.quotes, options.header)


def _splits_of_files(paths: Sequence[Path]) -> list[str]:
    """Return the split of each file. Raises DataError if one is unknown, or if two files have the same."""
    splits: dict[str, Path] = {}
    for path in paths:
        split = split_of_file(path)
        if split is None:
            raise DataError(
                f"{path}: the name has no split",
                "names of files contain train, valid, dev or test, as in train.tsv or corpus-dev.conllu",
                hint="--split train=0.9,valid=0.05,test=0.05 divides the rows, --split test=1 makes them a test set",
                path=path,
                option="--split",
            )
        if split in splits:
            raise DataError(
                f"{splits[split]} and {path} are both of the split {split}",
                hint="join the files, or rename one: test2 is another split",
                path=path,
            )
        splits[split] = path
    return list(splits)


def _check_names(paths: Sequence[Path]) -> None:
    """Raise UsageError if two files have the same name, by which manifests know them."""
    names: dict[str, Path] = {}
    for path in paths:
        if path.name in names:
            raise UsageError(
                f"two files have the same name: {names[path.name]} and {path}",
                "manifests record the originals by name",
                hint="extract them one by one, or rename one",
            )
        names[path.name] = path
