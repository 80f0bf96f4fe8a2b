"""A linear-chain CRF, loss with gradient and Viterbi, beside pytorch-crf and our own reference, on the CPU.

A batch has 32 sentences of 5 to 45 words. All systems take their turn in each round; the ratio is the median over
rounds of the base's processor time by the system's, within the round. pytorch-crf is measured if it is installed.

    python benchmarks/crf_layer.py --rounds 15
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from meter import Meter
from rnnkit.nn import crf_reference
from rnnkit.nn.crf import LinearChainCRF
from tables import markdown

LABELS = (5, 20, 60)
BATCH, SHORTEST, LONGEST = 32, 5, 45
MICRO = 1e6

Task = Callable[[], object]


@dataclass(frozen=True)
class TaggedBatch:
    """Emissions with a gradient, lengths and gold labels."""

    scores_BTC: Tensor
    lengths_B: Tensor
    labels_BT: Tensor

    @property
    def mask_BT(self) -> Tensor:
        """True where there is a word."""
        return torch.arange(LONGEST) < self.lengths_B.unsqueeze(1)


def make_tagged_batch(labels: int, seed: int) -> TaggedBatch:
    """Sentences of all lengths, longest first."""
    torch.manual_seed(seed)
    lengths_B = torch.linspace(LONGEST, SHORTEST, BATCH).round().long()
    scores_BTC = (3 * torch.randn(BATCH, LONGEST, labels)).requires_grad_()
    return TaggedBatch(scores_BTC, lengths_B, torch.randint(labels, (BATCH, LONGEST)))


def own_tasks(crf: LinearChainCRF, batch: TaggedBatch) -> dict[str, tuple[Task, Task]]:
    """What the layer does, and the reference with the same scores."""
    arguments = batch.scores_BTC, batch.lengths_B
    ones_C = torch.ones(len(crf.start_C))

    def reference_loss() -> Tensor:
        return crf_reference.weighted_nll(crf.chain_scores(), *arguments, batch.labels_BT, ones_C)

    def reference_viterbi() -> object:
        with torch.no_grad():
            return crf_reference.k_best(crf.chain_scores(), *arguments, 1)

    return {
        "reference": (lambda: backward(reference_loss()), reference_viterbi),
        "rnnkit": (
            lambda: backward(crf.nll(*arguments, batch.labels_BT)),
            lambda: crf.viterbi(*arguments),
        ),
    }


def rival_tasks(crf: LinearChainCRF, batch: TaggedBatch) -> dict[str, tuple[Task, Task]]:
    """The same by pytorch-crf, with the same scores; nothing if it is not installed."""
    try:
        torchcrf = importlib.import_module("torchcrf")
    except ImportError:
        return {}
    rival = torchcrf.CRF(len(crf.start_C), batch_first=True)
    for own, other in zip(crf.parameters(), rival.parameters(), strict=True):
        other.data.copy_(own.data)
    loss = -rival(batch.scores_BTC, batch.labels_BT, batch.mask_BT)
    torch.testing.assert_close(loss, crf.nll(batch.scores_BTC, batch.lengths_B, batch.labels_BT).sum())

    def viterbi() -> object:
        with torch.no_grad():
            return rival.decode(batch.scores_BTC, batch.mask_BT)

    name = f"pytorch-crf {importlib.metadata.version('pytorch-crf')}"
    return {name: (lambda: backward(-rival(batch.scores_BTC, batch.labels_BT, batch.mask_BT)), viterbi)}


def backward(loss: Tensor) -> None:
    """Compute the gradients."""
    loss.sum().backward()  # type: ignore[no-untyped-call]


def seconds(task: Task, calls: int) -> float:
    """Processor time of a call."""
    start = time.process_time()
    for _ in range(calls):
        task()
    return (time.process_time() - start) / calls


def rows(labels: int, rounds: int, seed: int) -> list[list[str]]:
    """One row for each system: microseconds of the processor for a sentence, and ratios to the first."""
    crf, batch = LinearChainCRF(labels), make_tagged_batch(labels, seed)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    systems = rival_tasks(crf, batch) | own_tasks(crf, batch)
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in systems}
    for _ in range(rounds + 1):  # the first one compiles
        for name, tasks in systems.items():
            times[name].append(tuple(seconds(task, 5) for task in tasks))
    base = next(iter(systems))
    table = []
    for name in systems:
        row = [str(labels), name]
        for task in (0, 1):
            found = [one[task] for one in times[name][1:]]
            ratios = [first[task] / own for first, own in zip(times[base][1:], found, strict=True)]
            row += [f"{MICRO * statistics.median(found) / BATCH:.1f}", f"{statistics.median(ratios):.1f}"]
        table.append(row)
    return table


def main() -> None:
    """Print versions and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    meter = Meter()
    header = ["labels", "system", "loss and gradient, us a sentence", "ratio", "Viterbi, us a sentence", "ratio"]
    table = [row for labels in LABELS for row in rows(labels, options.rounds, options.seed)]
    print(markdown(header, table, right=2))
    others = meter.others()
    print(
        f"\ntorch {torch.__version__}, Python {platform.python_version()}, {options.threads} threads, "
        f"{options.rounds} rounds, seed {options.seed}; other processes took "
        + ("an unknown share of the cores" if others is None else f"{others:.0%} of the cores")
    )


if __name__ == "__main__":
    main()
