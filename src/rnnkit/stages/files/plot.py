"""`rnnkit plot`: the learning curve of a run, or words where their vectors are, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.config import argument, option
from rnnkit.errors import DataError, RnnkitError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io import manifest
from rnnkit.io.safe_reading import Repairs
from rnnkit.io.workspace import Workspace
from rnnkit.reports.projection import METHODS
from rnnkit.stages import usual_options as usual
from rnnkit.stages.outputs import claim_file
from rnnkit.stages.vectors import vector_options as vector

if TYPE_CHECKING:
    from rnnkit.embeddings.vectors import Vectors

EXAMPLE = """\
rnnkit plot
rnnkit plot work/model --output curve.svg
rnnkit plot work/embeddings --count 100
rnnkit plot --words king,queen,man,woman --output royals.png"""

FEWEST = 3


@dataclass(frozen=True)
class PlotOptions:
    """Draw the learning curve of a run, finished or not: loss and validation BLEU over steps. Or draw words.

    With --words or --vectors, or where MODEL is a directory or file of vectors, words are drawn as points in a plane,
    each beside its name: those that are asked for, or the most frequent. Their vectors are made equally long first, so
    that words are near each other where `rnnkit neighbors` says so.
    """

    model: Path | None = argument(
        None, help="Model directory, or vectors; the workspace's model unless given.", metavar="MODEL"
    )
    work: Path = usual.work()
    words: list[str] = option(
        (), help="Words to draw, parted by commas or spaces.", panel="Words", metavar="WORD", many=True
    )
    vectors: Path | None = option(
        None,
        help="Vectors directory, or a file of word2vec, fastText or GloVe.",
        panel="Words",
        shown_default="WORK/embeddings",
    )
    repair: bool = usual.repair(panel="Words")
    count: int = option(
        60, help="Most frequent words to draw where --words names none.", panel="Words", unit="words", minimum=FEWEST
    )
    method: str = option(
        "pca",
        help="Principal components; or t-SNE or UMAP, which need scikit-learn or umap-learn.",
        panel="Words",
        choices=METHODS,
    )
    seed: int = option(1, help="Seed of t-SNE and UMAP.", panel="Words", minimum=0)
    output: Path | None = option(
        None,
        help="Picture to write: .png, .svg or .pdf.",
        panel="Output",
        shown_default="MODEL/curve.png; of words: WORK/words.png",
    )
    overwrite: bool = option(False, help="Replace the picture at --output.", panel="Output")


@dataclass(frozen=True)
class PlotResult:
    """Where the picture is, and what was repaired in the vectors with `--repair`."""

    picture: Path
    repairs: Repairs | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        picture = {"picture": str(self.picture)}
        return picture if self.repairs is None else {**picture, "repairs": self.repairs.as_dict()}


def run(options: PlotOptions, listen: Listener = null_listener) -> PlotResult:
    """Draw.

    Raises:
        ConfigError: The method needs a package that is not installed.
        DataError: Nothing has been measured, a word has no vector, or the picture's ending is unknown.
        ArtefactError: The picture already exists.
    """
    result = _draw_words(options, listen) if _wants_words(options) else PlotResult(_draw_curve(options))
    listen(Note(f"{result.picture} drawn"))
    return result


def _draw_curve(options: PlotOptions) -> Path:
    from rnnkit.reports.curve import draw_curve
    from rnnkit.training import metrics

    model = options.model or Workspace(options.work).model
    picture = options.output or model / "curve.png"
    if options.output is not None:
        claim_file(options, picture)
    draw_curve(model / metrics.METRICS_FILE, picture)
    return picture


def _draw_words(options: PlotOptions, listen: Listener) -> PlotResult:
    from rnnkit.embeddings.vectors import Vectors
    from rnnkit.reports.projection import project
    from rnnkit.reports.word_map import draw_map

    picture = options.output or options.work / "words.png"
    claim_file(options, picture)
    source = options.model or options.vectors or Workspace(options.work).embeddings
    vectors = Vectors(vector.load(source, options.repair, listen))
    words = _chosen(options.words) or list(vectors.words[: options.count])
    if len(words) < FEWEST:
        raise DataError(f"{len(words)} words make no picture", hint=f"give {FEWEST} or more")
    projection = project(_unit_rows(vectors, words), options.method, options.seed)
    draw_map(words, projection, f"{len(words)} words of {source}", picture, listen)
    return PlotResult(picture, vectors.table.repairs)


def _wants_words(options: PlotOptions) -> bool:
    """Whether words are to be drawn. MODEL decides before --vectors, which may have come from the environment."""
    if options.words or options.model is None:
        return bool(options.words) or options.vectors is not None
    return _is_vectors(options.model)


def _is_vectors(path: Path) -> bool:
    """Whether vectors are at a path: a directory whose manifest says so, or a file or pipe, which no model is."""
    from rnnkit.embeddings.directory import KIND

    if path.exists() and not path.is_dir():
        return True
    try:
        return manifest.load(manifest.manifest_path(path)).kind == KIND
    except RnnkitError:
        return False  # a run that is still going on has no whole manifest


def _chosen(words: list[str]) -> list[str]:
    """The words asked for, each once: `--words a,b c` names three."""
    return list(dict.fromkeys(word for item in words for word in item.split(",") if word))


def _unit_rows(vectors: Vectors, words: list[str]) -> Any:
    """Vectors of these words, made equally long; a vector of zeros stays one."""
    import numpy as np

    rows_ND = np.stack([vectors[word] for word in words]).astype(np.float64)
    lengths_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return rows_ND / np.where(lengths_N1 > 0, lengths_N1, 1)
