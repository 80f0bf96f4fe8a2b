"""Static word vectors that represent the words of a tagger or text classifier, as inputs of its training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.embeddings import queries
from rnnkit.errors import ArtefactError, DataError
from rnnkit.events import Note
from rnnkit.io import manifest

if TYPE_CHECKING:
    from rnnkit.data.labelled_data import LabelledData
    from rnnkit.data.word_table import WordTable
    from rnnkit.models.labelling.static_vectors import StaticVectors
    from rnnkit.stages.training.labelling_options import LabellingOptions, TrainClassifierOptions, TrainTaggerOptions
    from rnnkit.stages.training.training_run import TrainingRun

    Run = TrainingRun[TrainTaggerOptions] | TrainingRun[TrainClassifierOptions]

OPTION = "--word-vectors"


def input_digests(options: LabellingOptions, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the vectors by its name in the manifest; of a resumed run, the recorded one.

    Raises:
        DataError: There are no vectors.
    """
    from rnnkit.models.labelling.static_vectors import INPUT

    if options.resume and not options.folds:
        return {name: digest for name, digest in manifest.load(folder / manifest.NAME).inputs.items() if name == INPUT}
    path = options.word_vectors
    if path is None:
        return {}
    if not path.exists():
        raise DataError(f"there are no word vectors at {path}", path=path, option=OPTION)
    digest = queries.digest_vectors(path)
    return {} if digest is None else {INPUT: digest}


def open_vectors(run: Run) -> StaticVectors | None:
    """Load the vectors of a run, of a resumed one from its model directory; None if it has none.

    Raises:
        DataError: The vectors are malformed.
        FormatError: They are damaged.
    """
    from rnnkit.embeddings.formats.word_validation import spaces_to_underscores
    from rnnkit.models import store
    from rnnkit.models.labelling.static_vectors import StaticVectors, load_vectors

    options = run.options
    if options.resume:
        dimension = store.read_config(run.directory.path)["network"].get("word_vectors", 0)
        return load_vectors(run.directory.path, dimension) if dimension else None
    if options.word_vectors is None:
        return None
    table = spaces_to_underscores(queries.load_table(options.word_vectors, options.repair, run.listen))
    return StaticVectors(table)


def extend(table: WordTable, vectors: StaticVectors, run: Run, data: LabelledData) -> WordTable:
    """Return a table of words with their vectors, and emit a note of how many words have one.

    Raises:
        DataError: No word has a vector.
    """
    import numpy as np

    from rnnkit.data.word_table import EOS_ROW

    extended = vectors.extend(table)
    assert extended.vectors_WD is not None
    found_W = np.count_nonzero(extended.vectors_WD, axis=1) > 0
    if not np.any(found_W):
        raise DataError(
            f"{vectors.table.name} has no vector for any word of {data.folder}",
            hint="word vectors need text in words: `rnnkit tokenize --type words`",
            path=vectors.table.name,
            option=OPTION,
        )
    rows = np.asarray(data.side("train", data.text).ids)
    running = found_W[rows[rows != EOS_ROW]]
    run.listen(
        Note(
            f"word vectors {vectors.table.name}: dimension {vectors.dimension}, {found_W.sum():,} of "
            f"{len(found_W) - 1:,} words, {running.mean():.1%} of running words of train"
        )
    )
    return extended


def check_same_vectors(source: Path, vectors: StaticVectors | None) -> None:
    """Check that a model to fine-tune has the same static vectors.

    Raises:
        ArtefactError: It has others, so that its weights would get vectors of another meaning.
    """
    from rnnkit.models import store
    from rnnkit.models.labelling.static_vectors import FOLDER, load_vectors

    dimension = store.read_config(source)["network"].get("word_vectors", 0)
    theirs = load_vectors(source, dimension) if dimension else None
    if theirs is None and vectors is None:
        return
    if theirs is None or vectors is None or not theirs.equals(vectors):
        has = "no" if theirs is None else "other" if vectors is not None else "static"
        raise ArtefactError(
            f"--init-from {source} has {has} word vectors",
            "its weights were trained on them" if theirs is not None else "its weights were trained without",
            hint=f"leave out {OPTION}" if theirs is None else f"{OPTION} {source / FOLDER}",
            path=source,
            option="--init-from",
        )
