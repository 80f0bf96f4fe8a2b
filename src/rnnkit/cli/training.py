"""Commands that train."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rnnkit.cli import launching, paths
from rnnkit.cli.command import Command
from rnnkit.cli.console import Console, duration
from rnnkit.io.manifest import Workspace
from rnnkit.stages.training import train as train_stage
from rnnkit.system.machine import ResourceLimits, format_bytes


def command_for(words: Sequence[str]) -> str:
    """The training command for the data that the words of `rnnkit train` name.

    Raises:
        DataError: There is no data.
    """
    work = _value("--work", words) or os.environ.get("RNNKIT_WORK") or "work"
    data = _value("--data", words) or os.environ.get("RNNKIT_DATA")
    folder = Path(data) if data else Workspace(Path(work)).data
    paths.check_folder(folder, "data")
    return train_stage.training_command(folder)


def _value(flag: str, words: Sequence[str]) -> str | None:
    """The last value of a flag among words, written `--flag VALUE` or `--flag=VALUE`."""
    found = [word.partition("=")[2] for word in words if word.startswith(f"{flag}=")]
    found += [value for word, value in itertools.pairwise(words) if word == flag]
    return found[-1] if found else None


def train(stage: ModuleType, options: Any, console: Console) -> int | None:
    """Print the path and scores of the model, or with `--dry-run` the cost of training it.

    With `--processes N`, start the processes; rank 0 prints the result.
    """
    processes = launching.wanted(options)
    if processes:
        return launching.start(stage.__name__.rpartition(".")[2].replace("_", "-"), options, processes, console)
    result = stage.run(options, console.listen)
    lines = getattr(result, "lines", None)  # n-gram models have a result of their own
    if options.dry_run:
        console.report("\n".join(lines or _cost(result)), result.as_dict())
    else:
        console.summarize(lines or _outcome(result), result.as_dict())
    return None


def learn_vectors(stage: ModuleType, options: Any, console: Console) -> None:
    """Print the path of the vectors, or with `--dry-run` the cost of training them."""
    result = stage.run(options, console.listen)
    if options.dry_run:
        console.report("\n".join(result.lines), result.as_dict())
    else:
        console.summarize(result.lines, result.as_dict())


def _outcome(result: Any) -> list[str]:
    scores = ", ".join(f"{name} {value:.4g}" for name, value in result.scores.items())
    return [
        f"{result.model}: best at step {result.best_step:,} of {result.steps:,} ({scores})",
        f"learning curve: {result.curve}",
    ]


def _cost(estimate: Any) -> list[str]:
    frozen = f", {estimate.frozen:,} of them frozen" if estimate.frozen else ""
    facts = {
        "parameters": f"{estimate.parameters:,}{frozen}",
        "batches": f"{estimate.batches_per_epoch:,} an epoch",
        "steps": f"{estimate.steps:,} ({estimate.epochs:.1f} epochs)",
        "memory": format_bytes(estimate.memory_bytes),
        "disk": format_bytes(estimate.checkpoint_bytes),
        "machine": str(ResourceLimits(estimate.cores, estimate.threads, estimate.memory_limit_bytes)),
        "time": f"about {duration(estimate.seconds)}, with validation",
    }
    return [f"{name:<10}  {value}" for name, value in facts.items()]


COMMANDS = (
    Command("train", "Train the kind of model that the data is for", train, module="training.train"),
    Command("train-seq2seq", "Train a sequence-to-sequence model", train, module="training.train_seq2seq"),
    Command("train-lm", "Train a language model", train, module="training.train_lm"),
    Command("train-embeddings", "Train word vectors", learn_vectors, module="training.train_embeddings"),
)
