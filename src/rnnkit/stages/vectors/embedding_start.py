"""How a run of `rnnkit train-embeddings` begins, or is taken up again: its words, its text and its matrices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rnnkit.errors import ConfigError, FormatError, UsageError
from rnnkit.events import Listener, Note
from rnnkit.io import manifest
from rnnkit.io.artifact_output import ARTIFACT_PART, atomic_directory
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.stages.training.setup import run_folder
from rnnkit.stages.vectors import embedding_text
from rnnkit.stages.vectors.embedding_options import dimension, ngrams, noise_exponent
from rnnkit.system.machine import available_cores, available_memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.embeddings.corpus import Corpus, WordCounts
    from rnnkit.embeddings.learner import Lesson
    from rnnkit.embeddings.model import EmbeddingModel, Lexicon
    from rnnkit.embeddings.table import Table
    from rnnkit.stages.vectors.embedding_options import TrainEmbeddingsOptions

TEXT: Final = "text"
"""Folder in the vectors directory that holds the text as numbers while the run goes on."""

MOST_SOFTMAX_WORDS: Final = 20_000
"""The full softmax looks at every word for every prediction."""


def open_vectors(options: TrainEmbeddingsOptions, listen: Listener) -> tuple[TrainEmbeddingsOptions, Table | None]:
    """Open the vectors of `init_from`, before any text is read.

    Returns:
        The options with the dimension and the n-grams of the vectors, or their defaults; and the vectors, if any.

    Raises:
        DataError: `init_from` cannot be read.
        ConfigError: It differs from the options that were given.
        UsageError: The shortest n-gram is longer than the longest.
    """
    from rnnkit.embeddings import formats
    from rnnkit.embeddings.repaired_words import join_blanks

    known = None
    if options.init_from is not None:
        known = join_blanks(formats.load(options.init_from, options.repair))
        if known.repairs is not None:
            known.repairs.warn(listen)
        options = _like(known, options)
    shortest, longest = ngrams(options)
    if shortest > longest:
        raise UsageError(f"--min-ngram {shortest} is longer than --max-ngram {longest}")
    subwords, numbers = bool(options.subwords), dimension(options)
    return dataclasses.replace(
        options, dimension=numbers, subwords=subwords, min_ngram=shortest, max_ngram=longest
    ), known


def _like(known: Table, options: TrainEmbeddingsOptions) -> TrainEmbeddingsOptions:
    """The options with the dimension and the n-grams of known vectors, where none were given.

    Raises:
        ConfigError: Others were given.
    """
    name, cut = options.init_from, known.subwords
    if options.dimension not in (None, known.dimension):
        raise ConfigError(
            f"{name} has vectors of {known.dimension} numbers, --dimension is {options.dimension}",
            hint=f"--dimension {known.dimension} goes on with them",
        )
    if options.subwords not in (None, cut is not None):
        has, given = ("has", "--no-subwords") if cut else ("has no", "--subwords")
        raise ConfigError(f"{name} {has} vectors of n-grams", hint=f"leave out {given}")
    options = dataclasses.replace(options, dimension=known.dimension, subwords=cut is not None)
    if cut is None:
        return options
    given_lengths = options.min_ngram or cut.min_length, options.max_ngram or cut.max_length
    if given_lengths != (cut.min_length, cut.max_length) or options.buckets not in (0, cut.buckets):
        raise ConfigError(
            f"{name} has n-grams of {cut.min_length} to {cut.max_length} characters in {cut.buckets:,} buckets",
            f"--min-ngram is {given_lengths[0]}, --max-ngram {given_lengths[1]}, --buckets {options.buckets}",
            hint=f"--min-ngram {cut.min_length} --max-ngram {cut.max_length} without --buckets goes on with them",
        )
    return dataclasses.replace(options, min_ngram=cut.min_length, max_ngram=cut.max_length)


def begin(
    options: TrainEmbeddingsOptions, known: Table | None, paths: Sequence[Path], folder: RunDirectory, listen: Listener
) -> tuple[EmbeddingModel, Corpus]:
    """Read the text, choose the words, and start the vectors directory.

    Raises:
        DataError: The text cannot be read, has too few words, or none from which anything can be learned.
        ConfigError: The memory does not suffice.
        ArtefactError: The disk is full; what was there before is whole.
    """
    from rnnkit.embeddings import run_directory
    from rnnkit.embeddings.corpus import open_text, write_rows
    from rnnkit.embeddings.learnable import refuse_unlearnable
    from rnnkit.embeddings.model import copy_vectors

    with atomic_directory(folder / TEXT, ARTIFACT_PART) as text:
        found = embedding_text.write_numbers(options, paths, text, listen)
        lexicon, row_of = choose_words(options, known, found)
        write_rows(text, found.rows(row_of))
        corpus = open_text(text)
        tokens = corpus.tokens
        listen(
            Note(
                f"{tokens:,} words, {found.different:,} different; {len(found.words):,} come {options.min_count} "
                f"times or more and make {found.counts.sum() / tokens:.1%} of the text"
            )
        )
        refuse_unlearnable(corpus, options.min_count)
        del corpus  # its files are mapped, and take another place
        model = _make(options, lexicon, listen)
        if known is not None:
            copy_vectors(model, known)
        inputs = embedding_text.digests(options, paths)
    run_directory.start(folder.path, model.table(), run_folder.run_options(options), inputs)
    return model, open_text(folder / TEXT)


def reopen(options: TrainEmbeddingsOptions, folder: Path, listen: Listener) -> tuple[EmbeddingModel, Corpus]:
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


def choose_words(
    options: TrainEmbeddingsOptions, known: Table | None, found: WordCounts
) -> tuple[Lexicon, NDArray[np.int32]]:
    """The words that get vectors, and the row of each found word.

    Args:
        options: As `open_vectors` gives them.
        known: The vectors that are gone on from.
        found: The words of the text.
    """
    import numpy as np

    from rnnkit.embeddings.model import Lexicon, choose_subwords, merge_words
    from rnnkit.text import special_tokens

    if known is not None:
        words, counts, rows = merge_words(found, known)
        return Lexicon(words, counts, known.subwords), rows
    subwords = choose_subwords(found.words, *ngrams(options), options.buckets) if options.subwords else None
    rows = np.arange(len(special_tokens.NAMES), len(special_tokens.NAMES) + len(found.words)).astype(np.int32)
    return Lexicon(found.words, found.counts, subwords), rows


def make_lesson(options: TrainEmbeddingsOptions, model: EmbeddingModel, corpus: Corpus) -> Lesson:
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


def _make(options: TrainEmbeddingsOptions, lexicon: Lexicon, listen: Listener) -> EmbeddingModel:
    """The matrices, if there is room for them."""
    from rnnkit.embeddings.hot_rows import copies
    from rnnkit.embeddings.model import make_model

    if options.loss == "softmax" and len(lexicon.words) > MOST_SOFTMAX_WORDS:
        raise ConfigError(
            f"--loss softmax looks at all {len(lexicon.words):,} words for every prediction",
            f"it is a reference for vocabularies of up to {MOST_SOFTMAX_WORDS:,}",
            hint="give --loss negative, or a greater --min-count",
        )
    needed, free = lexicon.memory_bytes(dimension(options)), available_memory()
    listen(Note(f"{len(lexicon.words):,} words of {dimension(options)} numbers take {needed / 1e6:,.0f} MB of memory"))
    if needed > free:
        raise ConfigError(
            f"the vectors need {needed / 1e9:,.1f} GB of memory, {free / 1e9:,.1f} GB are free",
            hint="a smaller --dimension, a greater --min-count" + (" or fewer --buckets" if lexicon.subwords else ""),
        )
    alone = options.loss == "softmax"  # which goes over all rows and knows of no copies
    copied = 0 if alone else copies(options.threads or available_cores(), lexicon.rows)
    by_length = options.ngram_weights == "length"
    return make_model(lexicon, dimension(options), options.seed, copied, by_length)
