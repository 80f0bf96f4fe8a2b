"""The files of labelled data: token files with the texts that they were made from, and the label files beside those.

The manifest of a token file records the path of its text. For `corpus/train.form`, the labels `upos` are in
`corpus/train.upos`, or in the same file with a suffix of compression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.data.corpus_splits import CorpusSplit
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.io import manifest
from rnnkit.text.token_files import TokenFile, parse_name

_COMPRESSION = ("", ".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class LabelSource:
    """The files of a split.

    Attributes:
        name: Name in the data, such as `train`.
        split: `train`, `valid` or `test`.
        tokens: The token file.
        text: The text that it was made from; None if it is from elsewhere, and its tokens are the words.
        columns: One file per column: labels, and weights if there are any.
    """

    name: str
    split: str
    tokens: Path
    text: Path | None
    columns: tuple[Path, ...]


def find_label_sources(
    parts: Sequence[CorpusSplit], columns: Sequence[str], named: Sequence[Path]
) -> list[LabelSource]:
    """Find the text and the columns of each split.

    Args:
        parts: The splits.
        columns: Names of the columns, such as `upos`.
        named: Given files; those that are not given are looked for beside the texts.

    Raises:
        DataError: A file is missing.
        ArtefactError: A text has changed since it was tokenized.
        UsageError: A given file has no name of a split and a column.
    """
    given = {_split_and_column(path, columns): path for path in named}
    found = []
    for part in parts:
        file = part.files[0]
        text = find_text(file)
        paths = tuple(given.get((part.name, column)) or _beside(file, text, column) for column in columns)
        found.append(LabelSource(part.name, part.split, file.path, text, paths))
    return found


def _split_and_column(path: Path, columns: Sequence[str]) -> tuple[str, str]:
    """Return the split and the column that a given file is for, by its name."""
    name = parse_name(path)
    if name.language not in columns:
        raise UsageError(
            f"--label-files {path}: its name does not end in a column of labels",
            f"columns: {', '.join(columns)}",
            hint=f"name it SPLIT.{columns[0]}, such as train.{columns[0]}",
            path=path,
            option="--label-files",
        )
    return (name.split if name.split in ("train", "valid") else name.stem), name.language


def find_text(file: TokenFile) -> Path | None:
    """Return the text that a token file was made from; None if the token file is from elsewhere.

    Raises:
        DataError: The text is missing.
        ArtefactError: It has changed since it was tokenized.
    """
    if file.tokenizer is None:
        return None
    meta = manifest.load(manifest.manifest_path(file.path))
    recorded = [Path(str(path)) for path in meta.options.get("files", ())]
    text = next((path for path in recorded if parse_name(path).token_file == file.path.name), None)
    if text is None or not text.is_file():
        raise DataError(
            f"the text of {file.path} was not found" + ("" if text is None else f": {text}"),
            "labels belong to its words, and the tokens may be pieces of words",
            hint="run `rnnkit align` in the folder where `rnnkit tokenize` was run, or tokenize the text again",
            path=file.path,
        )
    if manifest.sha256(text) != meta.inputs.get("text"):
        raise ArtefactError(
            f"{text} has changed since it was tokenized", hint="tokenize it again with --overwrite", path=text
        )
    return text


def _beside(file: TokenFile, text: Path | None, column: str) -> Path:
    """Return the file of a column beside the text, or beside the tokens if these are from elsewhere."""
    origin = file.path if text is None else text
    name = f"{parse_name(origin).stem}.{column}"
    for suffix in _COMPRESSION:
        if (path := origin.with_name(name + suffix)).is_file():
            return path
    raise DataError(
        f"file not found: {origin.with_name(name)}",
        f"it should have the {column} of each line of {origin}",
        hint="give its path with --label-files, or make it with `rnnkit extract`",
        path=origin.with_name(name),
    )
