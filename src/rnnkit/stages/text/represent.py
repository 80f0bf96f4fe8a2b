"""`rnnkit represent`: one-hot or bag-of-words matrices of encoded text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import UsageError
from rnnkit.events import Listener, null_listener
from rnnkit.io import manifest
from rnnkit.io.artifact_output import artifact_file, write_file_manifest
from rnnkit.io.manifest import Workspace
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import option
from rnnkit.options.record import as_dict
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_file
from rnnkit.text.token_files import TRAIN

EXAMPLE = """\
rnnkit represent --kind bow --side en
rnnkit represent --kind onehot --data data --split test --side de --output test.npz
python -c 'import scipy.sparse; print(scipy.sparse.load_npz("work/train.en.bow.npz").shape)'"""

KIND = "matrix"
VERSION = 1


@dataclass(frozen=True)
class RepresentOptions(shared.WorkspaceOptions, shared.OverwriteOptions):
    """Write one side of aligned data as a sparse matrix for NumPy and SciPy.

    onehot has one row per token; bow (bag of words) has one row per sentence, with the count of each token. Columns
    are the ids of the vocabulary. EOS and padding are left out.
    """

    kind: str = option("bow", help="One-hot vectors of tokens, or bags of words.", choices=("onehot", "bow"))
    split: str = option(TRAIN, help="Split of the data.")
    side: str | None = option(None, help="Language.", shown_default="the only one")
    data: Path | None = option(None, help="Aligned data.", shown_default="WORK/data")
    output: Path | None = option(None, help="File to write.", shown_default="WORK/SPLIT.SIDE.KIND.npz", panel="Output")


@dataclass(frozen=True)
class RepresentResult:
    """The matrix that was written.

    Attributes:
        path: The file.
        rows: Tokens (onehot) or sentences (bow).
        columns: Vocabulary size.
        entries: Nonzero entries.
    """

    path: Path
    rows: int
    columns: int
    entries: int

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (f"{self.path}: {self.rows:,} rows, {self.columns:,} columns, {self.entries:,} nonzero entries",)

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {"path": str(self.path), "rows": self.rows, "columns": self.columns, "entries": self.entries}


def run(options: RepresentOptions, listen: Listener = null_listener) -> RepresentResult:
    """Write the matrix. Memory does not grow with the data.

    Raises:
        UsageError: The data has two sides and `side` is not given.
        DataError: The data, split or side does not exist.
        ArtefactError: The output already exists.
        FormatError: The data is damaged.
    """
    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.data.sparse_matrices import write_matrix

    workspace = Workspace(options.work)
    data = AlignedData.open(options.data or workspace.data)
    if options.side is None and len(data.sides) > 1:
        raise UsageError(
            f"{data.folder} has the sides {' and '.join(data.sides)}",
            hint=f"select one, for example with --side {data.sides[0]}",
            path=data.folder,
            option="--side",
        )
    side = options.side or data.sides[0]
    sentences = data.side(options.split, side)
    output = options.output or workspace.root / f"{options.split}.{side}.{options.kind}.npz"
    check_output_file(options, output, KIND)
    with artifact_file(output, KIND, VERSION, "wb") as file:
        shape = write_matrix(file, options.kind, sentences, data.vocabulary_size(side))
    facts = {"rows": shape.rows, "columns": shape.columns, "entries": shape.entries}
    inputs = {"data": manifest.sha256(data.folder / manifest.NAME)}
    write_file_manifest(output, KIND, VERSION, options=as_dict(options), inputs=inputs, facts=facts)
    return RepresentResult(output, **facts)
