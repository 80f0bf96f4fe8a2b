"""Language models on the Penn Treebank, on the CPU: rnnkit beside PyTorch's example `word_language_model`.

    RNNKIT_CORPORA=corpora python benchmarks/language_models.py speed
    RNNKIT_CORPORA=corpora python benchmarks/language_models.py quality

`speed`: tokens a second in training, the same network, batch of 20 columns and 35 steps, exact softmax. The systems
run in turn within one process; medians over the rounds, and the ratio within each round.
`quality`: the example's test perplexity after 6 passes, and how long rnnkit's `train-lm` takes to get there when it
may choose its batch, optimiser and cell.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from meter import DISTURBED, Meter
from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.nn.device import MIN_HIDDEN_FOR_BF16_SEQUENCES, choose_output_precision, choose_precision, set_threads
from rnnkit.text.vocabulary import Vocabulary
from rnnkit.training.lm_tasks import LanguageModelObjective, LanguageModelTask
from rnnkit.training.optimizer import NetworkOptimizer
from rnnkit.training.optimizer import OptimizerSettings as Changes
from tables import markdown, spread
from word_language_model import CLIP, RATE, Example, WordLanguageModel, train

COLUMNS, STEPS = 20, 35
WARM_UP, TIMED = 5, 30
DROPOUT = 0.2
EXAMPLE_EPOCHS = 6


@dataclass(frozen=True)
class Network:
    """A network that both sides train.

    Attributes:
        arch: As rnnkit calls it; the example's name in capitals.
        size: Of embeddings and states.
        layers: Recurrent layers.
        tied: Whether the output matrix is the embeddings.
    """

    arch: str
    size: int
    layers: int = 2
    tied: bool = False

    def __str__(self) -> str:
        return f"{self.arch} {self.layers} x {self.size}{', tied' if self.tied else ''}"


NETWORKS = (Network("lstm", 200), Network("gru", 200), Network("rnn", 200), Network("lstm", 650, tied=True))


def read_text() -> tuple[dict[str, np.ndarray], Vocabulary]:
    """The three parts of the Penn Treebank as ids."""
    folder = Path(os.environ.get("RNNKIT_CORPORA") or sys.exit("set RNNKIT_CORPORA to the folder that holds ptb/"))
    parts = {}
    for split in ("train", "valid", "test"):
        with gzip.open(folder / "ptb" / f"ptb.{split}.txt.gz", "rt", encoding="utf-8") as file:
            parts[split] = [line.split() for line in file]
    counts: dict[str, int] = {}
    for line in parts["train"]:
        for word in line:
            counts[word] = counts.get(word, 0) + 1
    vocabulary = Vocabulary.from_counts(counts)
    eos = vocabulary.tokens.index("</s>")
    return {
        split: np.array([row for line in lines for row in [*vocabulary.encode(line), eos]], np.int32)
        for split, lines in parts.items()
    }, vocabulary


def our_steps(network: Network, ids: np.ndarray, vocabulary: int, precision: str) -> Iterator[int]:
    """The training steps of rnnkit, with the example's optimiser; yields the tokens of each."""
    torch.manual_seed(1)
    config = LMConfig(
        network.arch,  # type: ignore[arg-type]
        vocabulary,
        network.size,
        network.size,
        network.layers,
        network.tied,
        dropout=DROPOUT,
        dropout_input=DROPOUT,
        dropout_hidden=DROPOUT,
    )
    model = LanguageModelNetwork(config)
    optimizer = NetworkOptimizer(model, Changes(optimizer="sgd", clip=CLIP), Path())
    device = torch.device("cpu")
    kinds = (
        choose_precision(precision, device, network.size, MIN_HIDDEN_FOR_BF16_SEQUENCES),
        choose_output_precision(precision, device),
    )
    task = LanguageModelTask(model, LanguageModelObjective(0.0, 0.0, None, *kinds), optimizer)
    for piece in BpttBatchSampler(ids, BpttLayout(COLUMNS, STEPS), seed=1):
        yield task.step([piece], RATE).tokens


def their_steps(network: Network, ids: np.ndarray, vocabulary: int) -> Iterator[int]:
    """The example's training steps; yields the tokens of each."""
    torch.manual_seed(1)
    name = {"rnn": "RNN"}.get(network.arch, network.arch.upper())
    model = WordLanguageModel(name, vocabulary, network.size, network.layers, DROPOUT, network.tied)
    yield from Example(model, ids, COLUMNS, STEPS).epoch()


def tokens_per_second(steps: Iterator[int]) -> float:
    """Speed of some steps after a few that are not counted."""
    for _ in range(WARM_UP):
        next(steps)
    began = time.perf_counter()
    tokens = sum(next(steps) for _ in range(TIMED))
    return tokens / (time.perf_counter() - began)


def speed(rounds: int, precisions: list[str]) -> list[dict[str, Any]]:
    """All networks, all sides in turn, round by round; prints the table."""
    parts, vocabulary = read_text()
    ids, rows = parts["train"], len(vocabulary)
    sides: dict[str, Callable[[Network], Iterator[int]]] = {"example": lambda network: their_steps(network, ids, rows)}
    for precision in precisions:
        sides[f"rnnkit {precision}"] = partial(our_steps, ids=ids, vocabulary=rows, precision=precision)
    records: list[dict[str, Any]] = []
    lines = []
    for network in NETWORKS:
        found: dict[str, list[float]] = {side: [] for side in sides}
        meter = Meter()
        for _ in range(rounds):
            for side, make in sides.items():
                found[side].append(tokens_per_second(make(network)))
        others = meter.others()
        for side, values in found.items():
            ratios = [mine / theirs for mine, theirs in zip(values, found["example"], strict=True)]
            records.append({"network": str(network), "side": side, "tokens_per_second": values, "ratios": ratios,
                            "others": others})  # fmt: skip
            lines.append([str(network), side, spread(values), spread(ratios, 2), _share(others)])
            print(lines[-1], file=sys.stderr)
    print(markdown(["network", "side", "tokens/s", "ratio to the example", "others"], lines, 2))
    return records


def quality(epochs: int, options: list[str]) -> list[dict[str, Any]]:
    """The example's perplexity and time, then `rnnkit train-lm` with these options; prints both."""
    parts, vocabulary = read_text()
    torch.manual_seed(1111)
    network = WordLanguageModel("LSTM", len(vocabulary), 200, 2, DROPOUT, False)
    example = Example(network, parts["train"], COLUMNS, STEPS)
    began = time.perf_counter()
    for number, perplexity in enumerate(train(example, parts["valid"], epochs), start=1):
        seconds = time.perf_counter() - began
        print(f"example, pass {number}: {seconds:.0f} s, valid {perplexity:.1f}", file=sys.stderr)
    seconds = time.perf_counter() - began
    theirs = {"side": "example", "seconds": seconds, "test": math.exp(example.loss(parts["test"]))}
    ours = our_quality(options)
    for found in (theirs, ours):
        print(f"{found['side']}: {found['seconds']:.0f} s of training, test perplexity {found['test']:.2f}")
    print(f"rnnkit takes {ours['seconds'] / theirs['seconds']:.2f} of the example's time")
    return [theirs, ours]


def our_quality(options: list[str]) -> dict[str, Any]:
    """`rnnkit train-lm` on the same text, from raw files; seconds of its training."""
    corpora = Path(os.environ["RNNKIT_CORPORA"]).resolve() / "ptb"
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "valid", "test"):
            with gzip.open(corpora / f"ptb.{split}.txt.gz", "rb") as file:
                (Path(folder) / f"{split}.en").write_bytes(file.read())
        names = [f"{split}.en" for split in ("train", "valid", "test")]
        for words in (["tokenize", *names, "--type", "spaces"], ["vocab"], ["align"]):
            _rnnkit(folder, *words)
        trained = _rnnkit(folder, "train-lm", *options)
        scored = _rnnkit(folder, "score", "--data", "work/data", "--split", "test", "--summary")
    found: float = scored["summary"]["perplexity"]
    return {"side": f"rnnkit {' '.join(options)}", "seconds": trained["seconds"], "test": found}


def _rnnkit(folder: str, command: str, *words: str) -> dict[str, Any]:
    call = [sys.executable, "-m", "rnnkit", command, *words, "--json"]
    done = subprocess.run(call, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _share(others: float | None) -> str:
    if others is None:
        return "not known"
    return f"{others:.0%}{' (disturbed)' if others > DISTURBED else ''}"


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=["speed", "quality"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", nargs="+", default=["auto", "fp32"])
    parser.add_argument("--epochs", type=int, default=EXAMPLE_EPOCHS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--options", default="--epochs 4", help="of `rnnkit train-lm`, for quality")
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    print(
        f"{datetime.date.today()}, {platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {arguments.threads} threads\n"
    )
    if arguments.question == "speed":
        records = speed(arguments.rounds, arguments.precision)
    else:
        records = quality(arguments.epochs, arguments.options.split())
    if arguments.json:
        arguments.json.write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
