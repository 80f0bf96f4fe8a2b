"""`rnnkit plot`: figures of learning curves and of word vectors."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.embeddings.queries import load_table
from rnnkit.errors import DataError, RnnkitError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.io.safe_reading import Repairs
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, changed, option
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.embeddings.vectors import WordVectors

EXAMPLE = """\
rnnkit plot
rnnkit plot work/model --output curve.svg
rnnkit plot work/embeddings --count 100
rnnkit plot --words king,queen,man,woman --output royals.png"""

MIN_WORDS = 3
METHODS = ("pca", "tsne", "umap")


@dataclass(frozen=True)
class PlotOptions(shared.WorkspaceOptions, shared.RepairOptions, shared.OverwriteOptions):
    """Plot the learning curve of a run, finished or not: loss and validation BLEU by step. Or plot word vectors.

    With --words or --vectors, or if MODEL is a vectors directory or file, plots words as labeled points: the given
    ones, or the most frequent. Their vectors are unit-normalized before the projection to two dimensions, so that
    distances reflect cosine similarity, as in `rnnkit neighbors`.
    """

    model: Path | None = argument(
        None, help="Model directory, or vectors.", metavar="MODEL", shown_default="WORK/model"
    )
    words: list[str] = option(
        (), help="Words to plot, separated by commas or spaces.", panel="Words", metavar="WORD", many=True
    )
    vectors: Path | None = option(
        None,
        help="Vectors directory, or a word2vec, fastText or GloVe file.",
        panel="Words",
        shown_default="WORK/embeddings",
    )
    count: int = option(
        60,
        help="Number of most frequent words to plot without --words.",
        panel="Words",
        unit="words",
        minimum=MIN_WORDS,
        variable="PLOT_COUNT",
    )
    method: str = option(
        "pca",
        help="Projection: PCA, t-SNE (needs scikit-learn) or UMAP (needs umap-learn).",
        panel="Words",
        choices=METHODS,
        variable="PLOT_METHOD",
    )
    seed: int = option(1, help="Random seed of t-SNE and UMAP.", panel="Words", minimum=0)
    output: Path | None = option(
        None,
        help="Figure to write: .png, .svg or .pdf.",
        panel="Output",
        shown_default="MODEL/curve.png; for words WORK/words.png",
    )
    _: KW_ONLY
    repair: bool = changed(shared.RepairOptions, "repair", panel="Words")


@dataclass(frozen=True)
class PlotResult:
    """The path of the figure, and the repairs made in the vectors; None without `--repair`."""

    picture: Path
    repairs: Repairs | None = None

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        picture = {"picture": str(self.picture)}
        return picture if self.repairs is None else {**picture, "repairs": self.repairs.as_dict()}


def run(options: PlotOptions, listen: Listener = null_listener) -> PlotResult:
    """Draw the figure.

    Raises:
        ConfigError: The method needs a package that is not installed.
        DataError: The run has no metrics yet, a word has no vector, or the suffix of the figure is unknown.
        ArtefactError: The figure already exists.
    """
    result = _draw_words(options, listen) if _plots_words(options) else PlotResult(_draw_curve(options))
    listen(Note(f"wrote {result.picture}"))
    return result


def _draw_curve(options: PlotOptions) -> Path:
    from rnnkit.reports.figures import plot_learning_curve
    from rnnkit.training import checkpoint

    model = options.model or Workspace(options.work).model
    picture = options.output or model / "curve.png"
    if options.output is not None:
        check_output_file(options, picture)
    plot_learning_curve(model / checkpoint.METRICS_FILE, picture)
    return picture


def _draw_words(options: PlotOptions, listen: Listener) -> PlotResult:
    from rnnkit.embeddings.vectors import WordVectors
    from rnnkit.reports.word_map import plot_word_map, project

    picture = options.output or options.work / "words.png"
    check_output_file(options, picture)
    source = options.model or options.vectors or Workspace(options.work).embeddings
    vectors = WordVectors(load_table(source, options.repair, listen))
    words = _distinct_words(options.words) or list(vectors.words[: options.count])
    if len(words) < MIN_WORDS:
        raise DataError(
            f"a plot needs at least {MIN_WORDS} words, not {len(words)}",
            hint="name more with --words",
            option="--words",
        )
    projection = project(_unit_rows(vectors, words), options.method, options.seed)
    plot_word_map(words, projection, f"{len(words)} words of {source}", picture, listen)
    return PlotResult(picture, vectors.table.repairs)


def _plots_words(options: PlotOptions) -> bool:
    """Return whether to plot words. MODEL precedes --vectors, which may come from an environment variable."""
    if options.words or options.model is None:
        return bool(options.words) or options.vectors is not None
    return _is_vectors(options.model)


def _is_vectors(path: Path) -> bool:
    """Return whether a path holds vectors: a directory with such a manifest, or any file or pipe."""
    from rnnkit.embeddings.formats.vectors_directory import KIND

    if path.exists() and not path.is_dir():
        return True
    try:
        return manifest.load(manifest.manifest_path(path)).kind == KIND
    except RnnkitError:
        return False  # the manifest of an unfinished run is incomplete


def _distinct_words(words: list[str]) -> list[str]:
    """Split the values of `--words` at commas, without duplicates: `--words a,b c` names three."""
    return list(dict.fromkeys(word for item in words for word in item.split(",") if word))


def _unit_rows(vectors: WordVectors, words: list[str]) -> NDArray[np.float64]:
    """Return the unit-normalized vectors of the words; zero vectors stay zero."""
    import numpy as np

    rows_ND = np.stack([vectors[word] for word in words]).astype(np.float64)
    norms_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return rows_ND / np.where(norms_N1 > 0, norms_N1, 1)
