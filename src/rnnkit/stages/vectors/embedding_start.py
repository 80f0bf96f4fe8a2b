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

    from rnnkit.embeddings.train.corpus import Corpus, WordCounts
    from rnnkit.embeddings.train.embedding_model import EmbeddingModel, EmbeddingVocabulary
    from rnnkit.embeddings.train.hogwild_trainer import EmbeddingTrainingConfig
    from rnnkit.embeddings.vector_table import VectorTable
    from rnnkit.stages.vectors.embedding_options import TrainEmbeddingsOptions

TEXT: Final = "text"
"""Folder in the vectors directory that holds the text as numbers while the run goes on."""

MOST_SOFTMAX_WORDS: Final = 20_000
"""The full softmax looks at every word for every prediction."""


def open_vectors(
    options: TrainEmbeddingsOptions, listen: Listener
) -> tuple[TrainEmbeddingsOptions, VectorTable | None]:
    """Open the vectors of `init_from`, before any text is read.

    Returns:
        The options with the dimension and the n-grams of the vectors, or their defaults; and the vectors, if any.

    Raises:
        DataError: `init_from` cannot be read.
        ConfigError: It differs from the options that were given.
        UsageError: The shortest n-gram is longer than the longest.
    """
    from rnnkit.embeddings import formats
    from rnnkit.embeddings.formats.word_repair import spaces_to_underscores

    known = None
    if options.init_from is not None:
        known = spaces_to_underscores(formats.load(options.init_from, options.repair))
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


def _like(known: VectorTable, options: TrainEmbeddingsOptions) -> TrainEmbeddingsOptions:
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
    options: TrainEmbeddingsOptions,
    known: VectorTable | None,
    paths: Sequence[Path],
    folder: RunDirectory,
    listen: Listener,
) -> tuple[EmbeddingModel, Corpus]:
    """Read the text, choose the words, and start the vectors directory.

    Raises:
        DataError: The text cannot be read, has too few words, or none from which anything can be learned.
        ConfigError: The memory does not suffice.
        ArtefactError: The disk is full; what was there before is whole.
    """
    from rnnkit.embeddings.formats import vectors_directory
    from rnnkit.embeddings.train.corpus import check_trainable, open_corpus, write_vocabulary_ids
    from rnnkit.embeddings.train.embedding_model import copy_pretrained_vectors

    with atomic_directory(folder / TEXT, ARTIFACT_PART) as text:
        found = embedding_text.write_numbers(options, paths, text, listen)
        vocabulary, row_of = choose_words(options, known, found)
        write_vocabulary_ids(text, found.vocabulary_ids(row_of))
        corpus = open_corpus(text)
        tokens = corpus.tokens
        listen(
            Note(
                f"{tokens:,} words, {found.distinct:,} different; {len(found.words):,} come {options.min_count} "
                f"times or more and make {found.counts.sum() / tokens:.1%} of the text"
            )
        )
        check_trainable(corpus, options.min_count)
        del corpus  # its files are mapped, and take another place
        model = _make(options, vocabulary, listen)
        if known is not None:
            copy_pretrained_vectors(model, known)
        inputs = embedding_text.digests(options, paths)
    vectors_directory.start_run(folder.path, model.table(), run_folder.run_options(options), inputs)
    return model, open_corpus(folder / TEXT)


def reopen(options: TrainEmbeddingsOptions, folder: Path, listen: Listener) -> tuple[EmbeddingModel, Corpus]:
    """Open the words and the text of a run that was interrupted. Its checkpoint has the matrices.

    Raises:
        ConfigError: The run is finished.
        FormatError: Something is damaged.
    """
    from rnnkit.embeddings.formats import vectors_directory
    from rnnkit.embeddings.train.corpus import open_corpus
    from rnnkit.embeddings.train.embedding_model import EmbeddingVocabulary

    if manifest.load(folder / manifest.NAME).facts.get("finished", True):  # vectors from elsewhere do not say
        raise ConfigError(f"the run in {folder} is finished", hint="--init-from goes on with its vectors and new text")
    words, subwords = vectors_directory.read_words(folder)
    if words.counts is None:
        raise FormatError(f"{folder / vectors_directory.VOCABULARY} is damaged", "it has no counts")
    model = _make(options, EmbeddingVocabulary(words.encoded(), words.counts, subwords), listen)
    return model, open_corpus(folder / TEXT)


def choose_words(
    options: TrainEmbeddingsOptions, known: VectorTable | None, found: WordCounts
) -> tuple[EmbeddingVocabulary, NDArray[np.int32]]:
    """The words that get vectors, and the row of each found word.

    Args:
        options: As `open_vectors` gives them.
        known: The vectors that are gone on from.
        found: The words of the text.
    """
    import numpy as np

    from rnnkit.embeddings.train.embedding_model import EmbeddingVocabulary, choose_subwords, merge_vocabularies
    from rnnkit.text import special_tokens

    if known is not None:
        words, counts, rows = merge_vocabularies(found, known)
        return EmbeddingVocabulary(words, counts, known.subwords), rows
    subwords = choose_subwords(found.words, *ngrams(options), options.buckets) if options.subwords else None
    rows = np.arange(len(special_tokens.NAMES), len(special_tokens.NAMES) + len(found.words)).astype(np.int32)
    return EmbeddingVocabulary(found.words, found.counts, subwords), rows


def make_lesson(options: TrainEmbeddingsOptions, model: EmbeddingModel, corpus: Corpus) -> EmbeddingTrainingConfig:
    """What is learned, and how."""
    from rnnkit.embeddings.train.hogwild_trainer import EmbeddingTrainingConfig
    from rnnkit.kernels import negative_sampling, word2vec_chunk
    from rnnkit.kernels.row_cache import MAX_CACHED_ROWS, most_used_rows

    counts_V = corpus.counts(model.vocabulary.rows)
    skipgram = word2vec_chunk.SUBWORD_SKIP_GRAM if options.subwords else word2vec_chunk.SKIP_GRAM
    loss = {"negative": word2vec_chunk.NEGATIVE_SAMPLING, "nce": word2vec_chunk.NCE, "softmax": word2vec_chunk.SOFTMAX}[
        options.loss
    ]
    method = word2vec_chunk.TrainingMethod(
        kind=word2vec_chunk.CBOW if options.method == "cbow" else skipgram,
        window=options.window,
        dynamic_window=options.dynamic_window,
        negatives=options.negatives,
        loss=loss,
        # N-grams learn as in fastText, each from all of the gradient: they are many, and would hardly move else.
        divide_gradient=options.method == "cbow" and options.cbow_gradient == "exact",
        reference=options.plain_loops,
    )
    keep_V = negative_sampling.keep_probabilities(counts_V, options.sample)
    return EmbeddingTrainingConfig(
        weights=model.weights,
        keep_V=keep_V,
        noise=negative_sampling.make_noise_distribution(
            counts_V, noise_exponent(options), options.negatives, loss == word2vec_chunk.NCE
        ),
        composition=model.composition,
        method=method,
        seed=options.seed,
        cached_inputs=most_used_rows(model.composition, counts_V * keep_V, MAX_CACHED_ROWS),
    )


def _make(options: TrainEmbeddingsOptions, vocabulary: EmbeddingVocabulary, listen: Listener) -> EmbeddingModel:
    """The matrices, if there is room for them."""
    from rnnkit.embeddings.train.embedding_model import init_model
    from rnnkit.kernels.row_cache import total_cache_rows

    if options.loss == "softmax" and len(vocabulary.words) > MOST_SOFTMAX_WORDS:
        raise ConfigError(
            f"--loss softmax looks at all {len(vocabulary.words):,} words for every prediction",
            f"it is a reference for vocabularies of up to {MOST_SOFTMAX_WORDS:,}",
            hint="give --loss negative, or a greater --min-count",
        )
    needed, free = vocabulary.memory_bytes(dimension(options)), available_memory()
    size = f"{needed / 1e6:,.0f} MB"
    listen(Note(f"{len(vocabulary.words):,} words of {dimension(options)} numbers take {size} of memory"))
    if needed > free:
        raise ConfigError(
            f"the vectors need {needed / 1e9:,.1f} GB of memory, {free / 1e9:,.1f} GB are free",
            hint="a smaller --dimension, a greater --min-count"
            + (" or fewer --buckets" if vocabulary.subwords else ""),
        )
    alone = options.loss == "softmax"  # which goes over all rows and knows of no copies
    copied = 0 if alone else total_cache_rows(options.threads or available_cores(), vocabulary.rows)
    by_length = options.ngram_weights == "length"
    return init_model(vocabulary, dimension(options), options.seed, copied, by_length)
