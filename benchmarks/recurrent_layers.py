"""Recurrent layers alone, forwards and backwards, on the CPU: tokens a second beside the fused layers of torch.

One layer, inputs as wide as its states, gradients of inputs and weights; nothing of a language model around it. All
take turns within each round, because machines are noisy; the tables give medians and ranges, and the median of the
ratios within the rounds. `torch` is the class of torch that has the same equations, with the same weights.

    python benchmarks/recurrent_layers.py --json recurrent_layers.json

`--clock processor --threads 1` counts seconds of processor time, which other programs disturb little. With more threads
that would count the time that torch's spend waiting for each other.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numba
import torch
from torch import Tensor

from meter import DISTURBED, Meter
from rnnkit.nn import device, kinds
from rnnkit.nn.bidirectional import make_layer
from rnnkit.nn.recurrent_layer import RecurrentLayer
from tables import markdown, spread

ARCHS: tuple[kinds.LanguageArch, ...] = ("rnn", "gru", "lstm", "mingru")
SIZES = ("200x20x35", "256x32x35", "512x32x35", "650x20x35", "1024x32x35")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
SYSTEMS = ("rnnkit", "torch")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
PARALLEL_BAR = 3.0
"""How many times the tokens a second of an LSTM layer the parallel cell's layer must reach."""


@dataclass(frozen=True)
class Shape:
    """Size of the states and of the inputs, rows of a batch, steps."""

    hidden: int
    batch: int
    steps: int

    def __str__(self) -> str:
        return f"{self.hidden}x{self.batch}x{self.steps}"


@dataclass(frozen=True)
class Subject:
    """What is timed."""

    system: str
    arch: kinds.LanguageArch
    precision: str


@dataclass(frozen=True)
class Timing:
    """One pass of a subject."""

    subject: Subject
    shape: Shape
    round: int
    seconds: float
    others: float | None

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.shape.batch * self.shape.steps / self.seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Time everything and print the tables."""
    options = parse(arguments)
    device.set_threads(options.threads)
    subjects = [
        Subject(system, arch, precision)
        for precision in options.precisions
        for arch in options.archs
        for system in SYSTEMS
        if system == "rnnkit" or arch != "mingru"
    ]
    timings = []
    for shape in options.sizes:
        timings += time_shape(shape, subjects, options)
        print(table([timing for timing in timings if timing.shape == shape]), flush=True)
    print(describe(timings, options))
    if options.json:
        rows = [asdict(timing) | {"tokens_a_second": timing.speed} for timing in timings]
        options.json.write_text(json.dumps({"versions": versions(), "timings": rows}, indent=1), encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--sizes", nargs="+", type=parse_shape, default=[parse_shape(size) for size in SIZES])
    parser.add_argument("--archs", nargs="+", choices=ARCHS, default=ARCHS)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=default_precisions())
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every timing to this file")
    options = parser.parse_args(arguments)
    if options.clock == "processor" and options.threads != 1:
        parser.error("--clock processor needs --threads 1")
    return options


def parse_shape(text: str) -> Shape:
    """From HIDDENxBATCHxSTEPS."""
    hidden, batch, steps = text.split("x")
    return Shape(int(hidden), int(batch), int(steps))


def default_precisions() -> list[str]:
    """All that this processor multiplies."""
    return [name for name in PRECISIONS if name == "fp32" or device.cpu_has_bfloat16()]


def time_shape(shape: Shape, subjects: Sequence[Subject], options: argparse.Namespace) -> list[Timing]:
    """All subjects in turn, round by round; the first passes of each, which may compile, are not counted."""
    passes = {subject: make_pass(subject, shape, options.seed) for subject in subjects}
    clock = CLOCKS[options.clock]
    for run in passes.values():
        run()
        run()
    timings = []
    for number in range(options.rounds):
        for subject, run in passes.items():
            meter, start = Meter(), clock()
            run()
            seconds = clock() - start
            timings.append(Timing(subject, shape, number, seconds, meter.others()))
    return timings


def make_pass(subject: Subject, shape: Shape, seed: int) -> Callable[[], None]:
    """A function that runs the layer forwards and backwards once."""
    torch.manual_seed(seed)
    layer = make_layer(subject.arch, shape.hidden, shape.hidden)
    x_TBE = torch.randn(shape.steps, shape.batch, shape.hidden, requires_grad=True)
    kind = PRECISIONS[subject.precision]
    weights_TBH = torch.randn(shape.steps, shape.batch, shape.hidden)

    def run() -> None:
        with device.autocast(torch.device("cpu"), kind):
            if subject.system == "rnnkit":
                h_TBH: Tensor = layer(x_TBE.transpose(0, 1))[0].transpose(0, 1)
            else:
                h_TBH = cast(RecurrentLayer, layer).fused(x_TBE)[0]
        parameters = [x_TBE, *layer.parameters()]
        torch.autograd.grad(h_TBH, parameters, weights_TBH.to(h_TBH.dtype))

    return run


def table(timings: Sequence[Timing]) -> str:
    """Tokens a second of one size, with the ratio to torch, and of the parallel cell to the LSTM."""
    rows = []
    for subject in dict.fromkeys(timing.subject for timing in timings):
        own = speeds(timings, subject)
        rows.append(
            [
                str(timings[0].shape),
                subject.precision,
                subject.arch,
                subject.system,
                spread(own),
                ratio(own, speeds(timings, Subject("torch", subject.arch, subject.precision))),
                ratio(own, speeds(timings, Subject("rnnkit", "lstm", subject.precision))),
            ]
        )
    head = ["H x batch x steps", "products", "cell", "layer", "tokens/s", "ratio to torch", "ratio to our LSTM"]
    return markdown(head, rows, right=4)


def speeds(timings: Iterable[Timing], subject: Subject) -> list[float]:
    """Of one subject, round by round."""
    return [timing.speed for timing in timings if timing.subject == subject]


def ratio(own: Sequence[float], other: Sequence[float]) -> str:
    """Median of the ratios within the rounds."""
    if not other or own == other:
        return "-"
    return f"{statistics.median(one / two for one, two in zip(own, other, strict=True)):.2f}"


def describe(timings: Sequence[Timing], options: argparse.Namespace) -> str:
    """The conditions, and whether the parallel cell is as fast as it must be."""
    lines = [
        f"{datetime.date.today()}, {platform.machine()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, "
        f"{options.clock} clock, {options.rounds} rounds, seed {options.seed}; "
        + ", ".join(f"{name} {version}" for name, version in versions().items())
    ]
    taken = [timing.others for timing in timings if timing.others is not None]
    if taken and statistics.median(taken) > DISTURBED:
        lines.append(
            f"Disturbed: other processes took {statistics.median(taken):.0%} of the cores in half of the passes."
        )
    for shape in dict.fromkeys(timing.shape for timing in timings):
        here = [timing for timing in timings if timing.shape == shape]
        for precision in options.precisions:
            found = ratio(*(speeds(here, Subject("rnnkit", arch, precision)) for arch in ("mingru", "lstm")))
            if found != "-":
                verdict = "reached" if float(found) >= PARALLEL_BAR else "missed"
                lines.append(
                    f"{shape} {precision}: mingru has {found} times the LSTM's speed; {PARALLEL_BAR:g} is {verdict}."
                )
    return "\n".join(lines)


def versions() -> dict[str, Any]:
    """Of everything that computes."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numba": numba.__version__}


if __name__ == "__main__":
    sys.exit(main())
