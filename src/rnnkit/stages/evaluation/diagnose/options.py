"""What `diagnose` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnnkit.config import argument, option
from rnnkit.nn import kinds
from rnnkit.stages import shared_options as usual

FLOW_HIDDEN, RECALL_HIDDEN = 256, 32
RECALLERS = ("rnn", "gru", "lstm", "mingru")


@dataclass(frozen=True)
class DiagnoseOptions:
    """Show how far back language models look, so that vanishing and exploding gradients can be seen.

    The norm of the gradient of a token's loss by the state k steps before, for k from 0 on: the mean over many places
    of a text, as it is and as a share of k = 0. The state is all that a step hands on: h of every layer and, for the
    LSTM, c beside it. At k = 0 it is h of the last layer alone. A Transformer has no state; with --by input it
    compares with the others by what was read. All is in float64.

    --arch takes networks that were never trained, on tokens drawn at random. Orthogonal state matrices, as they start
    here, let even a plain unit keep its gradient; --start uniform is how torch's layers start.

    --recall trains tiny networks to name a symbol that was shown k steps ago, one span after the other, up to the
    first that is not learned within --budget. With few --symbols a plain unit makes an attractor of each and
    remembers as long as it likes; with many it cannot.
    """

    models: list[Path] = argument(
        (), help="Directories of language models.", metavar="MODEL", shown_default="WORK/model; none with --arch"
    )
    work: Path = usual.work()
    text: Path | None = option(
        None, help="Raw text to read; - is standard input.", panel="Data", shown_default="a part of the data"
    )
    data: Path | None = option(None, help="Aligned data to read.", panel="Data", shown_default="WORK/data")
    split: str = option("valid", help="Part of the data.", panel="Data")
    arch: list[str] = option(
        (), help="Untrained networks of these kinds; with --recall those that learn.", panel="Networks",
        choices=kinds.LANGUAGE_ARCHS, many=True, shown_default="none; with --recall " + ", ".join(RECALLERS),
    )  # fmt: skip
    hidden: int | None = option(
        None, help="Size of their states.", panel="Networks", minimum=1,
        shown_default=f"{FLOW_HIDDEN}; with --recall {RECALL_HIDDEN}",
    )  # fmt: skip
    layers: int = option(1, help="Their layers.", panel="Networks", minimum=1)
    start: str = option(
        "orthogonal", help="How their state matrices start.", panel="Networks", choices=kinds.INITIALIZATIONS
    )
    seed: int = option(1, help="Seed of weights and of what is drawn.", panel="Networks", minimum=0)
    checkpoint: str = option(
        "best", help="Which weights of a model.", panel="Networks", choices=("best", "last", "average")
    )
    by: str = option(
        "state", help="Gradient by the states, or by the embeddings of what was read.", panel="Gradient",
        choices=("state", "input"),
    )  # fmt: skip
    steps: int = option(200, help="Greatest k.", panel="Gradient", unit="steps", minimum=1)
    places: int = option(64, help="Places of the text that are averaged.", panel="Gradient", minimum=1)
    share: float = option(
        0.01, help="Share of k = 0 whose falling short is marked.", panel="Gradient", minimum=1e-9, maximum=1
    )
    recall: bool = option(False, help="Measure memory by a task.", panel="Recall")
    spans: list[int] = option(
        (1, 2, 5, 10, 20, 50, 100, 200), help="Steps from symbol to question.", panel="Recall", many=True, minimum=1
    )
    symbols: int = option(64, help="How many symbols there are, and distractors.", panel="Recall", minimum=2)
    goal: float = option(
        0.9, help="Share of right answers at which a span is learned.", panel="Recall", minimum=0, maximum=1
    )
    budget: int = option(800, help="Most training steps a span.", panel="Recall", unit="steps", minimum=1)
    runs: int = option(3, help="Networks of each kind, with seeds from --seed on.", panel="Recall", minimum=1)
    threads: int = usual.threads()
    output: Path | None = option(
        None, help="Picture of the gradient flow: .png, .svg or .pdf.", panel="Output", shown_default="none"
    )
    overwrite: bool = option(False, help="Replace the picture.", panel="Output")
