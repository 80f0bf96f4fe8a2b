"""How a run of `rnnkit train-embeddings` begins, or is taken up again: its words, its text and its matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rnnkit.errors import ConfigError, FormatError
from rnnkit.events import Listener, Note
from rnnkit.files import manifest
from rnnkit.files.artefact_output import atomic_folder
from rnnkit.files.replacing import PART
from rnnkit.files.staged import RunFolder
from rnnkit.machine import available_bytes, available_cores
from rnnkit.stages import embedding_text, run_folder
from rnnkit.stages.embedding_options import noise_exponent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.embeddings.corpus import Corpus, WordCounts
    from rnnkit.embeddings.learner import Lesson
    from rnnkit.embeddings.model import EmbeddingModel, Lexicon
    from rnnkit.embeddings.subwords import Subwords
    from rnnkit.embeddings.table import Table
    from rnnkit.stages.embedding_options import Options

TEXT: Final = "text"
"""Folder in the vectors directory that holds the text as numbers while the run goes on."""

MOST_SOFTMAX_WORDS: Final = 20_000
"""The full softmax looks at every word for every prediction."""


def begin(
    options: Options, paths: Sequence[Path], folder: RunFolder, listen: Listener
) -> tuple[EmbeddingModel, Corpus]:
    """Read the text, choose the words, and start the vectors directory.

    Raises:
        DataError: The text cannot be read, or has too few words.
        ConfigError: `init_from` does not fit, or the memory does not suffice.
        ArtefactError: The disk is full; what was there before is whole.
    """
    from rnnkit.embeddings import run_directory
    from rnnkit.embeddings.corpus import open_text, write_rows
    from rnnkit.embeddings.model import copy_vectors

    with atomic_folder(folder / TEXT, PART) as text:
        found = embedding_text.write_numbers(options, paths, text, listen)
        known, lexicon, row_of = choose_words(options, found)
        write_rows(text, found.rows(row_of))
        tokens = open_text(text).tokens
        listen(
            Note(
                f"{tokens:,} words, {found.different:,} different; {len(found.words):,} come {options.min_count} "
                f"times or more and make {found.counts.sum() / tokens:.1%} of the text"
            )
        )
        model = _make(options, lexicon, listen)
        if known is not None:
            copy_vectors(model, known)
        inputs = embedding_text.digests(options, paths)
    run_directory.start(folder.path, model.table(), run_folder.kept(options), inputs)
    return model, open_text(folder / TEXT)


def reopen(options: Options, folder: Path, listen: Listener) -> tuple[EmbeddingModel, Corpus]:
    """Open the words and the text of a run that was interrupted. Its checkpoint has the matrices.

    Raises:
        ConfigError: The run is finished.
        FormatError: Something is damaged.
    """
    from rnnkit.embeddings import directory
    from rnnkit.embeddings.corpus import open_text
    from rnnkit.embeddings.model import Lexicon

    if manifest.load(folder / manifest.NAME).facts.get("finished", True):  # vectors from elsewhere do not say
        raise ConfigError(f"the run in {folder} is finished", hint="--init-from goes on with its vectors and new text")
    words, subwords = directory.read_words(folder)
    if words.counts is None:
        raise FormatError(f"{folder / directory.VOCABULARY} is damaged", "it has no counts")
    model = _make(options, Lexicon(words.encoded(), words.counts, subwords), listen)
    return model, open_text(folder / TEXT)


def choose_words(options: Options, found: WordCounts) -> tuple[Table | None, Lexicon, NDArray[np.int32]]:
    """The vectors that are gone on from, the words that get vectors, and the row of each found word.

    Raises:
        DataError: `init_from` cannot be read.
        ConfigError: It has n-grams and the options have none or others, or the other way round.
    """
    import numpy as np

    from rnnkit.embeddings import formats
    from rnnkit.embeddings.model import Lexicon, choose_subwords, merge_words
    from rnnkit.text import special

    if options.init_from is None:
        subwords = None
        if options.subwords:
            subwords = choose_subwords(found.words, options.min_ngram, options.max_ngram, options.buckets)
        rows = np.arange(len(special.NAMES), len(special.NAMES) + len(found.words)).astype(np.int32)
        return None, Lexicon(found.words, found.counts, subwords), rows
    known = formats.load(options.init_from)
    if (known.subwords is not None) != options.subwords:
        has, hint = ("has", "give") if known.subwords else ("has no", "leave out")
        raise ConfigError(f"{options.init_from} {has} vectors of n-grams", hint=f"{hint} --subwords")
    if known.subwords is not None:
        _check_ngrams(options, known.subwords)
    words, counts, rows = merge_words(found, known)
    return known, Lexicon(words, counts, known.subwords), rows


def _check_ngrams(options: Options, known: Subwords) -> None:
    lengths, buckets = (known.min_length, known.max_length), known.buckets
    if (options.min_ngram, options.max_ngram) != lengths or options.buckets not in (0, buckets):
        raise ConfigError(
            f"{options.init_from} has n-grams of {lengths[0]} to {lengths[1]} characters in {buckets:,} buckets",
            f"--min-ngram is {options.min_ngram}, --max-ngram {options.max_ngram}, --buckets {options.buckets}",
            hint=f"--min-ngram {lengths[0]} --max-ngram {lengths[1]} without --buckets goes on with them",
        )


def make_lesson(options: Options, model: EmbeddingModel, corpus: Corpus) -> Lesson:
    """What is learned, and how."""
    from rnnkit.embeddings import chunk, sampling
    from rnnkit.embeddings.hot_rows import MOST, busiest_rows
    from rnnkit.embeddings.learner import Lesson

    counts_V = corpus.counts(model.lexicon.rows)
    skipgram = chunk.SUBWORD_SKIPGRAM if options.subwords else chunk.SKIPGRAM
    loss = {"negative": chunk.NEGATIVE, "nce": chunk.CONTRASTIVE, "softmax": chunk.SOFTMAX}[options.loss]
    method = chunk.Method(
        kind=chunk.CBOW if options.method == "cbow" else skipgram,
        window=options.window,
        dynamic=options.dynamic_window,
        negatives=options.negatives,
        loss=loss,
        # N-grams learn as in fastText, each from all of the gradient: they are many, and would hardly move else.
        divided=options.method == "cbow" and options.cbow_gradient == "exact",
        plain=options.plain_loops,
    )
    keep_V = sampling.keep_probabilities(counts_V, options.sample)
    return Lesson(
        weights=model.weights,
        keep_V=keep_V,
        noise=sampling.make_noise(counts_V, noise_exponent(options), options.negatives, loss == chunk.CONTRASTIVE),
        composition=model.composition,
        method=method,
        seed=options.seed,
        busiest=busiest_rows(model.composition, counts_V * keep_V, MOST),
    )


def _make(options: Options, lexicon: Lexicon, listen: Listener) -> EmbeddingModel:
    """The matrices, if there is room for them."""
    from rnnkit.embeddings.hot_rows import copies
    from rnnkit.embeddings.model import make_model

    if options.loss == "softmax" and len(lexicon.words) > MOST_SOFTMAX_WORDS:
        raise ConfigError(
            f"--loss softmax looks at all {len(lexicon.words):,} words for every prediction",
            f"it is a reference for vocabularies of up to {MOST_SOFTMAX_WORDS:,}",
            hint="give --loss negative, or a greater --min-count",
        )
    needed, free = lexicon.memory_bytes(options.dimension), available_bytes()
    listen(Note(f"{len(lexicon.words):,} words of {options.dimension} numbers take {needed / 1e6:,.0f} MB of memory"))
    if needed > free:
        raise ConfigError(
            f"the vectors need {needed / 1e9:,.1f} GB of memory, {free / 1e9:,.1f} GB are free",
            hint="a smaller --dimension, a greater --min-count" + (" or fewer --buckets" if lexicon.subwords else ""),
        )
    alone = options.loss == "softmax"  # which goes over all rows and knows of no copies
    copied = 0 if alone else copies(options.threads or available_cores(), lexicon.rows)
    by_length = options.ngram_weights == "length"
    return make_model(lexicon, options.dimension, options.seed, copied, by_length)
