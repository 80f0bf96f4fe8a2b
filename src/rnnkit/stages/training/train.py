"""`rnnkit train`: train the kind of model that the data is for."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rnnkit.config import flag, plain, resolve
from rnnkit.errors import UsageError
from rnnkit.events import Listener, null_listener
from rnnkit.io.workspace import Workspace
from rnnkit.stages.outputs import Options
from rnnkit.stages.training import train_lm, train_seq2seq
from rnnkit.stages.training.setup.model_directory import TrainingResult
from rnnkit.stages.training.train_lm.options import TrainLMOptions
from rnnkit.stages.training.train_seq2seq.options import TrainSeq2SeqOptions
from rnnkit.stages.training.training_options import format_value

if TYPE_CHECKING:
    from rnnkit.stages.training.train_lm.ngram_training import NgramTrainingCost, NgramTrainingResult
    from rnnkit.training.dry_run import CostEstimate

EXAMPLE = """\
rnnkit train --arch lstm
rnnkit train --arch gru --layers 2 --dry-run
rnnkit train --resume"""

_DOC = """Train a model on encoded data: a sequence-to-sequence model on parallel data, a language model on one side.

Options that only one of them has are refused for the other; `rnnkit train-seq2seq --help` and `rnnkit train-lm --help`
list them separately. The model directory holds the best and the last weights, the metrics, a learning curve and a model
card.
"""


def _merge_options(seq2seq: type[Any], lm: type[Any]) -> type[Any]:
    """Make one options class of both; an option that they share without a common default has none."""
    fields: dict[str, dataclasses.Field[Any]] = {}
    hints: dict[str, Any] = {}
    for options_type in (seq2seq, lm):
        for name, hint in typing.get_type_hints(options_type).items():
            field = next(field for field in dataclasses.fields(options_type) if field.name == name)
            known = fields.get(name)
            fields[name] = field if known is None else _merge_fields(known, field)
            hints[name] = hint if fields[name].default is not None else hint | None
    merged = [(name, hints[name], _copy_field(field)) for name, field in fields.items()]
    return dataclasses.make_dataclass("TrainOptions", merged, frozen=True, namespace={"__doc__": _DOC})


def _merge_fields(seq2seq: dataclasses.Field[Any], lm: dataclasses.Field[Any]) -> dataclasses.Field[Any]:
    """Merge an option that both have: the choices of both, and a default only if it is the same."""
    choices = dict.fromkeys([*seq2seq.metadata["choices"], *lm.metadata["choices"]])
    metadata = {**seq2seq.metadata, "choices": tuple(choices)}
    same = _default(seq2seq) == _default(lm)
    shown = _shown_default(seq2seq), _shown_default(lm)
    if shown[0] != shown[1]:
        metadata["shown_default"] = f"{shown[0]} (seq2seq), {shown[1]} (LM)"
    elif not same:
        metadata["shown_default"] = shown[0]
    merged: dataclasses.Field[Any] = dataclasses.field(
        **(_default_kwargs(seq2seq) if same else {"default": None}), metadata=metadata
    )
    return merged


def _copy_field(field: dataclasses.Field[Any]) -> Any:
    """Copy a field, since it belongs to one dataclass."""
    return dataclasses.field(**_default_kwargs(field), metadata=field.metadata)


def _default_kwargs(field: dataclasses.Field[Any]) -> dict[str, Any]:
    factory = field.default_factory
    return {"default": field.default} if factory is dataclasses.MISSING else {"default_factory": factory}


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _shown_default(field: dataclasses.Field[Any]) -> str:
    shown = field.metadata["shown_default"]
    return format_value(plain(_default(field))) if shown is None else str(shown)


TrainOptions: type[Any] = _merge_options(TrainSeq2SeqOptions, TrainLMOptions)


class DataOptions(Options, Protocol):
    """Options that name the data to train on."""

    @property
    def work(self) -> Path:
        """Workspace with the default paths."""

    @property
    def data(self) -> Path | None:
        """Encoded data directory."""


def run(
    options: DataOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | NgramTrainingResult | NgramTrainingCost:
    """Train the kind of model that the data is for.

    Raises:
        UsageError: An option that this kind of model does not have; and as the `run` of its own command.
    """
    from rnnkit.data.aligned_data import AlignedData

    data = AlignedData.open(options.data or Workspace(options.work).data)
    if data.task == "parallel":
        return train_seq2seq.run(_restrict(options, TrainSeq2SeqOptions, "train-seq2seq"), listen)
    return train_lm.run(_restrict(options, TrainLMOptions, "train-lm"), listen)


OptionsT = TypeVar("OptionsT", TrainSeq2SeqOptions, TrainLMOptions)


def _restrict(options: Options, options_type: type[OptionsT], command: str) -> OptionsT:
    """Convert the options to those of one command, checked against its own choices."""
    own = {field.name for field in dataclasses.fields(options_type)}
    given = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value is None or value == _default(field):
            continue
        if field.name not in own:
            raise UsageError(
                f"--{flag(field.name)} {plain(value)} is not an option of `{command}`, which this data is for",
                hint=f"`rnnkit {command} --help` lists its options",
                option=f"--{flag(field.name)}",
            )
        given[field.name] = value
    return resolve(options_type, command, given, environment={})
