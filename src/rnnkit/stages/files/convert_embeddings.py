"""`rnnkit convert-embeddings`: conversion of word vectors between formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rnnkit.embeddings.queries import digest_vectors
from rnnkit.errors import UsageError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.io.safe_reading import Repairs
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, option
from rnnkit.options.record import as_dict
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_file, check_output_folder

if TYPE_CHECKING:
    from rnnkit.embeddings.vector_table import VectorTable

EXAMPLE = """\
rnnkit convert-embeddings vectors.txt
rnnkit convert-embeddings vectors.bin --to word2vec-binary --top 50000
rnnkit convert-embeddings imported --vectors glove.6B.100d.txt
rnnkit convert-embeddings projector --to projector --top 10000"""

DIRECTORY: Final = "directory"
PROJECTOR: Final = "projector"
FORMATS: Final = (DIRECTORY, "word2vec", "word2vec-binary", "fasttext", "fasttext-binary", "glove", PROJECTOR)

ENDINGS: Final = {"": DIRECTORY, ".txt": "word2vec", ".vec": "fasttext"}
"""Formats by the suffix of the output. `.bin` is missing because word2vec and fastText both use it."""

KEEP_SUBWORDS: Final = (DIRECTORY, "fasttext-binary")
"""Formats that store n-gram vectors."""

KEEP_BLANKS: Final = ("fasttext-binary", PROJECTOR)
"""Formats in which a word may contain a space."""

EXPORT: Final = "exported-vectors"
KINDS: Final = {DIRECTORY: "vectors", PROJECTOR: EXPORT}
"""Artifact kinds of the formats that are directories."""

VERSION: Final = 1


@dataclass(frozen=True)
class ConvertEmbeddingsOptions(shared.VectorOptions, shared.OverwriteOptions):
    """Convert word vectors to another format, to exchange them with other tools.

    word2vec and fasttext are the same text format, with a header line, as in `.vec` files; glove is without the header.
    All formats are lossless: text formats write as many digits as needed to restore every bit. fasttext-binary is a
    model file, which composes vectors of unseen words if the vectors have subwords; directory is rnnkit's own format;
    projector is for the TensorBoard Embedding Projector. The input format is detected from the content.
    """

    output: Path = argument(help="File or directory to write.", metavar="OUTPUT")
    top: int | None = option(
        None,
        help="Convert only the first words, which are the most frequent.",
        panel="Data",
        unit="words",
        minimum=1,
        shown_default="all",
    )
    to: str | None = option(
        None,
        help="Output format.",
        choices=FORMATS,
        panel="Output",
        shown_default="by OUTPUT's suffix: none directory, .txt word2vec, .vec fasttext",
    )


@dataclass(frozen=True)
class ConvertEmbeddingsResult:
    """The vectors that were written.

    Attributes:
        path: The file or directory.
        format: One of `FORMATS`.
        words: Number of words.
        dimension: Vector dimension.
        repairs: Repairs made in the input; None without `--repair`.
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

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        fields = {"path": str(self.path), "format": self.format, "words": self.words, "dimension": self.dimension}
        return fields if self.repairs is None else {**fields, "repairs": self.repairs.as_dict()}


def run(options: ConvertEmbeddingsOptions, listen: Listener = null_listener) -> ConvertEmbeddingsResult:
    """Convert the vectors.

    Raises:
        UsageError: The format is neither given nor implied by the name of the output.
        DataError: The vectors are missing or malformed, or the format cannot represent one of the words.
        ArtefactError: The output already exists, or cannot be written.
        FormatError: The vectors directory is damaged.
    """
    from rnnkit.embeddings import formats
    from rnnkit.embeddings.formats.word_validation import spaces_to_underscores

    output, format = options.output, options.to or _infer_format(options.output)
    source = options.vectors or Workspace(options.work).embeddings
    if format in KINDS:
        check_output_folder(options, output, KINDS[format], others=[source])
    else:
        check_output_file(options, output, EXPORT, others=[source])
    table = formats.load(source, options.repair)
    if options.top is not None:
        table = table.first(options.top)
    if table.subwords is not None and format not in KEEP_SUBWORDS:
        listen(Note(f"{format} cannot store n-gram vectors: words outside the vocabulary will have no vector"))
    if format not in KEEP_BLANKS:
        table = spaces_to_underscores(table)
    if table.repairs is not None:
        table.repairs.warn(listen)
    digest = digest_vectors(source)
    _write(output, format, table, options, {} if digest is None else {"vectors": digest})
    return ConvertEmbeddingsResult(output, format, len(table.words), table.dimension, table.repairs)


def _infer_format(output: Path) -> str:
    """Infer the format from the name of the output."""
    format = DIRECTORY if output.is_dir() else ENDINGS.get(output.suffix.lower())
    if format is None:
        candidates = ("word2vec-binary", "fasttext-binary") if output.suffix.lower() == ".bin" else FORMATS
        raise UsageError(
            f"cannot infer the format from the name {output.name}",
            hint=f"select it: --to {' or '.join(candidates)}",
            path=output,
            option="--to",
        )
    return format


def _write(
    output: Path, format: str, table: VectorTable, options: ConvertEmbeddingsOptions, inputs: dict[str, str]
) -> None:
    from rnnkit.embeddings import formats
    from rnnkit.embeddings.formats import text_formats, vectors_directory
    from rnnkit.io.artifact_output import announce_kind, atomic_directory, write_file_manifest

    if format == DIRECTORY:
        vectors_directory.write(output, table, options=as_dict(options), inputs=inputs)
        return
    facts = {"format": format, "words": len(table.words), "dimension": table.dimension}
    if format == PROJECTOR:
        with atomic_directory(output, EXPORT) as temporary:
            text_formats.write_projector(temporary, table)
            files = manifest.describe_files(
                temporary, [text_formats.PROJECTOR_VECTORS, text_formats.PROJECTOR_METADATA]
            )
            found = manifest.Manifest(EXPORT, VERSION, as_dict(options), inputs, files, facts)
            manifest.write(temporary / manifest.NAME, found)
        return
    with announce_kind(output, EXPORT, VERSION):
        formats.WRITERS[format](output, table)
    write_file_manifest(output, EXPORT, VERSION, options=as_dict(options), inputs=inputs, facts=facts)
