"""What `train-lm` can be told, and the presets that say the rest."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import option
from rnnkit.errors import UsageError
from rnnkit.nn import kinds
from rnnkit.stages import shared_options as usual
from rnnkit.stages.training import training_options
from rnnkit.stages.training import training_options as training
from rnnkit.training import schedules

NGRAM = "ngram"
ARCHS = (NGRAM, *kinds.LANGUAGE_ARCHS)
SMOOTHINGS = ("kneser-ney", "add-k", "maximum-likelihood")

SMALL: Mapping[str, Any] = {
    "layers": 1, "hidden": 256, "embedding": 256, "residual": False,
    "dropout": 0.35, "dropout_input": 0.25, "dropout_hidden": 0.25, "dropout_embedding": 0.0, "weight_drop": 0.0,
    "activation_penalty": 0.0, "temporal_penalty": 0.0, "weight_decay": 0.0, "mean_decay": 0.0,
    "columns": 20, "steps": 35, "vary_steps": False, "epochs": 0.0,
    "optimizer": "adamw", "learning_rate": 6e-3, "schedule": "cosine", "warmup": 600, "clip": 1.0,
}  # fmt: skip
MEDIUM: Mapping[str, Any] = {
    **SMALL,
    "layers": 2, "hidden": 650, "embedding": 400, "dropout": 0.4, "dropout_input": 0.3, "dropout_hidden": 0.3,
    "dropout_embedding": 0.1, "weight_drop": 0.2, "epochs": 30.0, "columns": 32, "learning_rate": 3e-3,
    "activation_penalty": 1.0, "temporal_penalty": 0.5, "mean_decay": 0.99,
}  # fmt: skip
AWD: Mapping[str, Any] = {
    **MEDIUM,
    "layers": 3, "hidden": 1152, "embedding": 512, "dropout": 0.4, "dropout_input": 0.4, "dropout_hidden": 0.25,
    "dropout_embedding": 0.1, "weight_drop": 0.5, "activation_penalty": 2.0, "temporal_penalty": 1.0,
    "weight_decay": 1.2e-6, "columns": 64, "steps": 70, "vary_steps": True, "epochs": 90.0, "learning_rate": 4e-3,
    "schedule": "onecycle", "clip": 0.25, "mean_decay": 0.999,
}  # fmt: skip
PRESETS: Mapping[str, Mapping[str, Any]] = {"small": SMALL, "medium": MEDIUM, "awd": AWD}


_preset = functools.partial(training_options.preset_option, PRESETS)


@dataclass(frozen=True)
class TrainLMOptions:
    """Train a language model on aligned data of one side: counts, recurrent networks or a Transformer.

    Defaults in three are those of --preset small, medium and awd. The text is one stream, read in columns side by
    side, a few steps at a time with the state carried on; with --context line each line starts from nothing.

    --arch ngram counts instead: interpolated modified Kneser-Ney, in seconds.

    --cloze trains a model that fills a gap from both sides. The model directory keeps the best and the last weights,
    the metrics, a learning curve and a model card.
    """

    work: Path = usual.work()
    data: Path | None = training.data()
    vocab: list[Path] = training.vocab(help="Vocabulary.")
    tokenizer: Path | None = training.tokenizer()
    init_from: Path | None = training.init_from()
    preset: str = training.preset(choices=tuple(PRESETS))
    arch: str = option("lstm", help="Counts, recurrent unit or Transformer.", panel="Model", choices=ARCHS)
    layers: int | None = _preset("layers", help="Layers.", minimum=1)
    hidden: int | None = _preset("hidden", help="Size of the states.", minimum=2)
    embedding: int | None = _preset("embedding", help="Size of the embeddings.", minimum=1)
    tied: bool = option(True, help="Output matrix is the embeddings.", panel="Model")
    residual: bool | None = _preset("residual", help="Add each layer's input to its output.")
    heads: int = option(4, help="Attention heads of a Transformer.", panel="Model", minimum=1)
    memory: int = option(128, help="Tokens that a Transformer looks back on.", panel="Model", unit="tokens", minimum=1)
    context: str = option(
        "stream", help="Lines follow each other, or each starts from nothing.", panel="Model",
        choices=kinds.LINE_CONTEXTS,
    )  # fmt: skip
    cloze: bool = option(False, help="Learn to fill gaps, reading from both sides.", panel="Model")
    bidirectional: bool = option(False, help="Read both ways; only with --cloze.", panel="Model")
    embeddings: list[Path] = training.embeddings(help="Word vectors that embeddings start from.")
    repair: bool = training.repair()
    freeze_embeddings: bool = training.freeze_embeddings()
    order: int = option(5, help="Longest n-gram.", panel="Counts", unit="tokens", minimum=1, maximum=12)
    smoothing: str = option("kneser-ney", help="Where unseen n-grams get their share.", panel="Counts",
                            choices=SMOOTHINGS)  # fmt: skip
    add_k: float = option(1.0, help="What add-k smoothing adds to each count.", panel="Counts", minimum=0)
    prune: list[int] = option(
        (), help="For each order, leave out n-grams seen no more often; the last stands for the rest.",
        panel="Counts", many=True, minimum=0, shown_default="none",
    )  # fmt: skip
    closed: bool = option(False, help="Closed vocabulary: nothing is kept for unknown words.", panel="Counts")
    dropout: float | None = _preset("dropout", help="Dropped from the output.", minimum=0, maximum=0.99)
    dropout_input: float | None = _preset("dropout_input", help="Dropped from embeddings.", minimum=0, maximum=0.99)
    dropout_hidden: float | None = _preset("dropout_hidden", help="Dropped between layers.", minimum=0, maximum=0.99)
    dropout_embedding: float | None = training.dropout_embedding(PRESETS)
    weight_drop: float | None = training.weight_drop(PRESETS)
    activation_penalty: float | None = _preset(
        "activation_penalty", "Optimisation", help="Weight of the squared activations.", minimum=0
    )
    temporal_penalty: float | None = _preset(
        "temporal_penalty", "Optimisation", help="Weight of their squared change from step to step.", minimum=0
    )
    weight_decay: float | None = _preset("weight_decay", "Optimisation", help="Weight decay.", minimum=0)
    mean_decay: float | None = training.mean_decay(PRESETS)
    epochs: float | None = training.epochs(PRESETS, help="Passes over the text; 0: by its size.")
    max_steps: int = training.max_steps()
    columns: int | None = _preset("columns", "Optimisation", help="Places of the text read side by side.", minimum=1)
    steps: int | None = _preset(
        "steps", "Optimisation", help="Tokens read between two cuts of the gradient.", unit="tokens", minimum=1
    )
    vary_steps: bool | None = _preset("vary_steps", "Optimisation", help="Vary --steps at random.")
    partial_shuffle: bool = option(True, help="Turn each column by a random amount, pass by pass.",
                                   panel="Optimisation")  # fmt: skip
    batch_tokens: int = option(
        1400, help="Batch size where lines stand alone.", panel="Optimisation", unit="tokens", minimum=1
    )
    optimizer: str | None = _preset("optimizer", "Optimisation", help="Optimizer.", choices=kinds.OPTIMIZERS)
    learning_rate: float | None = training.learning_rate(PRESETS)
    schedule: str | None = _preset("schedule", "Optimisation", help="Rate over time.", choices=schedules.SCHEDULES)
    warmup: int | None = training.warmup(PRESETS, help="Steps of linear warm-up; onecycle has its own.")
    clip: float | None = _preset("clip", "Optimisation", help="Norm that longer gradients are cut to; 0: none.",
                                 minimum=0)  # fmt: skip
    clip_value: float = option(0.0, help="Size that numbers of the gradient are cut to; 0: none.",
                               panel="Optimisation", minimum=0)  # fmt: skip
    sampled_softmax: int = option(
        0, help="Learn to tell a token from so many others drawn at random; 0: from all.", panel="Optimisation",
        unit="tokens", minimum=0,
    )  # fmt: skip
    patience: int = training.patience(0)
    precision: str = training.precision(help="Of matrix products; auto: bf16 where the hardware has it and it pays.")
    recompute: bool = training.recompute()
    device: str = training.device()
    threads: int = training.threads()
    accumulate: int = training.accumulate()
    processes: int = training.processes()
    restarts: int = training.restarts()
    seed: int = training.seed()
    output: Path | None = training.output()
    validate_every: int = training.validate_every()
    average: int = training.average()
    report_every: int = training.report_every()
    save_every: float = training.save_every()
    resume: bool = training.resume()
    overwrite: bool = training.overwrite()
    dry_run: bool = training.dry_run()


def apply_preset(options: TrainLMOptions) -> TrainLMOptions:
    """The options with the preset's values where none were given.

    Raises:
        UsageError: Options that do not go together.
    """
    values = PRESETS[options.preset]
    if options.arch == "transformer":
        values = {**values, "embedding": options.hidden or values["hidden"]}
    filled = training_options.apply_preset(options, values)
    check(filled)
    return filled


def check(options: TrainLMOptions) -> None:
    """Refuse what makes no sense, before any work is done. Raises UsageError."""
    if options.bidirectional and not options.cloze:
        raise UsageError(
            "--bidirectional language models do not exist",
            "a model that reads from both sides has seen the word it should predict",
            hint="--cloze trains one that fills gaps",
        )
    if options.cloze and options.arch in (NGRAM, "transformer"):
        raise UsageError(f"--cloze wants a recurrent unit, not --arch {options.arch}", "it reads from both sides")
    for flag, count in (("--accumulate", options.accumulate), ("--processes", options.processes)):
        if options.arch == NGRAM and count > 1:
            raise UsageError(f"{flag} {count} is for neural networks, not --arch {NGRAM}", "counting takes no steps")
    if options.arch == NGRAM and options.recompute:
        raise UsageError(
            f"--recompute is for neural networks, not --arch {NGRAM}", "counting keeps nothing for a gradient"
        )
    if options.arch == "transformer" and options.embedding != options.hidden:
        raise UsageError(
            f"a Transformer has one size: --embedding {options.embedding} is not --hidden {options.hidden}"
        )
    if options.arch == "transformer" and (options.hidden or 0) % options.heads:
        raise UsageError(f"--hidden {options.hidden} cannot be parted among --heads {options.heads}")
