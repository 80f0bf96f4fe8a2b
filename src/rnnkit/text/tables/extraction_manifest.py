"""Manifests of extracted files, which record how each original was read, so that predictions can be written back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rnnkit.errors import RnnkitError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import write_file_manifest
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.text.tables.columns import ColumnSelection
from rnnkit.text.tables.table_format import CONLL, CSV, FORMATS, TSV, TableLayout

KIND: Final = "text"
VERSION: Final = 1


@dataclass(frozen=True)
class Extraction:
    """What an extracted file contains.

    Attributes:
        split: Its split.
        column: Its column.
        columns: All columns of the extraction.
        lines: Number of lines.
        rows: Rows of each original in this split, by its name, in the order of the lines.
        layouts: How each original was read.
        checksums: SHA-256 of each original.
        fractions: Fractions of the hash split; empty if splits are files.
        seed: Seed of the hash split.
        group: Column by which the hash split groups rows, as given.
        repair: Whether broken rows were skipped.
    """

    split: str
    column: ColumnSelection
    columns: tuple[ColumnSelection, ...]
    lines: int
    rows: Mapping[str, int]
    layouts: Mapping[str, TableLayout]
    checksums: Mapping[str, str]
    fractions: Mapping[str, float]
    seed: int
    group: str | None
    repair: bool

    @property
    def facts(self) -> JsonObject:
        """The facts of the manifest."""
        return {
            "split": self.split,
            "column": self.column.name,
            "columns": {each.name: each.column for each in self.columns},
            "lines": self.lines,
            "rows": dict(self.rows),
            "layouts": {name: asdict(layout) for name, layout in self.layouts.items()},
            "fractions": dict(self.fractions),
            "seed": self.seed,
            "group": self.group,
            "repair": self.repair,
        }


def write(path: Path, options: JsonMapping, extraction: Extraction) -> None:
    """Write the manifest of a finished file."""
    write_file_manifest(path, KIND, VERSION, options=options, inputs=extraction.checksums, facts=extraction.facts)


def find_extractions(original: str, folder: Path) -> Iterator[Extraction]:
    """Yield the extractions from a file with this name whose manifests are in a folder.

    Raises:
        FormatError: A manifest is damaged.
    """
    for path in sorted(folder.glob(f"*.{manifest.NAME}")):
        try:
            found = manifest.load(path)
        except RnnkitError:
            continue  # of another artifact
        if found.kind == KIND and original in found.inputs:
            with manifest.explain_damage(path):
                yield _parse(found)


def _parse(found: manifest.Manifest) -> Extraction:
    facts = found.facts
    columns = {str(name): ColumnSelection(str(name), _column(column)) for name, column in facts["columns"].items()}
    return Extraction(
        split=str(facts["split"]),
        column=columns[facts["column"]],
        columns=tuple(columns.values()),
        lines=int(facts["lines"]),
        rows={str(name): int(rows) for name, rows in facts["rows"].items()},
        layouts={str(name): _parse_layout(layout) for name, layout in facts["layouts"].items()},
        checksums=found.inputs,
        fractions={str(name): float(fraction) for name, fraction in facts["fractions"].items()},
        seed=int(facts["seed"]),
        group=None if facts["group"] is None else str(facts["group"]),
        repair=bool(facts["repair"]),
    )


def _parse_layout(layout: JsonMapping) -> TableLayout:
    """Return a layout. Raises ValueError or KeyError if it is malformed."""
    found = TableLayout(layout["format"], layout["delimiter"], bool(layout["quotes"]), bool(layout["header"]))
    has_delimiter = found.format in (TSV, CSV, CONLL)
    if found.format not in FORMATS or (len(str(found.delimiter)) == 1) != has_delimiter:
        raise ValueError(f"unknown layout {layout}")
    return found


def _column(column: object) -> str | int:
    return column if isinstance(column, int) else str(column)


def choose(extractions: Sequence[Extraction], split: str | None, column: str) -> Extraction | None:
    """Return the extraction of a split, of this column if possible; None if the split is not among them.

    Args:
        extractions: Extractions from one file.
        split: The split; need not be known if the file is one.
        column: Name of the column, as given.
    """
    fitting = [each for each in extractions if not each.fractions or each.split == split]
    return next((each for each in fitting if each.column.name == column), fitting[0] if fitting else None)
