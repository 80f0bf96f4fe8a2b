"""Options that the training commands share, and presets: named sets of defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rnnkit.json_types import JsonMapping
from rnnkit.nn import kinds
from rnnkit.options.declare import changed, option
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import Options

Presets = Mapping[str, JsonMapping]
OptionsT = TypeVar("OptionsT", bound=Options)


def preset_option(presets: Presets, name: str, panel: str = "Model", **declared: Any) -> Any:
    """Declare an option whose default comes from the preset; `--help` shows the value of each of `presets`."""
    shown = [format_value(values[name]) for values in presets.values()]
    return option(None, shown_default=shown[0] if len(set(shown)) == 1 else " / ".join(shown), panel=panel, **declared)


def apply_preset(options: OptionsT, values: JsonMapping) -> OptionsT:
    """Return the options, a dataclass, with these values for options that were not given."""
    missing = {name: value for name, value in values.items() if getattr(options, name) is None}
    return dataclasses.replace(options, **missing)


def format_value(value: object) -> str:
    """Format a default for `--help`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


dropout_embedding = partial(
    preset_option, name="dropout_embedding", help="Embedding dropout (whole words).", minimum=0, maximum=0.99
)
weight_drop = partial(
    preset_option, name="weight_drop", help="DropConnect on recurrent weights.", minimum=0, maximum=0.99
)
epochs = partial(preset_option, name="epochs", panel="Schedule", unit="epochs", minimum=0)
learning_rate = partial(preset_option, name="learning_rate", panel="Schedule", help="Peak learning rate.", minimum=0)
warmup = partial(preset_option, name="warmup", panel="Schedule", unit="steps", minimum=0)
mean_decay = partial(
    preset_option, name="mean_decay", panel="Optimization", minimum=0, maximum=0.999999,
    help="Decay of the exponential moving average (EMA) of the weights; 0: none.",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunOptions(shared.WorkspaceOptions, shared.OverwriteOptions):
    """A run that can be interrupted and resumed."""

    save_every: float = option(120.0, help="Seconds between checkpoints.", panel="Output", unit="seconds", minimum=0)
    resume: bool = option(False, help="Resume the run in the output directory.", panel="Output")
    dry_run: bool = option(False, help="Print the estimated cost of the run, and exit.", panel="Output")


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(RunOptions, shared.DeviceOptions):
    """Training of a network."""

    data: Path | None = option(None, help="Encoded data directory.", panel="Data", shown_default="WORK/data")
    vocab: list[Path] = option((), help="Vocabulary file.", panel="Data", shown_default="that of the data")
    tokenizer: Path | None = option(None, help="Tokenizer directory.", panel="Data", shown_default="WORK/tokenizer")
    init_from: Path | None = option(
        None, help="Model to fine-tune: start from its best weights; same vocabulary.", panel="Data"
    )
    embeddings: list[Path] = option(
        (), help="Word vectors that initialize the embeddings.", panel="Model", shown_default="random"
    )
    freeze_embeddings: bool = option(False, help="Do not train embeddings initialized from vectors.", panel="Model")
    repair: bool = changed(
        shared.RepairOptions, "repair", panel="Model",
        help="Read imperfect files of --embeddings: repair or skip invalid UTF-8, duplicates, wrong counts.",
    )  # fmt: skip
    max_steps: int = option(
        0, help="Maximum number of steps; 0: use --epochs.", panel="Schedule", unit="steps", minimum=0
    )
    patience: int = option(
        0, help="Early stopping after this many validations without improvement; 0: never.", panel="Schedule", minimum=0
    )
    precision: str = option(
        "auto", panel="Optimization", choices=kinds.PRECISIONS,
        help="Precision of matrix multiplications; auto: bf16 if the hardware supports it and it is faster.",
    )  # fmt: skip
    recompute: bool = option(
        False, panel="Optimization",
        help="Activation checkpointing: recompute activations in the backward pass; less memory, more time.",
    )  # fmt: skip
    threads: int = changed(shared.ThreadOptions, "threads", help="CPU threads per process; 0: all cores.")
    accumulate: int = option(
        1, help="Gradient accumulation: batches per step.", panel="Optimization", unit="batches", minimum=1
    )
    processes: int = option(
        1, help="Data-parallel processes on this machine.", panel="Parallel processing", minimum=1,
        variable="TRAIN_PROCESSES",
    )  # fmt: skip
    restarts: int = option(
        0, help="Automatic restarts after a process was killed.", panel="Parallel processing", minimum=0
    )
    seed: int = option(1, help="Random seed of weights, dropout and batch order.", panel="Optimization", minimum=0)
    output: Path | None = option(None, help="Model directory to write.", panel="Output", shown_default="WORK/model")
    validate_every: int = option(
        0, help="Steps between validations; 0: once per epoch.", panel="Output", unit="steps", minimum=0
    )
    average: int = option(0, help="Average the weights of the last N validations; 0: none.", panel="Output", minimum=0)
    report_every: int = option(50, help="Steps between log lines.", panel="Output", unit="steps", minimum=1)
