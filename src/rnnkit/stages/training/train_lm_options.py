"""Options of `train-lm`, their presets, and the checks of which can be combined."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from rnnkit.errors import UsageError
from rnnkit.json_types import JsonMapping
from rnnkit.nn import kinds
from rnnkit.options.declare import option, parameters_of
from rnnkit.stages.training import training_options
from rnnkit.stages.training import training_options as training
from rnnkit.training import schedules

NGRAM = "ngram"
ARCHS = (NGRAM, *kinds.LANGUAGE_ARCHS)
SMOOTHINGS = ("kneser-ney", "add-k", "maximum-likelihood")

SMALL: JsonMapping = {
    "layers": 1, "hidden": 256, "embedding": 256, "residual": False,
    "dropout": 0.35, "dropout_input": 0.25, "dropout_hidden": 0.25, "dropout_embedding": 0.0, "weight_drop": 0.0,
    "activation_penalty": 0.0, "temporal_penalty": 0.0, "weight_decay": 0.0, "mean_decay": 0.0,
    "batch_size": 20, "steps": 35, "vary_steps": False, "epochs": 0.0,
    "optimizer": "adamw", "learning_rate": 6e-3, "schedule": "cosine", "warmup": 600, "clip": 1.0,
}  # fmt: skip
MEDIUM: JsonMapping = {
    **SMALL,
    "layers": 2, "hidden": 650, "embedding": 400, "dropout": 0.4, "dropout_input": 0.3, "dropout_hidden": 0.3,
    "dropout_embedding": 0.1, "weight_drop": 0.2, "epochs": 30.0, "batch_size": 32, "learning_rate": 3e-3,
    "activation_penalty": 1.0, "temporal_penalty": 0.5, "mean_decay": 0.99,
}  # fmt: skip
AWD: JsonMapping = {
    **MEDIUM,
    "layers": 3, "hidden": 1152, "embedding": 512, "dropout": 0.4, "dropout_input": 0.4, "dropout_hidden": 0.25,
    "dropout_embedding": 0.1, "weight_drop": 0.5, "activation_penalty": 2.0, "temporal_penalty": 1.0,
    "weight_decay": 1.2e-6, "batch_size": 64, "steps": 70, "vary_steps": True, "epochs": 90.0, "learning_rate": 4e-3,
    "schedule": "onecycle", "clip": 0.25, "mean_decay": 0.999,
}  # fmt: skip
PRESETS: Mapping[str, JsonMapping] = {"small": SMALL, "medium": MEDIUM, "awd": AWD}


_preset = functools.partial(training_options.preset_option, PRESETS)


@dataclass(frozen=True)
class TrainLMOptions(training.TrainingOptions):
    """Train an n-gram, recurrent or Transformer language model on monolingual data.

    Defaults given as three values are those of --preset small, medium and awd. The text is one stream, split into
    parallel streams and trained with truncated BPTT: the state is carried over from segment to segment. With --context
    line each line starts from the initial state.

    --arch ngram estimates an n-gram model instead: interpolated modified Kneser-Ney, in seconds.

    --cloze trains a masked language model, for infilling given both sides. The model directory holds the best and
    the last weights, the metrics, a learning curve and a model card.
    """

    preset: str = option("small", help="Preset that supplies defaults.", panel="Model", choices=tuple(PRESETS))
    arch: str = option("lstm", help="N-gram model, recurrent cell or Transformer.", panel="Model", choices=ARCHS)
    layers: int | None = _preset("layers", help="Number of layers.", minimum=1)
    hidden: int | None = _preset("hidden", help="Hidden size.", minimum=2)
    embedding: int | None = _preset("embedding", help="Embedding dimension.", minimum=1)
    tied: bool = option(True, help="Tie the output layer to the embeddings.", panel="Model")
    residual: bool | None = _preset("residual", help="Residual connections between layers.")
    heads: int = option(4, help="Attention heads of a Transformer.", panel="Model", minimum=1)
    memory: int = option(128, help="Attention window of a Transformer.", panel="Model", unit="tokens", minimum=1)
    context: str = option(
        "stream", help="Context of a line: the stream of lines before it, or none.", panel="Model",
        choices=kinds.LINE_CONTEXTS,
    )  # fmt: skip
    direction: str = option(
        "forward", help="Read each line left to right, or backward, right to left; neural models only.",
        panel="Model", choices=kinds.DIRECTIONS, variable="TRAIN_LM_DIRECTION",
    )  # fmt: skip
    cloze: bool = option(False, help="Train a masked language model, to fill gaps.", panel="Model")
    bidirectional: bool = option(False, help="Bidirectional layers; only with --cloze.", panel="Model")
    order: int = option(
        5, help="Order of the n-gram model.", panel="N-gram models", unit="tokens", minimum=1, maximum=12
    )
    smoothing: str = option("kneser-ney", help="Smoothing method.", panel="N-gram models",
                            choices=SMOOTHINGS)  # fmt: skip
    add_k: float = option(1.0, help="Count that add-k smoothing adds.", panel="N-gram models", minimum=0)
    prune: list[int] = option(
        (), help="For each order, prune n-grams with at most this count; the last value holds for higher orders.",
        panel="N-gram models", many=True, minimum=0, shown_default="none",
    )  # fmt: skip
    closed: bool = option(
        False, help="Closed vocabulary: no probability mass for unknown words.", panel="N-gram models"
    )
    dropout: float | None = _preset("dropout", help="Dropout on the output.", minimum=0, maximum=0.99)
    dropout_input: float | None = _preset("dropout_input", help="Dropout on the embeddings.", minimum=0, maximum=0.99)
    dropout_hidden: float | None = _preset("dropout_hidden", help="Dropout between layers.", minimum=0, maximum=0.99)
    dropout_embedding: float | None = training.dropout_embedding(PRESETS)
    weight_drop: float | None = training.weight_drop(PRESETS)
    activation_penalty: float | None = _preset(
        "activation_penalty", "Optimization", help="Activation regularization (AR) weight.", minimum=0
    )
    temporal_penalty: float | None = _preset(
        "temporal_penalty", "Optimization", help="Temporal activation regularization (TAR) weight.", minimum=0
    )
    weight_decay: float | None = _preset("weight_decay", "Optimization", help="Weight decay.", minimum=0)
    mean_decay: float | None = training.mean_decay(PRESETS)
    epochs: float | None = training.epochs(PRESETS, help="Number of epochs; 0: chosen by the size of the text.")
    batch_size: int | None = _preset(
        "batch_size", "Optimization", help="Batch size (parallel streams).", minimum=1, formerly="columns"
    )
    steps: int | None = _preset(
        "steps", "Optimization", help="BPTT length (tokens per segment).", unit="tokens", minimum=1
    )
    vary_steps: bool | None = _preset("vary_steps", "Optimization", help="Vary the BPTT length randomly.")
    partial_shuffle: bool = option(True, help="Rotate each stream by a random offset every epoch.",
                                   panel="Optimization")  # fmt: skip
    batch_tokens: int = option(
        1400, help="Batch size with --context line or --cloze.", panel="Optimization", unit="tokens", minimum=1
    )
    optimizer: str | None = _preset("optimizer", "Optimization", help="Optimizer.", choices=kinds.OPTIMIZERS)
    learning_rate: float | None = training.learning_rate(PRESETS)
    schedule: str | None = _preset("schedule", "Schedule", help="Learning-rate schedule.", choices=schedules.SCHEDULES)
    warmup: int | None = training.warmup(PRESETS, help="Steps of linear warm-up; onecycle has its own.")
    clip: float | None = _preset("clip", "Optimization", help="Clip gradients to this norm; 0: none.",
                                 minimum=0)  # fmt: skip
    clip_value: float = option(0.0, help="Clip gradient values to this magnitude; 0: none.",
                               panel="Optimization", minimum=0)  # fmt: skip
    sampled_softmax: int = option(
        0, help="Sampled softmax with this many negatives; 0: full softmax.", panel="Optimization",
        unit="tokens", minimum=0,
    )  # fmt: skip


def apply_preset(options: TrainLMOptions) -> TrainLMOptions:
    """Fill in the values of the preset for options that were not given.

    Raises:
        UsageError: Options cannot be combined.
    """
    values = PRESETS[options.preset]
    if options.arch == "transformer":
        values = {**values, "embedding": options.hidden or values["hidden"]}
    filled = training_options.apply_preset(options, values)
    check(filled)
    return filled


def check(options: TrainLMOptions) -> None:
    """Check the options before any work is done. Raises UsageError if they cannot be combined."""
    if options.bidirectional and not options.cloze:
        raise UsageError(
            "--bidirectional needs --cloze",
            "a causal language model must not see the word that it predicts",
            hint="--cloze trains a masked language model",
            option="--bidirectional",
        )
    if options.direction == "backward" and (options.cloze or options.arch == NGRAM):
        raise UsageError(
            f"--direction backward needs a neural language model, not {'--cloze' if options.cloze else '--arch ngram'}",
            "a masked language model reads both sides" if options.cloze else "n-gram models predict left to right",
            option="--direction",
        )
    if options.cloze and options.arch in (NGRAM, "transformer"):
        raise UsageError(f"--cloze needs a recurrent cell, not --arch {options.arch}", option="--cloze")
    for flag, count in (("--accumulate", options.accumulate), ("--processes", options.processes)):
        if options.arch == NGRAM and count > 1:
            raise UsageError(
                f"{flag} {count} needs a neural network, not --arch {NGRAM}",
                "n-gram models are not trained in steps",
                option=flag,
            )
    if options.arch == NGRAM and options.recompute:
        raise UsageError(
            f"--recompute needs a neural network, not --arch {NGRAM}",
            "n-gram models have no activations",
            option="--recompute",
        )
    if options.arch == "transformer" and options.embedding != options.hidden:
        raise UsageError(
            f"--embedding ({options.embedding}) must equal --hidden ({options.hidden}) for a Transformer",
            option="--embedding",
        )
    if options.arch == "transformer" and (options.hidden or 0) % options.heads:
        raise UsageError(
            f"--hidden ({options.hidden}) must be divisible by --heads ({options.heads})", option="--hidden"
        )


def unused_options(options: TrainLMOptions) -> list[str]:
    """Return options of neural models that are given for an n-gram model, or the reverse."""
    panels = ("Model", "Schedule", "Optimization") if options.arch == NGRAM else ("N-gram models",)
    return [
        each.spelling
        for each in parameters_of(TrainLMOptions)
        if each.declared.panel in panels
        and each.name not in ("arch", "preset", "device", "threads", "seed")
        and getattr(options, each.name) != each.default
    ]
