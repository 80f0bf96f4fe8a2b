"""Options of `diagnose`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnnkit.config import argument, option
from rnnkit.nn import kinds
from rnnkit.stages import shared_options as shared

FLOW_HIDDEN, RECALL_HIDDEN = 256, 32
RECALLERS = ("rnn", "gru", "lstm", "mingru")


@dataclass(frozen=True)
class DiagnoseOptions:
    """Measure the long-range memory of language models: vanishing and exploding gradients, and recall.

    Reports the norm of the gradient of a token's loss with respect to the hidden state k steps earlier, for k from 0:
    the mean over many positions of a text, in absolute terms and relative to k = 0. The hidden state is everything that
    a step passes on: h of all layers and, for an LSTM, c as well; at k = 0, only h of the last layer. A Transformer has
    no recurrent state; with --by input, the gradient is with respect to the input embeddings, for models of all kinds.
    All computations are in float64.

    --arch measures untrained networks on random tokens. With orthogonal recurrent matrices, the default here, even a
    simple RNN preserves the gradient; --start uniform is torch's initialization.

    --recall trains small networks to recall a symbol shown k steps earlier, for one span after the other, until one is
    not learned within --budget. With few --symbols, a simple RNN can represent each by an attractor and recall it
    indefinitely; with many it cannot.
    """

    models: list[Path] = argument(
        (), help="Directories of language models.", metavar="MODEL", shown_default="WORK/model; none with --arch"
    )
    work: Path = shared.work()
    text: Path | None = option(
        None, help="Raw text; - is standard input.", panel="Data", shown_default="a split of the data"
    )
    data: Path | None = option(None, help="Encoded data.", panel="Data", shown_default="WORK/data")
    split: str = option("valid", help="Split of the data.", panel="Data")
    arch: list[str] = option(
        (), help="Architectures of untrained networks; with --recall, of those to train.", panel="Networks",
        choices=kinds.LANGUAGE_ARCHS, many=True, shown_default="none; with --recall " + ", ".join(RECALLERS),
    )  # fmt: skip
    hidden: int | None = option(
        None, help="Hidden size.", panel="Networks", minimum=1,
        shown_default=f"{FLOW_HIDDEN}; with --recall {RECALL_HIDDEN}",
    )  # fmt: skip
    layers: int = option(1, help="Number of layers.", panel="Networks", minimum=1)
    start: str = option(
        "orthogonal", help="Initialization of recurrent matrices.", panel="Networks", choices=kinds.INITIALIZATIONS
    )
    seed: int = option(1, help="Random seed of weights and tokens.", panel="Networks", minimum=0)
    checkpoint: str = option(
        "best", help="Weights of a model to load.", panel="Networks", choices=("best", "last", "average")
    )
    by: str = option(
        "state", help="Gradient with respect to hidden states or input embeddings.", panel="Gradient flow",
        choices=("state", "input"),
    )  # fmt: skip
    steps: int = option(200, help="Maximum k.", panel="Gradient flow", unit="steps", minimum=1)
    places: int = option(64, help="Positions of the text to average over.", panel="Gradient flow", minimum=1)
    share: float = option(
        0.01,
        help="Report the k at which the norm falls below this fraction of k = 0.",
        panel="Gradient flow",
        minimum=1e-9,
        maximum=1,
    )
    recall: bool = option(False, help="Measure the recall span instead of the gradient flow.", panel="Recall")
    spans: list[int] = option(
        (1, 2, 5, 10, 20, 50, 100, 200),
        help="Steps between a symbol and its recall.",
        panel="Recall",
        many=True,
        minimum=1,
    )
    symbols: int = option(64, help="Number of symbols, and of distractors.", panel="Recall", minimum=2)
    goal: float = option(0.9, help="Accuracy at which a span counts as learned.", panel="Recall", minimum=0, maximum=1)
    budget: int = option(800, help="Maximum training steps per span.", panel="Recall", unit="steps", minimum=1)
    runs: int = option(
        3, help="Networks per architecture, with consecutive seeds from --seed.", panel="Recall", minimum=1
    )
    threads: int = shared.threads()
    output: Path | None = option(
        None, help="Picture of the gradient flow: .png, .svg or .pdf.", panel="Output", shown_default="none"
    )
    overwrite: bool = option(False, help="Replace the picture.", panel="Output")
