"""The options of `rnnkit train-embeddings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnnkit.options.declare import argument, option
from rnnkit.stages import usual_options as usual
from rnnkit.stages.training import training_options as training

METHODS = ("skipgram", "cbow")
DIMENSION = 100
"""Numbers in a vector, where neither an option nor other vectors say how many."""
NGRAMS = (3, 6)
"""Characters of the shortest and of the longest n-gram, in the same way."""
LOSSES = ("negative", "nce", "softmax")
GRADIENTS = ("exact", "classic")
NGRAM_WEIGHTS = ("length", "equal")

RATES = {"skipgram": 0.025, "cbow": 0.125, "classic": 0.025, "subwords": 0.05}
"""Learning rates, where none is given; CBOW's exact gradient is smaller than the classic one by the window's size."""


@dataclass(frozen=True)
class TrainEmbeddingsOptions:
    """Learn word vectors from text, token files or aligned data.

    Words stand between white space; `rnnkit tokenize` makes them from raw text. The vectors directory is for
    `rnnkit neighbors`, `analogy`, `evaluate-embeddings`, `convert-embeddings` and `train --embeddings`.
    """

    text: list[Path] = argument(
        (), help="Text or token files; - is stdin.", metavar="TEXT...", shown_default="WORK/tokens/train.*.tok"
    )
    work: Path = usual.work()
    data: Path | None = option(None, help="Aligned data to learn from in place of text.", panel="Data")
    vocab: Path | None = option(
        None, help="Vocabulary that --data was made with.", panel="Data", shown_default="WORK/vocab.tsv"
    )
    language: str = option(
        "", help="Side of the workspace's text or of --data.", panel="Data", shown_default="the only one"
    )
    min_count: int = option(5, help="Rarer words get no vector.", panel="Data", unit="times", minimum=1)
    init_from: Path | None = option(
        None, help="Vectors to go on from with new text, in any format; their words are kept.", panel="Data"
    )
    repair: bool = usual.repair(
        help="Read an imperfect file of --init-from: repair or skip invalid UTF-8, duplicates, wrong counts."
    )
    method: str = option("skipgram", help="A word predicts its neighbours, or they it.", panel="Model", choices=METHODS)
    dimension: int | None = option(
        None, help="Numbers in a vector.", panel="Model", minimum=1,
        shown_default=f"{DIMENSION}; with --init-from that of the vectors",
    )  # fmt: skip
    window: int = option(5, help="Most words on each side.", panel="Model", unit="words", minimum=1, maximum=500)
    dynamic_window: bool = option(True, help="Draw each window's size from 1 to --window.", panel="Model")
    subwords: bool | None = option(
        None, help="Vectors for character n-grams too, and so for words never seen (fastText).", panel="Model",
        shown_default="no; with --init-from as the vectors have them",
    )  # fmt: skip
    min_ngram: int | None = option(
        None, help="Characters of the shortest n-gram.", panel="Model", minimum=1,
        shown_default=f"{NGRAMS[0]}; with --init-from that of the vectors",
    )  # fmt: skip
    max_ngram: int | None = option(
        None, help="Characters of the longest n-gram.", panel="Model", minimum=1, maximum=100,
        shown_default=f"{NGRAMS[1]}; with --init-from that of the vectors",
    )  # fmt: skip
    buckets: int = option(
        0, help="Rows that n-grams are hashed into; 0: by their number.", panel="Model", minimum=0,
        maximum=1_000_000_000,
    )  # fmt: skip
    ngram_weights: str = option(
        "length", help="Long n-grams count more than short ones, or all the same (fastText).", panel="Model",
        choices=NGRAM_WEIGHTS,
    )  # fmt: skip
    loss: str = option(
        "negative", help="Negative sampling, noise-contrastive estimation, or the whole vocabulary.",
        panel="Optimisation", choices=LOSSES,
    )  # fmt: skip
    negatives: int = option(
        5, help="Noise words for each right one.", panel="Optimisation", unit="words", minimum=1, maximum=1000
    )
    noise_exponent: float | None = option(
        None, help="Noise is drawn by count to this power.", panel="Optimisation", minimum=-10, maximum=10,
        shown_default="0.75, with subwords 0.5",
    )  # fmt: skip
    sample: float = option(
        1e-3, help="Share of the text above which words are thinned out; 0: never.", panel="Optimisation", minimum=0
    )
    cbow_gradient: str = option(
        "exact", help="Context words share the gradient, or each gets all of it (word2vec.c).", panel="Optimisation",
        choices=GRADIENTS,
    )  # fmt: skip
    epochs: int = option(5, help="Passes over the text.", panel="Optimisation", unit="passes", minimum=1)
    learning_rate: float = option(
        0.0, help="First learning rate; falls to 0 in a line.", panel="Optimisation", minimum=0,
        shown_default="skipgram 0.025, with subwords 0.05; cbow 0.125, classic 0.025",
    )  # fmt: skip
    plain_loops: bool = option(False, help="Slow loops that the fast kernels are held against.", panel="Optimisation")
    threads: int = usual.threads()
    seed: int = option(1, help="Seed of everything that is drawn.", panel="Optimisation", minimum=0)
    output: Path | None = option(
        None, help="Vectors directory to write.", panel="Output", shown_default="WORK/embeddings"
    )
    save_every: float = training.save_every()
    resume: bool = option(False, help="Go on with the run in the vectors directory.", panel="Output")
    overwrite: bool = option(False, help="Replace the vectors directory.", panel="Output")
    dry_run: bool = training.dry_run()


def dimension(options: TrainEmbeddingsOptions) -> int:
    """Numbers in a vector."""
    return DIMENSION if options.dimension is None else options.dimension


def ngrams(options: TrainEmbeddingsOptions) -> tuple[int, int]:
    """Characters of the shortest and of the longest n-gram."""
    shortest, longest = options.min_ngram, options.max_ngram
    return NGRAMS[0] if shortest is None else shortest, NGRAMS[1] if longest is None else longest


def default_rate(options: TrainEmbeddingsOptions) -> float:
    """The learning rate where none is given."""
    if options.method == "cbow" and options.cbow_gradient == "classic":
        return RATES["classic"]
    return RATES["subwords" if options.subwords and options.method == "skipgram" else options.method]


def noise_exponent(options: TrainEmbeddingsOptions) -> float:
    """The power of the counts that noise is drawn by: that of word2vec, or with subwords that of fastText."""
    if options.noise_exponent is not None:
        return options.noise_exponent
    return 0.5 if options.subwords else 0.75
