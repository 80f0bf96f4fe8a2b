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
from rnnkit.stages.vectors.train_embeddings.options import (
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
    from rnnkit.embeddings.learner import Lesson
    from rnnkit.embeddings.model import EmbeddingModel, Lexicon
    from rnnkit.embeddings.table import Table
    from rnnkit.embeddings.training_text import TrainingText

TEXT: Final = "text"
"""Subdirectory of the vectors directory that holds the encoded text during the run."""

MAX_SOFTMAX_WORDS: Final = 20_000
"""Largest vocabulary for `--loss softmax`, whose cost per prediction grows with the vocabulary."""


def load_pretrained(options: TrainEmbeddingsOptions, listen: Listener) -> tuple[TrainEmbeddingsOptions, Table | None]:
    """Load the vectors of `--init-from`, before any text is read.

    Returns:
        The options with dimension and n-grams set, from the vectors or by default; and the vectors, if any.

    Raises:
        DataError: The vectors cannot be read.
        ConfigError: They contradict an option.
        UsageError: The shortest n-gram is longer than the longest.
    """
    from rnnkit.embeddings import formats
    from rnnkit.embeddings.repaired_words import join_blanks

    pretrained = None
    if options.init_from is not None:
        pretrained = join_blanks(formats.load(options.init_from, options.repair))
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


def _inherit(pretrained: Table, options: TrainEmbeddingsOptions) -> TrainEmbeddingsOptions:
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
    pretrained: Table | None,
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
    from rnnkit.embeddings import run_directory
    from rnnkit.embeddings.corpus import open_text, write_rows
    from rnnkit.embeddings.learnable import refuse_unlearnable
    from rnnkit.embeddings.model import copy_vectors

    with atomic_directory(folder / TEXT, ARTIFACT_PART) as temporary:
        counted = text.write_ids(temporary, options.min_count, listen)
        lexicon, row_of = select_vocabulary(options, pretrained, counted)
        write_rows(temporary, counted.rows(row_of))
        corpus = open_text(temporary)
        listen(
            Note(
                f"{corpus.tokens:,} words, {counted.different:,} distinct; {len(counted.words):,} occur at least "
                f"{options.min_count} times and cover {counted.counts.sum() / corpus.tokens:.1%} of the text"
            )
        )
        refuse_unlearnable(corpus, options.min_count)
        del corpus  # its memory maps refer to the temporary directory
        model = _make_matrices(options, lexicon, listen)
        if pretrained is not None:
            copy_vectors(model, pretrained)
        inputs = text.digests(options.init_from)
    run_directory.start(folder.path, model.table(), run_folder.kept(options), inputs)
    return model, open_text(folder / TEXT)


def reopen_run(options: TrainEmbeddingsOptions, folder: Path, listen: Listener) -> tuple[EmbeddingModel, Corpus]:
    """Open vocabulary and encoded text of an interrupted run. Its checkpoint holds the matrices.

    Raises:
        ConfigError: The run is finished.
        FormatError: A file is missing or damaged.
    """
    from rnnkit.embeddings import directory
    from rnnkit.embeddings.corpus import open_text
    from rnnkit.embeddings.model import Lexicon

    if manifest.load(folder / manifest.NAME).facts.get("finished", True):  # converted vectors lack the fact
        raise ConfigError(
            f"the run in {folder} is finished",
            hint="--init-from starts a new run from its vectors, with new text",
            path=folder,
            option="--resume",
        )
    words, subwords = directory.read_words(folder)
    if words.counts is None:
        path = folder / directory.VOCABULARY
        raise FormatError(f"{path} is damaged", "the word counts are missing", path=path)
    model = _make_matrices(options, Lexicon(words.encoded(), words.counts, subwords), listen)
    return model, open_text(folder / TEXT)


def select_vocabulary(
    options: TrainEmbeddingsOptions, pretrained: Table | None, counted: WordCounts
) -> tuple[Lexicon, NDArray[np.int32]]:
    """Select the words that get vectors.

    Args:
        options: As returned by `load_pretrained`.
        pretrained: Vectors to start from; all their words are kept.
        counted: The words of the text.

    Returns:
        The vocabulary, and the vocabulary id of each word of `counted`.
    """
    import numpy as np

    from rnnkit.embeddings.model import Lexicon, choose_subwords, merge_words
    from rnnkit.text import special_tokens

    if pretrained is not None:
        words, counts, rows = merge_words(counted, pretrained)
        return Lexicon(words, counts, pretrained.subwords), rows
    subwords = None
    if options.subwords:
        subwords = choose_subwords(counted.words, *ngram_lengths(options), options.buckets)
    rows = np.arange(len(special_tokens.NAMES), len(special_tokens.NAMES) + len(counted.words)).astype(np.int32)
    return Lexicon(counted.words, counted.counts, subwords), rows


def make_config(options: TrainEmbeddingsOptions, model: EmbeddingModel, corpus: Corpus) -> Lesson:
    """Make the training configuration: parameters, noise and subsampling distributions, and hyperparameters."""
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
        # Skip-gram's n-grams get the full gradient each, as in fastText: there are many per word, and a divided
        # gradient would hardly move them.
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


def _make_matrices(options: TrainEmbeddingsOptions, lexicon: Lexicon, listen: Listener) -> EmbeddingModel:
    """Initialize the matrices. Raises ConfigError if they do not fit into memory."""
    from rnnkit.embeddings.hot_rows import copies
    from rnnkit.embeddings.model import make_model

    if options.loss == "softmax" and len(lexicon.words) > MAX_SOFTMAX_WORDS:
        raise ConfigError(
            f"--loss softmax computes a score for all {len(lexicon.words):,} words at every prediction",
            f"it is a reference for vocabularies of up to {MAX_SOFTMAX_WORDS:,} words",
            hint="use --loss negative, or raise --min-count",
            option="--loss",
        )
    dimension = vector_dimension(options)
    required, available = lexicon.memory_bytes(dimension), available_memory()
    listen(Note(f"{len(lexicon.words):,} words of dimension {dimension} take {required / 1e6:,.0f} MB of memory"))
    if required > available:
        raise ConfigError(
            f"the vectors need {required / 1e9:,.1f} GB of memory, but only {available / 1e9:,.1f} GB are available",
            hint="lower --dimension, or raise --min-count" + (", or lower --buckets" if lexicon.subwords else ""),
            option="--dimension",
        )
    # The softmax loops over all rows of the matrix and does not support per-thread copies of frequent rows.
    copied = 0 if options.loss == "softmax" else copies(options.threads or available_cores(), lexicon.rows)
    return make_model(lexicon, dimension, options.seed, copied, options.ngram_weights == "length")
