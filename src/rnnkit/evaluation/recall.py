"""Recall: the name of a symbol, so many steps after it was shown.

    read     a   5   2   7   …   1   ?
             |<------ span ------->|          the symbol, span - 1 distractors drawn at random, the question
    say                              a

Nothing but the state carries the symbol over. A network learns one span after the other, from the shortest up, and
goes on from what it knows; the first span that it does not learn within the budget is beyond its memory (after
Hochreiter and Schmidhuber 1997, section 5, and Arjovsky et al. 2016, arXiv:1511.06464).

How many symbols there are matters. Of a few, a vanilla unit makes as many attractors, and stays in one as long as it
likes; of many it cannot. A gate that closes keeps any number of them.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rnnkit.data.batch_sampler import Ids
from rnnkit.errors import Interrupted, TrainingError
from rnnkit.evaluation import gradient_profile
from rnnkit.evaluation.perplexity import single_thread
from rnnkit.events import null_listener
from rnnkit.models.language_model import LanguageModel, LMConfig
from rnnkit.nn.kinds import Initialization, LanguageArch
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.optimizer import NetworkOptimizer
from rnnkit.training.optimizer import OptimizerSettings as OptimisationSettings
from rnnkit.training.schedules import Schedule
from rnnkit.training.task import StepReport
from rnnkit.training.trainer import Trainer, TrainingPlan

BATCH_SIZE = 32
LEARNING_RATE = 3e-3
EVALUATION_INTERVAL = 50
"""Steps between two looks at the accuracy."""

TEST_SEQUENCES = 512
TRAINING_STREAM, TEST_STREAM = 1, 2
"""Tell the random numbers of one from those of the other."""


@dataclass(frozen=True)
class RecallSettings:
    """A network and what it is to learn.

    Attributes:
        arch: Recurrent unit, or `transformer`.
        hidden: Size of its states and embeddings.
        layers: How many.
        start: How its weights start.
        symbols: Symbols to remember, and distractors, so many of each.
        goal: Share of right answers at which a span is learned.
        budget: Most training steps a span.
        seed: Of weights and sequences.
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
        """Symbols, distractors, and the question."""
        return 2 * self.symbols + 1


@dataclass(frozen=True)
class RecallLevel:
    """What became of one span.

    Attributes:
        span: Steps from the symbol to the question.
        accuracy: Share of right answers to sequences that were never trained on.
        steps: Training steps it took.
    """

    span: int
    accuracy: float
    steps: int


@dataclass(frozen=True)
class RecallCurve:
    """How far a network came.

    Attributes:
        settings: The network and its task.
        rungs: Every span that was tried; only the last one can have failed.
    """

    settings: RecallSettings
    rungs: tuple[RecallLevel, ...]

    @property
    def span(self) -> int:
        """The longest span that was learned; 0 where none was."""
        return max((rung.span for rung in self.rungs if rung.accuracy >= self.settings.goal), default=0)


@dataclass(frozen=True)
class RecallBatch:
    """A batch.

    Attributes:
        input_BT: Symbol, distractors, question: ids below `symbols`, from there to twice as many, and that.
        answer_B: The symbols.
    """

    input_BT: Ids
    answer_B: Ids


class RecallBatches:
    """Endless batches of one span. What is drawn is a function of the seeds and the batch's number alone.

    Args:
        symbols: How many there are.
        span: Steps from the symbol to the question.
        size: Sequences a batch.
        seeds: Of the random numbers.
    """

    def __init__(self, symbols: int, span: int, size: int, seeds: Sequence[int]) -> None:
        self._symbols = symbols
        self._span = span
        self._size = size
        self._seeds = list(seeds)
        self._taken = 0

    def __iter__(self) -> Iterator[RecallBatch]:
        return self

    def __next__(self) -> RecallBatch:
        random = np.random.default_rng([*self._seeds, self._span, self._taken])
        self._taken += 1
        input_BT = random.integers(self._symbols, 2 * self._symbols, size=(self._size, self._span + 1))
        answer_B = random.integers(self._symbols, size=self._size)
        input_BT[:, 0] = answer_B
        input_BT[:, -1] = 2 * self._symbols
        return RecallBatch(input_BT, answer_B)

    def state_dict(self) -> dict[str, int]:
        """How many batches were drawn."""
        return {"batch": self._taken}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go there."""
        self._taken = state["batch"]


class RecallTask:
    """Trains a network to answer.

    Args:
        network: What learns.
        folder: Where checkpoints would go.
    """

    def __init__(self, network: LanguageModel, folder: Path) -> None:
        self._network = network
        self._optimizer = NetworkOptimizer(network, OptimisationSettings("adam"), folder)

    def step(self, batch: RecallBatch, rate: float) -> StepReport:
        """One step on one batch."""
        logits_BV = recall_logits(self._network, batch)
        loss = nn.functional.cross_entropy(logits_BV, torch.from_numpy(batch.answer_B))
        norm = self._optimizer.step(loss, rate)
        size = len(batch.answer_B)
        return StepReport(loss.item() * size, loss.item() * size, size, norm)

    def state_dict(self) -> Mapping[str, Arrays]:
        """What `Optimisation` keeps."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made."""
        self._optimizer.load_state_dict(state)

    def save_weights(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the weights."""
        self._optimizer.save_weights(name, facts)


def recall_logits(network: LanguageModel, batch: RecallBatch) -> torch.Tensor:
    """What the network makes of each question: logits (B, V)."""
    reading = network.hidden_states(torch.from_numpy(batch.input_BT), network.initial_state(len(batch.input_BT)))
    return nn.functional.linear(reading.hidden_BTE[:, -1], network.output_weight, network.output_bias)


@torch.no_grad()
def recall_accuracy(network: LanguageModel, batch: RecallBatch) -> float:
    """Share of right answers."""
    right_B = recall_logits(network, batch).argmax(dim=1) == torch.from_numpy(batch.answer_B)
    return right_B.double().mean().item()


def measure_recall(
    settings: RecallSettings, spans: Sequence[int], hear: Callable[[RecallLevel], None] = lambda rung: None
) -> RecallCurve:
    """Learn one span after the other, up to the first that is not learned; on one CPU thread.

    Args:
        settings: The network and its task.
        spans: From the shortest up.
        hear: Told of each span that was tried.

    Raises:
        Interrupted: A signal came.
    """
    network = build_recall_model(settings, max(spans))
    rungs: list[RecallLevel] = []
    with tempfile.TemporaryDirectory(prefix="rnnkit-") as name, single_thread(torch.device("cpu")):
        task = RecallTask(network, Path(name))
        for span in spans:
            rungs.append(_learn(network, task, settings, span, Path(name)))
            hear(rungs[-1])
            if not rungs[-1].accuracy >= settings.goal:
                break
    return RecallCurve(settings, tuple(rungs))


def build_recall_model(settings: RecallSettings, longest: int) -> LanguageModel:
    """A new network, which drops nothing. A Transformer sees the whole of the longest span."""
    size = settings.hidden
    config = LMConfig(
        arch=settings.arch, vocabulary=settings.vocabulary, embedding=size, hidden=size, layers=settings.layers,
        tied=False, memory=longest + 1, dropout=0.0, dropout_input=0.0, dropout_hidden=0.0,
    )  # fmt: skip
    return gradient_profile.initialize_model(config, settings.start, settings.seed)


def _learn(network: LanguageModel, task: RecallTask, settings: RecallSettings, span: int, folder: Path) -> RecallLevel:
    """Train on one span until it is learned or the budget is spent, or until the network is of no use any more."""
    batches = RecallBatches(settings.symbols, span, BATCH_SIZE, [settings.seed, TRAINING_STREAM])
    test = next(RecallBatches(settings.symbols, span, TEST_SEQUENCES, [settings.seed, TEST_STREAM]))
    steps, share = 0, 0.0
    while steps < settings.budget:
        wanted = min(EVALUATION_INTERVAL, settings.budget - steps)
        plan = TrainingPlan(wanted, wanted, report_every=wanted + 1, save_seconds=math.inf, save_at_end=False)
        loop = Trainer(task, batches, Schedule("constant", LEARNING_RATE, 0, wanted), plan, folder, None, null_listener)
        try:
            loop.run()
        except Interrupted as stop:
            raise Interrupted(stop.exit_code - 128, "what the recall task had learned is not kept") from None
        except TrainingError:  # an exploded gradient
            break
        steps += wanted
        share = recall_accuracy(network, test)
        if share >= settings.goal:
            break
    return RecallLevel(span, share, steps)
