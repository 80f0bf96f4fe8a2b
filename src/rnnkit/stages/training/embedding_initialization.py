"""Initialization of a `rnnkit train-embeddings` run, new or resumed: vocabulary, encoded text and matrices."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rnnkit.errors import ConfigError, FormatError, UsageError
from rnnkit.events import Listener, Note
from rnnkit.io import manifest
from rnnkit.io.artifact_output import ARTIFACT_PART, atomic_directory
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.stages.training import run_folder
from rnnkit.stages.training.train_embeddings_options import (
    TrainEmbeddingsOptions,
    ngram_lengths,
    noise_exponent,
    vector_dimension,
)
from rnnkit.system.machine import available_cores, available_memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.embeddings.corpus import Corpus, WordCounts
    from rnnkit.embeddings.embedding_model import EmbeddingModel, EmbeddingVocabulary
    from rnnkit.embeddings.hogwild_trainer import EmbeddingTrainingConfig
    from rnnkit.embeddings.training_text import TrainingText
    from rnnkit.embeddings.vector_table import VectorTable

TEXT: Final = "text"
"""Subdirectory of the vectors directory that holds the encoded text during the run."""

MAX_SOFTMAX_WORDS: Final = 20_000
"""Largest vocabulary for `--loss softmax`, whose cost per prediction grows with the vocabulary."""


def load_pretrained(
    options: TrainEmbeddingsOptions, listen: Listener
) -> tuple[TrainEmbeddingsOptions, VectorTable | None]:
    """Load the vectors of `--init-from`, before any text is read.

    Returns:
        The options with dimension and n-grams set, from the vectors or by default; and the vectors, if any.

    Raises:
        DataError: The vectors cannot be read.
        ConfigError: They contradict an option.
        UsageError: The shortest n-gram is longer than the longest.
    """
    from rnnkit.embeddings import formats
    from rnnkit.embeddings.formats.word_validation import spaces_to_underscores

    pretrained = None
    if options.init_from is not None:
        pretrained = spaces_to_underscores(formats.load(options.init_from, options.repair))
        if pretrained.repairs is not None:
            pretrained.repairs.warn(listen)
        options = _inherit(pretrained, options)
    shortest, longest = ngram_lengths(options)
    if shortest > longest:
        raise UsageError(f"--min-ngram {shortest} is greater than --max-ngram {longest}", option="--min-ngram")
    return dataclasses.replace(
        options,
        dimension=vector_dimension(options),
        subwords=bool(options.subwords),
        min_ngram=shortest,
        max_ngram=longest,
    ), pretrained


def _inherit(pretrained: VectorTable, options: TrainEmbeddingsOptions) -> TrainEmbeddingsOptions:
    """Take dimension and n-grams over from pretrained vectors.

    Raises:
        ConfigError: An option has another value.
    """
    path, subwords = options.init_from, pretrained.subwords
    if options.dimension not in (None, pretrained.dimension):
        raise ConfigError(
            f"the vectors in {path} have dimension {pretrained.dimension}, but --dimension is {options.dimension}",
            hint=f"leave out --dimension or set it to {pretrained.dimension}",
            path=path,
            option="--dimension",
        )
    if options.subwords not in (None, subwords is not None):
        has, flag = ("has", "--no-subwords") if subwords else ("has no", "--subwords")
        raise ConfigError(f"{path} {has} n-gram vectors", hint=f"leave out {flag}", path=path, option=flag)
    options = dataclasses.replace(options, dimension=pretrained.dimension, subwords=subwords is not None)
    if subwords is None:
        return options
    shortest, longest = subwords.min_length, subwords.max_length
    lengths = options.min_ngram or shortest, options.max_ngram or longest
    if lengths != (shortest, longest) or options.buckets not in (0, subwords.buckets):
        raise ConfigError(
            f"{path} has n-grams of {shortest} to {longest} characters in {subwords.buckets:,} buckets",
            f"--min-ngram is {lengths[0]}, --max-ngram is {lengths[1]}, --buckets is {options.buckets}",
            hint=f"use --min-ngram {shortest} --max-ngram {longest} without --buckets, or leave out all three",
            path=path,
        )
    return dataclasses.replace(options, min_ngram=shortest, max_ngram=longest)


def start_run(
    options: TrainEmbeddingsOptions,
    pretrained: VectorTable | None,
    text: TrainingText,
    folder: RunDirectory,
    listen: Listener,
) -> tuple[EmbeddingModel, Corpus]:
    """Encode the text, select the vocabulary, initialize the matrices, and write the first state of the run.

    Raises:
        DataError: The text cannot be read, has too few words, or no line with two words of the vocabulary.
        ConfigError: The matrices do not fit into memory.
        ArtefactError: The disk is full; an older vectors directory is left as it was.
    """
    from rnnkit.embeddings.corpus import check_trainable, open_corpus, write_vocabulary_ids
    from rnnkit.embeddings.embedding_model import copy_pretrained_vectors
    from rnnkit.embeddings.formats import vectors_directory

    with atomic_directory(folder / TEXT, ARTIFACT_PART) as temporary:
        counted = text.write_ids(temporary, options.min_count, listen)
        vocabulary, row_of = select_vocabulary(options, pretrained, counted)
        write_vocabulary_ids(temporary, counted.vocabulary_ids(row_of))
        corpus = open_corpus(temporary)
        listen(
            Note(
                f"{corpus.tokens:,} words, {counted.distinct:,} distinct; {len(counted.words):,} occur at least "
                f"{options.min_count} times and cover {counted.counts.sum() / corpus.tokens:.1%} of the text"
            )
        )
        check_trainable(corpus, options.min_count)
        del corpus  # its memory maps refer to the temporary directory
        model = _make_matrices(options, vocabulary, listen)
        if pretrained is not None:
            copy_pretrained_vectors(model, pretrained)
        inputs = text.digests(options.init_from)
    vectors_directory.start_run(folder.path, model.table(), run_folder.run_options(options), inputs)
    return model, open_corpus(folder / TEXT)


def reopen_run(options: TrainEmbeddingsOptions, folder: Path, listen: Listener) -> tuple[EmbeddingModel, Corpus]:
    """Open vocabulary and encoded text of an interrupted run. Its checkpoint holds the matrices.

    Raises:
        ConfigError: The run is finished.
        FormatError: A file is missing or damaged.
    """
    from rnnkit.embeddings.corpus import open_corpus
    from rnnkit.embeddings.embedding_model import EmbeddingVocabulary
    from rnnkit.embeddings.formats import vectors_directory

    if manifest.load(folder / manifest.NAME).facts.get("finished", True):  # converted vectors lack the fact
        raise ConfigError(
            f"the run in {folder} is finished",
            hint="--init-from starts a new run from its vectors, with new text",
            path=folder,
            option="--resume",
        )
    words, subwords = vectors_directory.read_words(folder)
    if words.counts is None:
        path = folder / vectors_directory.VOCABULARY
        raise FormatError(f"{path} is damaged", "the word counts are missing", path=path)
    model = _make_matrices(options, EmbeddingVocabulary(words.encoded(), words.counts, subwords), listen)
    return model, open_corpus(folder / TEXT)


def select_vocabulary(
    options: TrainEmbeddingsOptions, pretrained: VectorTable | None, counted: WordCounts
) -> tuple[EmbeddingVocabulary, NDArray[np.int32]]:
    """Select the words that get vectors.

    Args:
        options: As returned by `load_pretrained`.
        pretrained: Vectors to start from; all their words are kept.
        counted: The words of the text.

    Returns:
        The vocabulary, and the vocabulary id of each word of `counted`.
    """
    import numpy as np

    from rnnkit.embeddings.embedding_model import EmbeddingVocabulary, choose_subwords, merge_vocabularies
    from rnnkit.text import special_tokens

    if pretrained is not None:
        words, counts, rows = merge_vocabularies(counted, pretrained)
        return EmbeddingVocabulary(words, counts, pretrained.subwords), rows
    subwords = None
    if options.subwords:
        subwords = choose_subwords(counted.words, *ngram_lengths(options), options.buckets)
    rows = np.arange(len(special_tokens.NAMES), len(special_tokens.NAMES) + len(counted.words)).astype(np.int32)
    return EmbeddingVocabulary(counted.words, counted.counts, subwords), rows


def make_config(options: TrainEmbeddingsOptions, model: EmbeddingModel, corpus: Corpus) -> EmbeddingTrainingConfig:
    """Make the training configuration: parameters, noise and subsampling distributions, and hyperparameters."""
    from rnnkit.embeddings.hogwild_trainer import EmbeddingTrainingConfig
    from rnnkit.kernels import negative_sampling, word2vec_chunk
    from rnnkit.kernels.word2vec_weights import MAX_CACHED_ROWS, most_used_rows

    counts_V = corpus.counts(model.vocabulary.rows)
    skipgram = word2vec_chunk.SUBWORD_SKIP_GRAM if options.subwords else word2vec_chunk.SKIP_GRAM
    losses = {
        "negative": word2vec_chunk.NEGATIVE_SAMPLING,
        "nce": word2vec_chunk.NCE,
        "softmax": word2vec_chunk.SOFTMAX,
    }
    loss = losses[options.loss]
    method = word2vec_chunk.TrainingMethod(
        kind=word2vec_chunk.CBOW if options.method == "cbow" else skipgram,
        window=options.window,
        dynamic_window=options.dynamic_window,
        negatives=options.negatives,
        loss=loss,
        # Skip-gram's n-grams get the full gradient each, as in fastText: there are many per word, and a divided
        # gradient would hardly move them.
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


def _make_matrices(
    options: TrainEmbeddingsOptions, vocabulary: EmbeddingVocabulary, listen: Listener
) -> EmbeddingModel:
    """Initialize the matrices. Raises ConfigError if they do not fit into memory."""
    from rnnkit.embeddings.embedding_model import init_model
    from rnnkit.kernels.word2vec_weights import total_cache_rows

    if options.loss == "softmax" and len(vocabulary.words) > MAX_SOFTMAX_WORDS:
        raise ConfigError(
            f"--loss softmax computes a score for all {len(vocabulary.words):,} words at every prediction",
            f"it is a reference for vocabularies of up to {MAX_SOFTMAX_WORDS:,} words",
            hint="use --loss negative, or raise --min-count",
            option="--loss",
        )
    dimension = vector_dimension(options)
    required, available = vocabulary.memory_bytes(dimension), available_memory()
    listen(Note(f"{len(vocabulary.words):,} words of dimension {dimension} take {required / 1e6:,.0f} MB of memory"))
    if required > available:
        raise ConfigError(
            f"the vectors need {required / 1e9:,.1f} GB of memory, but only {available / 1e9:,.1f} GB are available",
            hint="lower --dimension, or raise --min-count" + (", or lower --buckets" if vocabulary.subwords else ""),
            option="--dimension",
        )
    # The softmax loops over all rows of the matrix and does not support per-thread copies of frequent rows.
    copied = 0 if options.loss == "softmax" else total_cache_rows(options.threads or available_cores(), vocabulary.rows)
    return init_model(vocabulary, dimension, options.seed, copied, options.ngram_weights == "length")
