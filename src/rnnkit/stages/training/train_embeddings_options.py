"""The options of `rnnkit train-embeddings`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from rnnkit.options.declare import argument, changed, option
from rnnkit.stages import shared_options as shared
from rnnkit.stages.training import training_options as training

METHODS = ("skipgram", "cbow")
DIMENSION = 100
"""Vector dimension if neither an option nor the vectors of `--init-from` set it."""
NGRAMS = (3, 6)
"""Lengths of the shortest and of the longest character n-gram, by the same rule."""
LOSSES = ("negative", "nce", "softmax")
GRADIENTS = ("exact", "classic")
NGRAM_WEIGHTS = ("length", "equal")

LEARNING_RATES = {"skipgram": 0.025, "cbow": 0.125, "classic": 0.025, "subwords": 0.05}
"""Default learning rates. CBOW's exact gradient is smaller than the classic one by a factor of the window size."""


@dataclass(frozen=True)
class TrainEmbeddingsOptions(training.RunOptions, shared.ThreadOptions, shared.RepairOptions):
    """Train word vectors on text, token files or aligned data: skip-gram or CBOW, with or without subwords.

    Words are separated by white space; `rnnkit tokenize` makes them from raw text. The result is a vectors directory
    for `rnnkit neighbors`, `analogy`, `evaluate-embeddings`, `convert-embeddings`, `train --embeddings` and
    `--word-vectors`.
    """

    text: list[Path] = argument(
        (), help="Text or token files; - is standard input.", metavar="TEXT...", shown_default="WORK/tokens/train.*.tok"
    )
    data: Path | None = option(None, help="Train on this aligned data instead of text.", panel="Data")
    vocab: Path | None = option(
        None, help="Vocabulary that --data was encoded with.", panel="Data", shown_default="WORK/vocab.tsv"
    )
    language: str = option(
        "", help="Language of the token files, or side of --data.", panel="Data", shown_default="the only one"
    )
    min_count: int = option(
        5,
        help="Drop words below this frequency.",
        panel="Data",
        unit="occurrences",
        minimum=1,
        variable="TRAIN_EMBEDDINGS_MIN_COUNT",
    )
    init_from: Path | None = option(
        None, help="Start from these vectors, in any format, and train on new text; all their words are kept.",
        panel="Data", variable="TRAIN_EMBEDDINGS_INIT_FROM",
    )  # fmt: skip
    method: str = option(
        "skipgram", help="Skip-gram (predict the context) or CBOW (predict the word).", panel="Model", choices=METHODS
    )
    dimension: int | None = option(
        None, help="Vector dimension.", panel="Model", minimum=1,
        shown_default=f"{DIMENSION}; with --init-from that of the vectors",
    )  # fmt: skip
    window: int = option(
        5, help="Context window: maximum distance to each side.", panel="Model", unit="words", minimum=1, maximum=500
    )
    dynamic_window: bool = option(
        True, help="Draw the size of each window uniformly from 1 to --window.", panel="Model"
    )
    subwords: bool | None = option(
        None, help="Train vectors of character n-grams, too, which compose vectors of unseen words (fastText).",
        panel="Model", shown_default="no; with --init-from as in the vectors",
    )  # fmt: skip
    min_ngram: int | None = option(
        None, help="Length of the shortest n-gram.", panel="Model", unit="characters", minimum=1,
        shown_default=f"{NGRAMS[0]}; with --init-from that of the vectors",
    )  # fmt: skip
    max_ngram: int | None = option(
        None, help="Length of the longest n-gram.", panel="Model", unit="characters", minimum=1, maximum=100,
        shown_default=f"{NGRAMS[1]}; with --init-from that of the vectors",
    )  # fmt: skip
    buckets: int = option(
        0, help="Hash buckets of n-grams; 0 derives them from the number of n-grams.", panel="Model", minimum=0,
        maximum=1_000_000_000,
    )  # fmt: skip
    ngram_weights: str = option(
        "length", help="Weight n-grams by length, or all equally (fastText).", panel="Model", choices=NGRAM_WEIGHTS
    )
    loss: str = option(
        "negative", help="Negative sampling, noise-contrastive estimation (NCE), or full softmax.",
        panel="Optimization", choices=LOSSES,
    )  # fmt: skip
    negatives: int = option(
        5, help="Negative samples per positive.", panel="Optimization", unit="words", minimum=1, maximum=1000
    )
    noise_exponent: float | None = option(
        None, help="Exponent of word counts in the noise distribution.", panel="Optimization", minimum=-10, maximum=10,
        shown_default="0.75, with subwords 0.5",
    )  # fmt: skip
    sample: float = option(
        1e-3,
        help="Relative frequency above which words are subsampled; 0 keeps all.",
        panel="Optimization",
        minimum=0,
        variable="TRAIN_EMBEDDINGS_SAMPLE",
    )
    cbow_gradient: str = option(
        "exact", help="Divide the gradient among the context words, or apply it in full to each (word2vec.c).",
        panel="Optimization", choices=GRADIENTS,
    )  # fmt: skip
    epochs: int = option(
        5,
        help="Passes over the text.",
        panel="Optimization",
        unit="epochs",
        minimum=1,
        variable="TRAIN_EMBEDDINGS_EPOCHS",
    )
    learning_rate: float = option(
        0.0, help="Initial learning rate; it decays linearly to 0.", panel="Optimization", minimum=0,
        shown_default="skipgram 0.025, with subwords 0.05; cbow 0.125, classic 0.025",
        variable="TRAIN_EMBEDDINGS_LEARNING_RATE",
    )  # fmt: skip
    plain_loops: bool = option(
        False, help="Use the reference implementation of the training kernels; slow.", panel="Optimization"
    )
    seed: int = option(1, help="Random seed.", panel="Optimization", minimum=0)
    output: Path | None = option(
        None, help="Vectors directory to write.", panel="Output", shown_default="WORK/embeddings"
    )
    _: KW_ONLY
    repair: bool = changed(
        shared.RepairOptions,
        "repair",
        help="Read an imperfect --init-from file: repair or skip invalid UTF-8, duplicates, wrong counts.",
    )


def vector_dimension(options: TrainEmbeddingsOptions) -> int:
    """Return the vector dimension, the default included."""
    return DIMENSION if options.dimension is None else options.dimension


def ngram_lengths(options: TrainEmbeddingsOptions) -> tuple[int, int]:
    """Return the lengths of the shortest and of the longest n-gram, the defaults included."""
    shortest, longest = options.min_ngram, options.max_ngram
    return NGRAMS[0] if shortest is None else shortest, NGRAMS[1] if longest is None else longest


def default_learning_rate(options: TrainEmbeddingsOptions) -> float:
    """Return the learning rate for a run without `--learning-rate`."""
    if options.method == "cbow" and options.cbow_gradient == "classic":
        return LEARNING_RATES["classic"]
    return LEARNING_RATES["subwords" if options.subwords and options.method == "skipgram" else options.method]


def noise_exponent(options: TrainEmbeddingsOptions) -> float:
    """Return the exponent of the noise distribution; the defaults are those of word2vec and, for subwords, fastText."""
    if options.noise_exponent is not None:
        return options.noise_exponent
    return 0.5 if options.subwords else 0.75
