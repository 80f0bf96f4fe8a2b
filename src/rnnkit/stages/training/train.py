"""`rnnkit train`: the training command for the kind of the data, with the same options."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rnnkit.options.declare import parameters_of, redeclared
from rnnkit.stages.training.train_lm_options import TrainLMOptions
from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions
from rnnkit.stages.training.training_options import format_value

EXAMPLE = """\
rnnkit train --arch lstm
rnnkit train --arch gru --layers 2 --dry-run
rnnkit train --resume"""

COMMANDS = {
    "parallel": "train-seq2seq", "text": "train-lm", "tagging": "train-tagger", "classification": "train-classifier",
}  # fmt: skip
"""The training command for each kind of aligned data."""

_DOC = """Train a model on aligned data: `train-seq2seq` on parallel data, `train-lm` on data of one side,
`train-tagger` or `train-classifier` on labelled data.

All options are passed on to that command. This page lists those that the first two have in common;
`rnnkit train-seq2seq --help`, `rnnkit train-lm --help` and so on list the others. The model directory keeps the best
and the last weights, the metrics, a learning curve and a model card.
"""


def training_command(data: Path) -> str:
    """The name of the command that trains on aligned data.

    Raises:
        DataError: There is no data, or it is damaged.
    """
    from rnnkit.data.labelled_data import read_task

    return COMMANDS[read_task(data)]


def _common_options() -> type[object]:
    """The options that both commands have, with the default of each; only for the help page."""
    others = {each.name: each for each in parameters_of(TrainLMOptions)}
    made = []
    for one in parameters_of(TrainSeq2SeqOptions):
        if one.name not in others:
            continue
        declared = one.declared
        both = (one, others[one.name])
        shown = [each.declared.shown_default or format_value(each.default) for each in both]
        if shown[0] != shown[1]:
            text = f"{shown[0]} (train-seq2seq), {shown[1]} (train-lm)"
            choices = declared.choices if both[0].declared.choices == both[1].declared.choices else ()
            declared = dataclasses.replace(declared, shown_default=text, choices=choices)
        kind = one.kind if one.default is not None else one.kind | None
        made.append((one.name, kind, redeclared(one.default, declared)))
    return dataclasses.make_dataclass("TrainOptions", made, frozen=True, namespace={"__doc__": _DOC})


TrainOptions: type[object] = _common_options()
