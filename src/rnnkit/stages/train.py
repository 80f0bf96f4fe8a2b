"""`rnnkit train`: looks at the data and trains what fits it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from rnnkit.errors import DataError
from rnnkit.events import Listener, ignore
from rnnkit.files.workspace import Workspace
from rnnkit.stages import train_seq2seq
from rnnkit.stages.train_seq2seq import Result

if TYPE_CHECKING:
    from rnnkit.training.estimate import Estimate

EXAMPLE = """\
rnnkit train --arch lstm
rnnkit train --arch gru --layers 2 --dry-run
rnnkit train --resume"""

TRAINERS = {"parallel": "rnnkit.stages.train_seq2seq"}
"""For each kind of aligned data, the stage that learns from it."""


class Options(train_seq2seq.Options):
    """Train a model on aligned data: two sides make a sequence-to-sequence model.

    The model directory keeps the best and the last weights, the metrics, a learning curve and a model card. How
    embeddings start from word vectors is in `rnnkit train-seq2seq --help`.
    """


def run(options: Options, listen: Listener = ignore) -> Result | Estimate:
    """Train what the data is for.

    Raises:
        DataError: Nothing here learns from data of this kind; and as the trainer's own `run`.
    """
    from rnnkit.data.aligned import AlignedData

    data = AlignedData.open(options.data or Workspace(options.work).data)
    if data.task not in TRAINERS:
        raise DataError(
            f"{data.folder} is {data.task} data with one side, {data.sides[0]}; training wants two sides",
            hint="`rnnkit align --source LANG --target LANG` pairs two sides",
        )
    result: Result | Estimate = importlib.import_module(TRAINERS[data.task]).run(options, listen)
    return result
