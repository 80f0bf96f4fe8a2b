"""`rnnkit convert-embeddings`: word vectors from one format into another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rnnkit.config import argument, as_dict, option
from rnnkit.errors import UsageError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io import manifest
from rnnkit.io.safe_reading import Repairs
from rnnkit.io.workspace import Workspace
from rnnkit.stages import usual_options as usual
from rnnkit.stages.outputs import claim_file, claim_folder
from rnnkit.stages.vectors import vector_options as vector

if TYPE_CHECKING:
    from rnnkit.embeddings.table import Table

EXAMPLE = """\
rnnkit convert-embeddings vectors.txt
rnnkit convert-embeddings vectors.bin --to word2vec-binary --top 50000
rnnkit convert-embeddings imported --vectors glove.6B.100d.txt
rnnkit convert-embeddings projector --to projector --top 10000"""

DIRECTORY: Final = "directory"
PROJECTOR: Final = "projector"
FORMATS: Final = (DIRECTORY, "word2vec", "word2vec-binary", "fasttext", "fasttext-binary", "glove", PROJECTOR)

ENDINGS: Final = {"": DIRECTORY, ".txt": "word2vec", ".vec": "fasttext"}
"""Formats that a name tells. `.bin` is left out: word2vec and fastText both use it."""

KEEP_SUBWORDS: Final = (DIRECTORY, "fasttext-binary")

KEEP_BLANKS: Final = ("fasttext-binary", PROJECTOR)
"""Formats in which a word may hold a space."""

EXPORT: Final = "exported-vectors"
KINDS: Final = {DIRECTORY: "vectors", PROJECTOR: EXPORT}
"""Kinds of artefact of the formats that are folders."""

VERSION: Final = 1


@dataclass(frozen=True)
class ConvertEmbeddingsOptions:
    """Write word vectors in another format, to take them to other tools or to bring them from there.

    word2vec and fasttext are the same text, with a header, as `.vec` files have it; glove is the text without. The
    binary formats keep every bit, and so do the texts: a number has as many digits as it needs to come back.
    fasttext-binary is a model file that composes vectors of unseen words, if the vectors have subwords; directory is
    what rnnkit uses; projector is for TensorBoard. What is read is recognised by its content.
    """

    output: Path = argument(help="File or directory to write.", metavar="OUTPUT")
    vectors: Path | None = vector.vectors()
    work: Path = usual.work()
    repair: bool = usual.repair()
    top: int | None = option(
        None,
        help="Take only so many of the first words, the most frequent.",
        panel="Data",
        unit="words",
        minimum=1,
        shown_default="all",
    )
    to: str | None = option(
        None,
        help="Format.",
        choices=FORMATS,
        panel="Output",
        shown_default="by OUTPUT's ending: none directory, .txt word2vec, .vec fasttext",
    )
    overwrite: bool = option(False, help="Replace what is there.", panel="Output")


@dataclass(frozen=True)
class ConvertEmbeddingsResult:
    """What was written.

    Attributes:
        path: Where.
        format: One of `FORMATS`.
        words: How many.
        dimension: Numbers a vector.
        repairs: What was repaired or skipped in what was read; None where it was read strictly.
    """

    path: Path
    format: str
    words: int
    dimension: int
    repairs: Repairs | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (f"{self.path}: {self.words:,} words of dimension {self.dimension:,} as {self.format}",)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        known = {"path": str(self.path), "format": self.format, "words": self.words, "dimension": self.dimension}
        return known if self.repairs is None else {**known, "repairs": self.repairs.as_dict()}


def run(options: ConvertEmbeddingsOptions, listen: Listener = null_listener) -> ConvertEmbeddingsResult:
    """Read and write.

    Raises:
        UsageError: The output's name does not say which format is meant.
        DataError: There are no vectors, they are malformed, or the format cannot carry one of the words.
        ArtefactError: The output already exists, or cannot be written.
        FormatError: The vectors directory is damaged.
    """
    from rnnkit.embeddings import formats
    from rnnkit.embeddings.repaired_words import join_blanks

    output, format = options.output, options.to or _guess(options.output)
    source = options.vectors or Workspace(options.work).embeddings
    if format in KINDS:
        claim_folder(options, output, KINDS[format], others=[source])
    else:
        claim_file(options, output, EXPORT, others=[source])
    table = formats.load(source, options.repair)
    if options.top is not None:
        table = table.first(options.top)
    if table.subwords is not None and format not in KEEP_SUBWORDS:
        listen(Note(f"{format} has no place for the vectors of n-grams: words not in it will have none"))
    if format not in KEEP_BLANKS:
        table = join_blanks(table)
    if table.repairs is not None:
        table.repairs.warn(listen)
    digest = vector.digest(source)
    _write(output, format, table, options, {} if digest is None else {"vectors": digest})
    return ConvertEmbeddingsResult(output, format, len(table.words), table.dimension, table.repairs)


def _guess(output: Path) -> str:
    """The format that a name tells."""
    known = DIRECTORY if output.is_dir() else ENDINGS.get(output.suffix.lower())
    if known is None:
        both = "word2vec-binary or fasttext-binary" if output.suffix.lower() == ".bin" else " or ".join(FORMATS)
        raise UsageError(f"the name {output.name} does not say which format is meant", hint=f"say it: --to {both}")
    return known


def _write(output: Path, format: str, table: Table, options: ConvertEmbeddingsOptions, inputs: dict[str, str]) -> None:
    from rnnkit.embeddings import directory, formats, projector
    from rnnkit.io.artifact_output import announce_kind, atomic_directory, write_file_manifest

    if format == DIRECTORY:
        directory.write(output, table, options=as_dict(options), inputs=inputs)
        return
    facts = {"format": format, "words": len(table.words), "dimension": table.dimension}
    if format == PROJECTOR:
        with atomic_directory(output, EXPORT) as temporary:
            projector.fill(temporary, table)
            files = manifest.describe_files(temporary, [projector.VECTORS, projector.METADATA])
            found = manifest.Manifest(EXPORT, VERSION, as_dict(options), inputs, files, facts)
            manifest.write(temporary / manifest.NAME, found)
        return
    with announce_kind(output, EXPORT, VERSION):
        formats.WRITERS[format](output, table)
    write_file_manifest(output, EXPORT, VERSION, options=as_dict(options), inputs=inputs, facts=facts)
