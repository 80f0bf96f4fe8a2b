"""The output layer of a language model, loss and gradient, beside what torch offers, on the CPU.

A batch is 20 x 35 tokens, as in PyTorch's word_language_model example. All systems take their turn in each round; the
ratio is the median over rounds of torch's time by the system's, within the round, so that a busy machine counts for
all alike. Processor time is what remains comparable when it is very busy.

    python benchmarks/output_layer.py --rounds 15
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from meter import Meter
from rnnkit.nn import losses
from rnnkit.nn.losses import Proposal, propose, sampled_loss
from tables import markdown, spread

SIZES = ((200, 10_000), (650, 10_000), (256, 33_278))
"""Hidden size and vocabulary: the example's two on the Penn Treebank, and WikiText-2's vocabulary."""

BASE = "torch, fp32"
SAMPLES = (1024, 4096)
MILLI = 1000


@dataclass(frozen=True)
class Layer:
    """One batch and the layer's parameters."""

    hidden_NH: Tensor
    weight_VH: Tensor
    bias_V: Tensor
    target_N: Tensor

    @property
    def leaves(self) -> tuple[Tensor, Tensor, Tensor]:
        """What gets a gradient."""
        return self.hidden_NH, self.weight_VH, self.bias_V


Loss = Callable[[Layer], Tensor]


def zipf_weights(size: int) -> Tensor:
    """Return weights by Zipf's law for ids in order of falling frequency: log((v + 2) / (v + 1))."""
    ids_V = torch.arange(size, dtype=torch.float64)
    return torch.log((ids_V + 2) / (ids_V + 1))


def make_layer(rows: int, hidden: int, vocabulary: int, seed: int) -> Layer:
    """Numbers as large as in training; targets as frequent as in a text."""
    torch.manual_seed(seed)
    target_N = torch.multinomial(zipf_weights(vocabulary), rows, replacement=True)
    hidden_NH = (0.3 * torch.randn(rows, hidden)).requires_grad_()
    weight_VH = (0.1 * torch.randn(vocabulary, hidden)).requires_grad_()
    return Layer(hidden_NH, weight_VH, torch.zeros(vocabulary, requires_grad=True), target_N)


def systems(vocabulary: int) -> dict[str, Loss]:
    """The losses by name, each a sum over rows."""
    found: dict[str, Loss] = {BASE: plain, "torch, bf16": plain_bfloat16}
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):
        found["torch's own chunks, fp32"] = chunked
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        found[f"rnnkit, {name}"] = partial(fused, kind=kind)
    for count in SAMPLES:
        proposal = propose(zipf_weights(vocabulary), count)
        found[f"rnnkit, bf16, sample of {count:,}"] = partial(sampled, proposal=proposal)
    return found


def plain(layer: Layer) -> Tensor:
    """What the example does."""
    logits_NV = torch.nn.functional.linear(*layer.leaves)
    return torch.nn.functional.cross_entropy(logits_NV.float(), layer.target_N, reduction="sum")


def plain_bfloat16(layer: Layer) -> Tensor:
    """The same under autocast."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return plain(layer)


def chunked(layer: Layer) -> Tensor:
    """What newer versions of torch offer: the layer and its loss in one, in chunks of its own choice."""
    options = torch.nn.LinearCrossEntropyOptions()
    return torch.nn.functional.linear_cross_entropy(
        layer.hidden_NH, layer.weight_VH, layer.target_N, linear_bias=layer.bias_V, reduction="sum", options=options
    )


def fused(layer: Layer, kind: torch.dtype) -> Tensor:
    """What models train on."""
    return losses.fused_loss(layer.hidden_NH, layer.weight_VH, layer.bias_V, layer.target_N, dtype=kind)[0]


def sampled(layer: Layer, proposal: Proposal) -> Tensor:
    """The same from a sample, the drawing of it included."""
    inputs = layer.hidden_NH, layer.weight_VH, layer.bias_V, layer.target_N
    return sampled_loss(*inputs, proposal.draw(), torch.bfloat16)[0]


def measure(layer: Layer, losses_by_name: dict[str, Loss], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of each system in each round, of the clock and of the processor; the first round is not counted."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in losses_by_name}
    for _ in range(rounds + 1):
        for name, loss in losses_by_name.items():
            start = time.perf_counter(), time.process_time()
            torch.autograd.grad(loss(layer) / len(layer.target_N), layer.leaves)
            taken[name].append((MILLI * (time.perf_counter() - start[0]), MILLI * (time.process_time() - start[1])))
    return {name: turns[1:] for name, turns in taken.items()}


def rows_of_table(hidden: int, vocabulary: int, taken: dict[str, list[tuple[float, float]]]) -> list[list[str]]:
    """One row a system."""
    rows = []
    for name, turns in taken.items():
        clock, processor = zip(*turns, strict=True)
        ratios = [[base[part] / own[part] for base, own in zip(taken[BASE], turns, strict=True)] for part in (0, 1)]
        ratio_cells = [f"{statistics.median(values):.2f}" for values in ratios]
        rows.append([f"{hidden} x {vocabulary:,}", name, spread(clock), spread(processor), *ratio_cells])
    return rows


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=700, help="predictions in a batch")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    meter, rows = Meter(), []
    for hidden, vocabulary in SIZES:
        layer = make_layer(options.rows, hidden, vocabulary, options.seed)
        rows += rows_of_table(hidden, vocabulary, measure(layer, systems(vocabulary), options.rounds))
    head = ["hidden x vocabulary", "system", "ms", "processor ms", "times as fast", "by processor time"]
    print(markdown(head, rows, right=2))
    others = meter.others()
    print(
        f"\ntorch {torch.__version__}, Python {platform.python_version()}, {options.threads} threads, "
        f"{options.rows} rows, {options.rounds} rounds, seed {options.seed}; other processes took "
        + ("an unknown share of the cores" if others is None else f"{others:.0%} of the cores")
    )


if __name__ == "__main__":
    main()
