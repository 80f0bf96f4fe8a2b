"""`rnnkit train`: looks at the data and trains what fits it."""

from __future__ import annotations

import dataclasses
import typing
from typing import TYPE_CHECKING, Any

from rnnkit.config import flag, plain, resolve
from rnnkit.errors import UsageError
from rnnkit.events import Listener, null_listener
from rnnkit.io.workspace import Workspace
from rnnkit.stages.training import train_lm, train_seq2seq
from rnnkit.stages.training.setup.model_directory import TrainingResult

if TYPE_CHECKING:
    from types import ModuleType

    from rnnkit.stages.training.train_lm.ngram_training import NgramTrainingCost, NgramTrainingResult
    from rnnkit.training.dry_run import CostEstimate

EXAMPLE = """\
rnnkit train --arch lstm
rnnkit train --arch gru --layers 2 --dry-run
rnnkit train --resume"""

TRAINERS: dict[str, tuple[str, ModuleType, type[Any]]] = {
    "parallel": ("train-seq2seq", train_seq2seq, train_seq2seq.TrainSeq2SeqOptions),
    "text": ("train-lm", train_lm, train_lm.TrainLMOptions),
}
"""For each kind of aligned data, the command that learns from it."""

_DOC = """Train a model on aligned data: two sides make a sequence-to-sequence model, one makes a language model.

Options that only one of them has are refused for the other; `rnnkit train-seq2seq --help` and `rnnkit train-lm --help`
list them apart, with the defaults of each. The model directory keeps the best and the last weights, the metrics, a
learning curve and a model card.
"""


def _union(kinds: typing.Sequence[type[Any]]) -> type[Any]:
    """One set of options out of several; what they share but begin differently begins as the kind of data says."""
    fields: dict[str, dataclasses.Field[Any]] = {}
    hints: dict[str, Any] = {}
    for kind in kinds:
        for name, hint in typing.get_type_hints(kind).items():
            field = next(field for field in dataclasses.fields(kind) if field.name == name)
            known = fields.get(name)
            fields[name] = field if known is None else _merge(known, field)
            hints[name] = hint if fields[name].default is not None else hint | None
    made = [(name, hints[name], _again(field)) for name, field in fields.items()]
    return dataclasses.make_dataclass("TrainOptions", made, frozen=True, namespace={"__doc__": _DOC})


def _merge(one: dataclasses.Field[Any], other: dataclasses.Field[Any]) -> dataclasses.Field[Any]:
    """An option that two kinds have: with all the choices of both, and a default only where they agree on it."""
    choices = dict.fromkeys([*one.metadata["choices"], *other.metadata["choices"]])
    metadata = {**one.metadata, "choices": tuple(choices)}
    how = _how(one) if _default(one) == _default(other) else {"default": None}
    if _default(one) != _default(other) or one.metadata["shown_default"] != other.metadata["shown_default"]:
        metadata["shown_default"] = "as the kind of data has it"
    made: dataclasses.Field[Any] = dataclasses.field(**how, metadata=metadata)
    return made


def _how(field: dataclasses.Field[Any]) -> dict[str, Any]:
    factory = field.default_factory
    return {"default": field.default} if factory is dataclasses.MISSING else {"default_factory": factory}


def _again(field: dataclasses.Field[Any]) -> Any:
    """A field belongs to one dataclass: make another like it."""
    return dataclasses.field(**_how(field), metadata=field.metadata)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


TrainOptions: type[Any] = _union([train_seq2seq.TrainSeq2SeqOptions, train_lm.TrainLMOptions])


def run(
    options: Any, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | NgramTrainingResult | NgramTrainingCost:
    """Train what the data is for.

    Raises:
        UsageError: An option that models of this kind do not have; and as the trainer's own `run`.
    """
    from rnnkit.data.aligned_data import AlignedData

    data = AlignedData.open(options.data or Workspace(options.work).data)
    command, stage, kind = TRAINERS[data.task]
    result: TrainingResult | CostEstimate | NgramTrainingResult | NgramTrainingCost = stage.run(
        _narrow(options, kind, command), listen
    )
    return result


def _narrow(options: Any, kind: type[Any], command: str) -> Any:
    """The options of one kind of model, held to its own choices."""
    own = {field.name for field in dataclasses.fields(kind)}
    given = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value is None or value == _default(field):
            continue
        if field.name not in own:
            raise UsageError(
                f"--{flag(field.name)} {plain(value)} is nothing that `{command}` knows, which this data is for",
                hint=f"`rnnkit {command} --help` lists its options",
            )
        given[field.name] = value
    return resolve(kind, command, given, environment={})
