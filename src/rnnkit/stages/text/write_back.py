"""`rnnkit extract --write-back`: predictions in a column of the original file, every other byte kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, Progress
from rnnkit.io import manifest
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import Repairs
from rnnkit.options.declare import STDIN
from rnnkit.stages.outputs import check_output_file
from rnnkit.stages.text.extract_options import ExtractOptions, WriteBackResult
from rnnkit.text.lines import display_name, read_lines
from rnnkit.text.row_splits import HashSplit, split_rank
from rnnkit.text.tables import extraction_manifest, table_format
from rnnkit.text.tables.columns import ColumnSelection, parse_column, parse_columns
from rnnkit.text.tables.extraction_manifest import Extraction
from rnnkit.text.tables.records import Record, ReplacementError, TableReader, read_rows
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES, parse_name

RECORDED = ("format", "header", "delimiter", "quotes", "group", "split", "repair")
"""Options that apply to the extraction, whose manifest has them."""

_PROGRESS_ROWS = 1 << 14


@dataclass(frozen=True)
class _Original:
    """The file that predictions are written into.

    Attributes:
        path: The file.
        extraction: How it was extracted.
        reader: Reads what was extracted, which decides about broken rows and splits.
        target: Reads and replaces the column.
    """

    path: Path
    extraction: Extraction
    reader: TableReader
    target: TableReader

    def rows(self) -> Iterator[tuple[Record, bool]]:
        """Yield the records, and whether each has a prediction."""
        extraction = self.extraction
        hash_split = HashSplit(extraction.fractions, extraction.seed) if extraction.fractions else None
        repairs = Repairs(self.path) if extraction.repair else None
        for record, values in read_rows(self.path, self.reader, repairs):
            if values is None or hash_split is None:
                yield record, values is not None
                continue
            key = self.reader.content(record) if extraction.group is None else values[-1].encode()
            yield record, hash_split(key) == extraction.split


def run(options: ExtractOptions, listen: Listener) -> WriteBackResult:
    """Write predictions into a column of the original file.

    Raises:
        UsageError: Options are missing or do not apply.
        DataError: The numbers of lines or tokens differ, or a prediction does not fit.
        ArtefactError: The original has changed since it was extracted, or the output already exists.
    """
    assert options.write_back is not None
    path, column = _check(options)
    assert options.output is not None
    check_output_file(options, options.output)
    extraction = _find_extraction(options, path, column)
    original = _open(path, extraction, column)
    predictions = _Predictions(options.write_back, original)
    task, rows, changed = f"write back {path.name}", 0, 0
    with atomic_file(options.output, "wb") as file:
        for record, is_predicted in original.rows():
            if not is_predicted:
                file.write(record.raw)
                continue
            new = predictions.replace(record)
            file.write(new)
            rows += 1
            changed += new != record.raw
            if rows % _PROGRESS_ROWS == 0:
                listen(Progress(task, rows, unit=original.reader.unit))
        predictions.check_end()
    listen(Progress(task, rows, rows, unit=original.reader.unit, finished=True))
    return WriteBackResult(options.output, rows, changed, original.reader.unit)


def _check(options: ExtractOptions) -> tuple[Path, str]:
    """Return the original and the column, as given."""
    if len(options.files) != 1 or len(options.columns) != 1:
        raise UsageError(
            "--write-back needs one file and one column",
            f"{len(options.files)} files and {len(options.columns)} columns are given",
            hint="`rnnkit extract test.conllu --columns upos --write-back test.hyp --output test.tagged.conllu`",
            option="--write-back",
        )
    if options.output in (None, STDIN):
        raise UsageError(
            "--output is missing",
            "--write-back writes a new file and leaves the original as it is",
            hint="/dev/stdout is standard output",
            option="--output",
        )
    default = ExtractOptions([])
    for name in RECORDED:
        if getattr(options, name) != getattr(default, name):
            raise UsageError(
                f"--{name} does not apply to --write-back",
                "the manifest of the extracted file records how the original was read",
                option=f"--{name}",
            )
    return options.files[0], options.columns[0]


def _find_extraction(options: ExtractOptions, path: Path, column: str) -> Extraction:
    """Find the manifest of the extraction, and check that the original has not changed."""
    assert options.write_back is not None
    beside = [options.write_back.parent] if options.write_back != STDIN else []
    folders = [options.extracted] if options.extracted is not None else list(dict.fromkeys([*beside, Path()]))
    found = [each for folder in folders for each in extraction_manifest.find_extractions(path.name, folder)]
    if not found:
        raise ArtefactError(
            f"no extraction from {path.name} is recorded in {' or '.join(map(str, folders))}",
            f"--write-back needs the manifests, NAME.{manifest.NAME}, beside the extracted files",
            hint="--extracted names their folder",
            path=path,
            option="--extracted",
        )
    sha256 = manifest.sha256(path)
    unchanged = [each for each in found if each.checksums[path.name] == sha256]
    if not unchanged:
        raise ArtefactError(
            f"{path} has changed since it was extracted",
            f"sha256 mismatch with {found[0].split}.{found[0].column.name}.{manifest.NAME}",
            hint="extract it again with --overwrite, and predict again",
            path=path,
        )
    split = None if options.write_back == STDIN else parse_name(options.write_back).stem
    chosen = extraction_manifest.choose(unchanged, split, column)
    if chosen is None:
        splits = ", ".join(sorted({each.split for each in unchanged}, key=split_rank))
        raise DataError(
            f"the split of {display_name(options.write_back)} is unknown",
            f"--split divided the rows of {path} among {splits}",
            hint="name the file of predictions by its split, such as test.hyp",
            path=path,
        )
    return chosen


def _open(path: Path, extraction: Extraction, column: str) -> _Original:
    layout = extraction.layouts[path.name]
    columns = list(extraction.columns)
    if extraction.group is not None:
        columns.append(ColumnSelection("group", parse_column(extraction.group, "--group")))
    known = {each.name: each for each in extraction.columns}
    target = known[column] if column in known else parse_columns([column])[0]
    return _Original(
        path,
        extraction,
        table_format.open_reader(path, layout, columns),
        table_format.open_reader(path, layout, [target]),
    )


class _Predictions:
    """The predictions, in the order of the rows.

    Args:
        path: Their file.
        original: The file they are written into. Those for rows of other files that were extracted with it are skipped.
    """

    def __init__(self, path: Path, original: _Original) -> None:
        self._name = display_name(path)
        self._original = original
        self._lines = read_lines(path, MAX_TOKEN_LINE_BYTES)
        rows = original.extraction.rows
        names = list(rows)
        place = names.index(original.path.name) if original.path.name in names else len(names)
        self._read = sum(1 for _ in islice(self._lines, sum(rows[name] for name in names[:place])))

    def replace(self, record: Record) -> bytes:
        """Return a row with its prediction. Raises DataError if there is none, or if it does not fit."""
        line = next(self._lines, None)
        where = f"{self._original.path}:{record.line}"
        if line is None:
            raise self._count_mismatch(f"the first without a prediction is {where}", record.line)
        self._read += 1
        try:
            return self._original.target.replace(record, line)
        except ReplacementError as error:
            raise DataError(
                f"{self._name}:{self._read}: {error}",
                f"the line does not fit {where}",
                path=self._name,
                line=self._read,
            ) from None

    def check_end(self) -> None:
        """Raise DataError if predictions are left."""
        extra = sum(1 for _ in self._lines)
        if self._read + extra != self._original.extraction.lines:
            self._read += extra
            raise self._count_mismatch("there is one line of predictions for each", None)

    def _count_mismatch(self, why: str, line: int | None) -> DataError:
        extraction, path = self._original.extraction, self._original.path
        part = f"the split {extraction.split} of {', '.join(extraction.rows)}" if extraction.fractions else str(path)
        return DataError(
            f"{self._name} has {self._read:,} lines, {part} has {extraction.lines:,} {self._original.reader.unit}",
            why,
            path=path,
            line=line,
        )
