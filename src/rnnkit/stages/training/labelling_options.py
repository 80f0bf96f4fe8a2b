"""Options of `train-tagger` and `train-classifier`, their presets, and the checks of which can be combined."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, TypeVar

from rnnkit.errors import UsageError
from rnnkit.json_types import JsonMapping
from rnnkit.nn import kinds
from rnnkit.options.declare import changed, option
from rnnkit.stages.training import training_options
from rnnkit.stages.training import training_options as training
from rnnkit.training import schedules

TAGGER: JsonMapping = {
    "arch": "lstm", "bidirectional": True, "residual": True,
    "layers": 1, "hidden": 400, "embedding": 100, "characters": "ngrams", "character_embedding": 32,
    "character_hidden": 128, "inner": 800, "heads": 4, "layer_norm": False, "dropout": 0.5, "dropout_embedding": 0.0,
    "dropout_ngrams": 0.25, "weight_drop": 0.0, "word_dropout": 1.0, "epochs": 0.0, "batch_tokens": 600,
    "learning_rate": 4e-3, "warmup": 100, "label_smoothing": 0.0, "mean_decay": 0.998,
}  # fmt: skip
"""Defaults of a tagger, chosen on the validation data of the English Web Treebank.

N-grams learn no more slowly there than a character LSTM (94.2 % against 94.0 % after two epochs) and take less time,
and two layers learn more slowly than one.
"""

TAGGER_FAST: JsonMapping = {**TAGGER, "hidden": 128, "embedding": 64, "character_hidden": 64, "dropout": 0.3}
TAGGER_PRESETS: Mapping[str, JsonMapping] = {"base": TAGGER, "fast": TAGGER_FAST}
CLASSIFIER: JsonMapping = {
    "arch": "lstm", "bidirectional": True, "residual": True,
    "layers": 1, "hidden": 256, "embedding": 128, "characters": "none", "character_embedding": 32,
    "character_hidden": 64, "inner": 512, "heads": 4, "layer_norm": False, "dropout": 0.5, "dropout_embedding": 0.1,
    "dropout_ngrams": 0.25, "weight_drop": 0.0, "word_dropout": 0.25, "epochs": 0.0, "batch_tokens": 1000,
    "learning_rate": 1e-3, "warmup": 100, "label_smoothing": 0.0, "mean_decay": 0.998,
}  # fmt: skip
LINEAR_IDF: JsonMapping = {
    **CLASSIFIER, "embedding": 100, "epochs": 0.0, "learning_rate": 0.05, "word_ngrams": 2, "min_characters": 0,
    "max_characters": 0,
}  # fmt: skip
"""Defaults of a linear classifier. Weighted sums are longer than means: their learning rate is lower."""

LINEAR_COUNT: JsonMapping = {**LINEAR_IDF, "epochs": 20.0, "learning_rate": 0.5, "word_ngrams": 1}
"""Defaults with `--feature-weights count`: those of fastText but for the number of epochs."""

LINEAR: Mapping[str, JsonMapping] = {"idf": LINEAR_IDF, "count": LINEAR_COUNT}

LINEAR_UPDATES, LINEAR_EPOCHS = 70_000, (10, 100)
"""Default number of epochs times the number of texts with `LINEAR_IDF`, and the bounds of the former.

These are 10 epochs of SST-2. With 10 epochs of 800 texts, a classifier of five topics had an accuracy of 67 %, with 88
of 95 %. On the 10,000 long texts of 20 Newsgroups, one with bigrams had 72 % after 7 epochs and 79 % after 10.
"""

CLASSIFIER_PRESETS: Mapping[str, JsonMapping] = {"base": CLASSIFIER}

TAGGER_EPOCHS, CLASSIFIER_EPOCHS = 3600, 2200
"""Default number of epochs times the square root of the training words.

A tagger has 8 epochs of 200,000 words; with as many of the 63,000 words of WNUT-17, it had found 15 % instead of 20 %
of the names (F1). A classifier has 6 epochs of 133,000 words (SST-2), of which the validation loss is lowest after 3.
"""

BALANCED = "balanced"
"""Value of `--class-weights` under which all classes have the same influence."""

ALL, GRADUAL, NONE = "all", "gradual", "none"
UNFREEZING = (ALL, GRADUAL, NONE)
"""Values of `--unfreeze`."""

_SHOWN: Mapping[str, JsonMapping] = {"base": TAGGER}
_preset = functools.partial(training_options.preset_option, _SHOWN)
OptionsT = TypeVar("OptionsT", bound="LabellingOptions")


@dataclass(frozen=True)
class LabellingOptions(training.TrainingOptions):
    """Training of a tagger or a text classifier."""

    arch: str | None = _preset("arch", help="Recurrent cell or Transformer.", choices=kinds.LANGUAGE_ARCHS)
    layers: int | None = _preset("layers", help="Number of layers.", minimum=1)
    hidden: int | None = _preset("hidden", help="Hidden size.", minimum=2)
    embedding: int | None = _preset("embedding", help="Embedding dimension.", minimum=1)
    bidirectional: bool | None = _preset(
        "bidirectional", help="Recurrent layers in both directions, half the hidden size per direction."
    )
    characters: str | None = _preset(
        "characters", help="Encoding of the characters of each word.", choices=kinds.CHARACTER_ENCODINGS
    )
    character_embedding: int | None = _preset(
        "character_embedding", help="Embedding dimension of characters.", minimum=1
    )
    character_hidden: int | None = _preset("character_hidden", help="Dimension of the encoded characters.", minimum=2)
    embeddings: list[Path] = changed(
        training.TrainingOptions, "embeddings",
        help="Word vectors that initialize the embeddings; for words that train lacks, use --word-vectors.",
    )  # fmt: skip
    word_vectors: Path | None = option(
        None, help="Word vectors, in any format, that represent words in addition to the embeddings, also words that "
        "train lacks; not trained further.", panel="Model", shown_default="none",
    )  # fmt: skip
    repair: bool = changed(
        training.TrainingOptions, "repair",
        help="Read imperfect files of --embeddings and --word-vectors: repair or skip invalid UTF-8, duplicates, wrong "
        "counts.",
    )  # fmt: skip
    language_model: list[Path] = option(
        (), help="Character language model whose states represent words, not trained further; a forward and a backward "
        "one are best.", panel="Model", shown_default="none",
    )  # fmt: skip
    language_model_projection: int = option(
        256, help="Dimension that the states of language models are projected to.", panel="Model", minimum=1
    )
    residual: bool | None = _preset(
        "residual", help="Residual connections between recurrent layers, from three layers on."
    )
    layer_norm: bool | None = _preset("layer_norm", help="Layer normalization of the input of recurrent layers.")
    heads: int | None = _preset("heads", help="Heads of a Transformer.", minimum=1)
    inner: int | None = _preset("inner", help="Feed-forward size of a Transformer.", minimum=1)
    dropout: float | None = _preset(
        "dropout", help="Variational dropout on the input and output of layers.", minimum=0, maximum=0.99
    )
    dropout_embedding: float | None = training.dropout_embedding(_SHOWN)
    dropout_ngrams: float | None = _preset(
        "dropout_ngrams", help="Probability of leaving out a character n-gram.", minimum=0, maximum=0.99
    )
    weight_drop: float | None = training.weight_drop(_SHOWN)
    word_dropout: float | None = _preset(
        "word_dropout", help="Constant A: a word seen n times is replaced by <unk> with probability A / (A + n).",
        minimum=0,
    )  # fmt: skip
    epochs: float | None = training.epochs(_SHOWN, help="Number of epochs; 0: chosen by the size of the data.")
    batch_tokens: int | None = _preset(
        "batch_tokens", "Optimization", help="Batch size in tokens, padding included.", unit="tokens", minimum=1
    )
    optimizer: str = option("adam", help="Optimizer.", panel="Optimization", choices=kinds.OPTIMIZERS)
    learning_rate: float | None = training.learning_rate(_SHOWN)
    schedule: str = option(
        "cosine", help="Learning-rate schedule after warm-up.", panel="Schedule", choices=schedules.SCHEDULES
    )
    warmup: int | None = training.warmup(_SHOWN, help="Steps of linear warm-up.")
    weight_decay: float = option(0.0, help="Weight decay.", panel="Optimization", minimum=0)
    label_smoothing: float | None = _preset(
        "label_smoothing", "Optimization", help="Label smoothing.", minimum=0, maximum=0.99
    )
    class_weights: list[str] = option(
        (), help="Weight of labels in the loss, as LABEL=WEIGHT; or balanced.", panel="Optimization",
        shown_default="1 for all labels",
    )  # fmt: skip
    mean_decay: float | None = training.mean_decay(_SHOWN)
    unfreeze: str = option(
        ALL, help="Layers of --init-from that are trained: all, none, or one more per epoch from the last one down.",
        panel="Optimization", choices=UNFREEZING,
    )  # fmt: skip
    layer_decay: float = option(
        1.0, help="Learning rate of a layer of --init-from relative to that of the layer above it.",
        panel="Optimization", minimum=1e-3, maximum=1,
    )  # fmt: skip
    clip: float = option(5.0, help="Clip gradients to this norm.", panel="Optimization", minimum=1e-9)
    tune_seconds: float = option(
        0.0, panel="Model selection", minimum=0, shown_default="0 seconds",
        help="Search the options that are not given for this long, by the score on the validation data, and keep the "
        "best model; 0: none. --seed determines the trials, the speed of the machine their number.",
    )  # fmt: skip
    folds: int = option(
        0, panel="Model selection", minimum=0, unit="folds",
        help="Cross-validation with this many folds of the training data: writes scores and the prediction of every "
        "text, to WORK/folds unless --output is given; 0: none.",
    )  # fmt: skip
    _: KW_ONLY
    init_from: Path | None = changed(
        training.TrainingOptions, "init_from",
        help="Model to fine-tune: one with the same labels, or a language model, which gives the encoder its layers.",
    )  # fmt: skip


@dataclass(frozen=True)
class TrainTaggerOptions(LabellingOptions):
    """Train a tagger on data with a label for each word, such as parts of speech or named entities.

    A word is represented by its embedding and its characters. Tags that mark spans (BIO, BIOES, IOB1) are predicted by
    a CRF, which never predicts an invalid sequence, others word by word; --crf and --no-crf choose. Several columns of
    labels train one model with several outputs. --preset supplies the defaults; those shown are of `base`, and `fast`
    is a smaller model for high speed. The model directory holds the best and the last weights, the metrics, a learning
    curve and a model card.
    """

    preset: str = option("base", help="Preset that supplies defaults.", panel="Model", choices=tuple(TAGGER_PRESETS))
    crf: bool | None = option(
        None, help="Linear-chain CRF: predict the tags of a sentence together.", panel="Model",
        shown_default="yes for tags that mark spans",
    )  # fmt: skip


def _classifier_preset(name: str) -> Any:
    """Declare an option of `LabellingOptions` again, with the default of a classifier."""
    shown = training_options.format_value(CLASSIFIER[name])
    return changed(LabellingOptions, name, shown_default=shown)


@dataclass(frozen=True)
class TrainClassifierOptions(LabellingOptions):
    """Train a text classifier on data with a label for each line, such as a sentiment or a topic.

    The states of all words are pooled to one vector. --arch linear adds up vectors of words and n-grams instead, as
    fastText does: it trains in seconds, and is a strong baseline. --preset supplies the defaults; those
    shown are of `base`. Texts with several labels (`rnnkit align --multi-label`) get a probability for each label, and
    the thresholds that maximize the F1 of the validation data. The model directory holds the best and the last weights,
    the metrics, a learning curve and a model card.
    """

    preset: str = option(
        "base", help="Preset that supplies defaults.", panel="Model", choices=tuple(CLASSIFIER_PRESETS)
    )
    feature_weights: str = option(
        "idf", help="Weights of words and n-grams of --arch linear; count: a mean, as in fastText.", panel="Model",
        choices=tuple(LINEAR),
    )  # fmt: skip
    word_ngrams: int | None = option(
        None, help="Longest word n-gram of --arch linear.", panel="Model", minimum=1, maximum=5,
        shown_default="2 words; count: 1",
    )  # fmt: skip
    min_characters: int | None = option(
        None, help="Shortest character n-gram of --arch linear, with < and > around the word.", panel="Model",
        minimum=0, shown_default="0 characters",
    )  # fmt: skip
    max_characters: int | None = option(
        None, help="Longest character n-gram of --arch linear; 0: none.", panel="Model", minimum=0,
        shown_default="0 characters",
    )  # fmt: skip
    buckets: int = option(
        2_000_000, help="Buckets that n-grams of --arch linear are hashed into.", panel="Model", minimum=1,
    )  # fmt: skip
    pooling: str = option(
        "all", help="How states become one vector; all: max, mean and attention.", panel="Model",
        choices=kinds.POOLINGS,
    )  # fmt: skip
    _: KW_ONLY
    arch: str | None = changed(
        LabellingOptions, "arch", help="Recurrent cell, Transformer, or fastText's linear classifier.",
        choices=(*kinds.LANGUAGE_ARCHS, "linear"),
    )  # fmt: skip
    layers: int | None = _classifier_preset("layers")
    hidden: int | None = _classifier_preset("hidden")
    embedding: int | None = _classifier_preset("embedding")
    characters: str | None = _classifier_preset("characters")
    character_hidden: int | None = _classifier_preset("character_hidden")
    inner: int | None = _classifier_preset("inner")
    dropout: float | None = _classifier_preset("dropout")
    dropout_embedding: float | None = _classifier_preset("dropout_embedding")
    dropout_ngrams: float | None = _classifier_preset("dropout_ngrams")
    word_dropout: float | None = _classifier_preset("word_dropout")
    epochs: float | None = _classifier_preset("epochs")
    batch_tokens: int | None = _classifier_preset("batch_tokens")
    learning_rate: float | None = _classifier_preset("learning_rate")
    warmup: int | None = _classifier_preset("warmup")


def apply_preset(options: OptionsT, values: JsonMapping) -> OptionsT:
    """Fill in the values of a preset for options that were not given.

    Raises:
        UsageError: Options cannot be combined.
    """
    filled = training_options.apply_preset(options, values)
    _check_fine_tuning(filled)
    hidden, heads = filled.hidden or 0, filled.heads or 1
    if filled.arch == "transformer" and hidden % heads:
        raise UsageError(f"--hidden ({hidden}) must be divisible by --heads ({heads})", option="--hidden")
    if filled.arch != "transformer" and filled.bidirectional and hidden % 2:
        raise UsageError(
            f"--hidden must be even with two directions, got {hidden}", "each gets half of it", option="--hidden"
        )
    if filled.characters == "lstm" and (filled.character_hidden or 0) % 2:
        raise UsageError(
            f"--character-hidden must be even with --characters lstm, got {filled.character_hidden}",
            "each direction gets half of it",
            option="--character-hidden",
        )
    if filled.weight_drop and filled.arch in ("mingru", "transformer"):
        raise UsageError(
            f"--weight-drop cannot be combined with --arch {filled.arch}",
            "it has no recurrent weight matrix",
            option="--weight-drop",
        )
    parse_class_weights(filled.class_weights)
    return filled


def _check_fine_tuning(options: LabellingOptions) -> None:
    """Refuse options that treat the layers of another model differently if there is none."""
    given = {"--unfreeze": options.unfreeze != ALL, "--layer-decay": options.layer_decay != 1}
    for flag, is_given in given.items():
        if is_given and options.init_from is None:
            raise UsageError(
                f"{flag} needs --init-from",
                "layers with random weights have to be trained like the others",
                option=flag,
            )


def parse_class_weights(given: list[str]) -> dict[str, float] | None:
    """Parse `--class-weights`.

    Returns:
        The weight of each label that is given; None for balanced weights.

    Raises:
        UsageError: A value is not LABEL=WEIGHT.
    """
    if given == [BALANCED]:
        return None
    weights = {}
    for item in given:
        label, equals, text = item.rpartition("=")
        try:
            weight = float(text)
        except ValueError:
            weight = -1.0
        if not equals or not label or not 0 <= weight < float("inf"):
            raise UsageError(
                f"--class-weights {item}: not LABEL=WEIGHT",
                "a weight is a number of at least 0",
                hint=f"--class-weights {BALANCED} gives all classes the same influence",
                option="--class-weights",
            )
        weights[label] = weight
    return weights
