"""Options that the trainers share; those of presets are told which presets to show."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

from rnnkit.config import option
from rnnkit.nn import kinds
from rnnkit.stages import shared_options as usual

Presets = Mapping[str, Mapping[str, Any]]
T = TypeVar("T")


def preset_option(presets: Presets, name: str, panel: str = "Model", **declared: Any) -> Any:
    """An option whose value, where none is given, is the preset's; `--help` shows the presets' values in turn."""
    shown = [_show(values[name]) for values in presets.values()]
    return option(None, shown_default=shown[0] if len(set(shown)) == 1 else " / ".join(shown), panel=panel, **declared)


def apply_preset(options: T, values: Mapping[str, Any]) -> T:
    """The options, a dataclass, with these values where none were given."""
    missing = {name: value for name, value in values.items() if getattr(options, name) is None}
    return dataclasses.replace(options, **missing)  # type: ignore[type-var]


def _show(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


data = partial(option, None, help="Aligned data.", panel="Data", shown_default="WORK/data")
vocab = partial(option, (), panel="Data", shown_default="as the data names it")
tokenizer = partial(option, None, help="Tokenizer folder.", panel="Data", shown_default="WORK/tokenizer")
init_from = partial(
    option, None, help="Model whose best weights to start from (fine-tuning); same vocabulary.", panel="Data"
)
preset = partial(option, "small", help="Where options not given come from.", panel="Model")
embeddings = partial(option, (), panel="Model", shown_default="random")
freeze_embeddings = partial(option, False, help="Leave embeddings from vectors as they are.", panel="Model")
repair = partial(
    usual.repair, panel="Model",
    help="Read imperfect files of --embeddings: repair or skip invalid UTF-8, duplicates, wrong counts.",
)  # fmt: skip
dropout_embedding = partial(
    preset_option, name="dropout_embedding", help="Words dropped from what is read.", minimum=0, maximum=0.99
)
weight_drop = partial(
    preset_option, name="weight_drop", help="Connections dropped from state to state.", minimum=0, maximum=0.99
)
epochs = partial(preset_option, name="epochs", panel="Optimisation", unit="passes", minimum=0)
max_steps = partial(option, 0, help="Most steps; 0: as --epochs says.", panel="Optimisation", unit="steps", minimum=0)
learning_rate = partial(
    preset_option, name="learning_rate", panel="Optimisation", help="Peak learning rate.", minimum=0
)
warmup = partial(preset_option, name="warmup", panel="Optimisation", unit="steps", minimum=0)
mean_decay = partial(
    preset_option, name="mean_decay", panel="Optimisation", minimum=0, maximum=0.999999,
    help="Keep a running mean of the weights with this decay; 0: none.",
)  # fmt: skip
patience = partial(
    option, help="Validations without improvement before training ends; 0: never.", panel="Optimisation", minimum=0
)
precision = partial(option, "auto", panel="Optimisation", choices=kinds.PRECISIONS)
recompute = partial(
    option, False, help="Run layers twice instead of keeping what the gradient needs: less memory, more time.",
    panel="Optimisation",
)  # fmt: skip
device = partial(usual.device, help="Where to train.")
threads = partial(usual.threads, help="CPU threads of a process; 0: all cores.")
accumulate = partial(
    option, 1, help="Batches whose gradients are added up to a step.", panel="Optimisation", unit="batches", minimum=1
)
processes = partial(
    option, 1, help="Processes on this machine, each with batches of its own in every step.", panel="Optimisation",
    minimum=1,
)  # fmt: skip
restarts = partial(
    option, 0, help="Times that a run whose process was killed goes on by itself.", panel="Optimisation", minimum=0
)
seed = partial(option, 1, help="Seed of weights, dropout and order.", panel="Optimisation", minimum=0)
output = partial(option, None, help="Model directory to write.", panel="Output", shown_default="WORK/model")
validate_every = partial(
    option, 0, help="Steps between validations; 0: once a pass.", panel="Output", unit="steps", minimum=0
)
average = partial(option, 0, help="Average the weights of the last so many validations.", panel="Output", minimum=0)
report_every = partial(option, 50, help="Steps between lines of metrics.", panel="Output", unit="steps", minimum=1)
save_every = partial(option, 120.0, help="Seconds between checkpoints.", panel="Output", unit="seconds", minimum=0)
resume = partial(option, False, help="Go on with the run in the model directory.", panel="Output")
overwrite = partial(option, False, help="Replace the model directory.", panel="Output")
dry_run = partial(option, False, help="Print what the run would cost, and stop.", panel="Output")
