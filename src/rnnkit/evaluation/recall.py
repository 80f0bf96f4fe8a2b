"""Recall task: how many steps a trained network can remember a symbol.

    input    a   5   2   7   …   1   ?
             |<------ span ------->|          the symbol, span - 1 random distractors, the query
    target                           a

Only the hidden state carries the symbol to the query. A network is trained on increasing spans, each time starting from
the current weights; the first span that it does not learn within the budget exceeds its memory (after Hochreiter and
Schmidhuber 1997, section 5, and Arjovsky et al. 2016, arXiv:1511.06464).

The number of symbols matters: a simple RNN can represent a few symbols by attractors and keep them indefinitely,
but not many. A closed gate preserves any number of them.

Shapes: B sequences, T = span + 1 tokens, V vocabulary.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rnnkit.data.batch_sampler import Ids
from rnnkit.errors import Interrupted, TrainingError
from rnnkit.evaluation import gradient_profile
from rnnkit.evaluation.perplexity import single_thread
from rnnkit.json_types import JsonMapping
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.nn.kinds import Initialization, LanguageArch
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings
from rnnkit.training.schedules import Schedule
from rnnkit.training.task import StepReport
from rnnkit.training.trainer import Trainer, TrainingContext, TrainingPlan

BATCH_SIZE = 32
LEARNING_RATE = 3e-3
EVALUATION_INTERVAL = 50
"""Training steps between evaluations."""

TEST_SEQUENCES = 512
TRAINING_STREAM, TEST_STREAM = 1, 2
"""Seeds that separate the random numbers of training and test sequences."""


@dataclass(frozen=True)
class RecallSettings:
    """A network and its recall task.

    Attributes:
        arch: Recurrent cell, or `transformer`.
        hidden: Hidden and embedding size.
        layers: Number of layers.
        start: Initialization of the weights.
        symbols: Number of symbols, and of distractors.
        goal: Accuracy at which a span counts as learned.
        budget: Maximum training steps per span.
        seed: Random seed of weights and sequences.
    """

    arch: LanguageArch
    hidden: int = 32
    layers: int = 1
    start: Initialization = "orthogonal"
    symbols: int = 64
    goal: float = 0.9
    budget: int = 800
    seed: int = 1

    @property
    def vocabulary(self) -> int:
        """Vocabulary size: symbols, distractors, and the query."""
        return 2 * self.symbols + 1


@dataclass(frozen=True)
class RecallLevel:
    """Result of training on one span.

    Attributes:
        span: Steps from the symbol to the query.
        accuracy: Accuracy on held-out sequences.
        steps: Training steps taken.
    """

    span: int
    accuracy: float
    steps: int


@dataclass(frozen=True)
class RecallCurve:
    """Results of a network on increasing spans.

    Attributes:
        settings: The network and its task.
        levels: Result of each span; only the last one can have failed.
    """

    settings: RecallSettings
    levels: tuple[RecallLevel, ...]

    @property
    def span(self) -> int:
        """The longest span that was learned; 0 if none was."""
        return max((level.span for level in self.levels if level.accuracy >= self.settings.goal), default=0)


@dataclass(frozen=True)
class RecallBatch:
    """A batch of sequences of one length.

    Attributes:
        input_BT: Symbol, distractors and query; with S symbols, ids below S, from S to 2 S - 1, and 2 S.
        target_B: The symbols.
    """

    input_BT: Ids
    target_B: Ids


class RecallBatches:
    """Endless batches of one span. A batch is a function of the seeds and its index alone.

    Args:
        symbols: Number of symbols.
        span: Steps from the symbol to the query.
        size: Batch size.
        seeds: Random seeds.
    """

    def __init__(self, symbols: int, span: int, size: int, seeds: Sequence[int]) -> None:
        self._symbols = symbols
        self._span = span
        self._size = size
        self._seeds = list(seeds)
        self._batches = 0

    def __iter__(self) -> Iterator[RecallBatch]:
        return self

    def __next__(self) -> RecallBatch:
        random = np.random.default_rng([*self._seeds, self._span, self._batches])
        self._batches += 1
        input_BT = random.integers(self._symbols, 2 * self._symbols, size=(self._size, self._span + 1))
        target_B = random.integers(self._symbols, size=self._size)
        input_BT[:, 0] = target_B
        input_BT[:, -1] = 2 * self._symbols
        return RecallBatch(input_BT, target_B)

    def state_dict(self) -> dict[str, int]:
        """Return the number of batches drawn."""
        return {"batch": self._batches}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to the position of a `state_dict`."""
        self._batches = state["batch"]


class RecallTask:
    """The training task: predict the symbol at the query.

    Args:
        network: The network to train.
        folder: Directory for weights.
    """

    def __init__(self, network: LanguageModelNetwork, folder: Path) -> None:
        self._network = network
        self._optimizer = NetworkOptimizer(network, OptimizerSettings("adam"), folder)

    def step(self, batch: RecallBatch, learning_rate: float) -> StepReport:
        """Take one optimizer step on one batch."""
        logits_BV = recall_logits(self._network, batch)
        loss = nn.functional.cross_entropy(logits_BV, torch.from_numpy(batch.target_B))
        norm = self._optimizer.step(loss, learning_rate)
        size = len(batch.target_B)
        return StepReport(loss.item() * size, loss.item() * size, size, norm)

    def state_dict(self) -> Mapping[str, Arrays]:
        """Return the state of the network and the optimizer."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Restore the state of a `state_dict`."""
        self._optimizer.load_state_dict(state)

    def save_weights(self, name: str, facts: JsonMapping) -> None:
        """Write the weights."""
        self._optimizer.save_weights(name, facts)


def recall_logits(network: LanguageModelNetwork, batch: RecallBatch) -> torch.Tensor:
    """Compute the logits (B, V) at the query."""
    output = network.hidden_states(torch.from_numpy(batch.input_BT), network.initial_state(len(batch.input_BT)))
    return nn.functional.linear(output.hidden_BTE[:, -1], network.output_weight, network.output_bias)


@torch.no_grad()
def recall_accuracy(network: LanguageModelNetwork, batch: RecallBatch) -> float:
    """Compute the accuracy on a batch."""
    correct_B = recall_logits(network, batch).argmax(dim=1) == torch.from_numpy(batch.target_B)
    return correct_B.double().mean().item()


def measure_recall(
    settings: RecallSettings, spans: Sequence[int], on_result: Callable[[RecallLevel], None] = lambda level: None
) -> RecallCurve:
    """Train on increasing spans, up to the first that is not learned, with one CPU thread.

    Args:
        settings: The network and its task.
        spans: Spans in increasing order.
        on_result: Receives the result of each span.

    Raises:
        Interrupted: A signal arrived.
    """
    network = build_recall_model(settings, max(spans))
    levels: list[RecallLevel] = []
    with tempfile.TemporaryDirectory(prefix="rnnkit-") as name, single_thread(torch.device("cpu")):
        task = RecallTask(network, Path(name))
        for span in spans:
            levels.append(_train_on_span(network, task, settings, span, Path(name)))
            on_result(levels[-1])
            if not levels[-1].accuracy >= settings.goal:
                break
    return RecallCurve(settings, tuple(levels))


def build_recall_model(settings: RecallSettings, longest: int) -> LanguageModelNetwork:
    """Create an untrained network without dropout. The context of a Transformer covers the longest span."""
    size = settings.hidden
    config = LMConfig(
        arch=settings.arch, vocabulary=settings.vocabulary, embedding=size, hidden=size, layers=settings.layers,
        tied=False, memory=longest + 1, dropout=0.0, dropout_input=0.0, dropout_hidden=0.0,
    )  # fmt: skip
    return gradient_profile.initialize_model(config, settings.start, settings.seed)


def _train_on_span(
    network: LanguageModelNetwork, task: RecallTask, settings: RecallSettings, span: int, folder: Path
) -> RecallLevel:
    """Train on one span until it is learned, the budget is spent, or training diverges."""
    batches = RecallBatches(settings.symbols, span, BATCH_SIZE, [settings.seed, TRAINING_STREAM])
    test = next(RecallBatches(settings.symbols, span, TEST_SEQUENCES, [settings.seed, TEST_STREAM]))
    steps, share = 0, 0.0
    while steps < settings.budget:
        wanted = min(EVALUATION_INTERVAL, settings.budget - steps)
        plan = TrainingPlan(wanted, wanted, report_every=wanted + 1, save_seconds=math.inf, save_at_end=False)
        schedule = Schedule("constant", LEARNING_RATE, 0, wanted)
        loop = Trainer(task, batches, schedule, plan, None, TrainingContext(folder))
        try:
            loop.run()
        except Interrupted as stop:
            raise Interrupted(stop.exit_code - 128, "the networks of the recall task were not saved") from None
        except TrainingError:  # an exploded gradient
            break
        steps += wanted
        share = recall_accuracy(network, test)
        if share >= settings.goal:
            break
    return RecallLevel(span, share, steps)
