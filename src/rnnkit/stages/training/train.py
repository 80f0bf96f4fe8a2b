"""`rnnkit train`: the training command for the kind of the data, with the same options."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rnnkit.options.declare import declaration_of, default_of, redeclared, typed_fields
from rnnkit.stages.training.train_lm_options import TrainLMOptions
from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions

EXAMPLE = """\
rnnkit train --arch lstm
rnnkit train --arch gru --layers 2 --dry-run
rnnkit train --resume"""

COMMANDS = {"parallel": "train-seq2seq", "text": "train-lm"}
"""The training command for each kind of aligned data."""

_DOC = """Train a model on aligned data: `train-seq2seq` on parallel data, `train-lm` on data of one side.

All options are passed on to that command. This page lists those that both have; `rnnkit train-seq2seq --help` and
`rnnkit train-lm --help` list the others. The model directory keeps the best and the last weights, the metrics, a
learning curve and a model card.
"""


def training_command(data: Path) -> str:
    """The name of the command that trains on aligned data.

    Raises:
        DataError: There is no data, or it is damaged.
    """
    from rnnkit.data.aligned_data import AlignedData

    return COMMANDS[AlignedData.open(data).task]


def _common_options() -> type[object]:
    """The options that both commands have, with the default of each; only for the help page."""
    others = {field.name: field for field in dataclasses.fields(TrainLMOptions)}
    made = []
    for field, kind in typed_fields(TrainSeq2SeqOptions):
        if field.name not in others:
            continue
        declaration, default = declaration_of(field), default_of(field)
        shown = [declaration_of(each).shown_default or default_of(each) for each in (field, others[field.name])]
        if shown[0] != shown[1]:
            text = f"{shown[0]} (train-seq2seq), {shown[1]} (train-lm)"
            declaration = dataclasses.replace(declaration, shown_default=text, choices=())
        made.append((field.name, kind if default is not None else kind | None, redeclared(default, declaration)))
    return dataclasses.make_dataclass("TrainOptions", made, frozen=True, namespace={"__doc__": _DOC})


TrainOptions: type[object] = _common_options()
