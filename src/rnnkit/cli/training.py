"""Commands that train."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rnnkit.cli import launching
from rnnkit.cli.command import Command
from rnnkit.console import Console, duration
from rnnkit.system.machine import ResourceLimits, format_bytes


def train(stage: ModuleType, options: Any, console: Console) -> int | None:
    """Show where the model is and how good, or with `--dry-run` what training it would cost.

    Where several processes are to train it, they are started from here, and the first of them shows that.
    """
    processes = launching.wanted(options)
    if processes:
        return launching.start(stage.__name__.rpartition(".")[2].replace("_", "-"), options, processes, console)
    result = stage.run(options, console.listen)
    lines = getattr(result, "lines", None)  # what other kinds of models come to, and cost, they say themselves
    if options.dry_run:
        console.report("\n".join(lines or _cost(result)), result.as_dict())
    else:
        console.summarise(lines or _outcome(result), result.as_dict())
    return None


def learn_vectors(stage: ModuleType, options: Any, console: Console) -> None:
    """Show where the vectors are, or with `--dry-run` what learning them would cost."""
    result = stage.run(options, console.listen)
    if options.dry_run:
        console.report("\n".join(result.lines), result.as_dict())
    else:
        console.summarise(result.lines, result.as_dict())


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
        "time": f"about {duration(estimate.seconds)}, validation among it",
    }
    return [f"{name:<10}  {value}" for name, value in facts.items()]


COMMANDS = (
    Command("train", "Train a model of whatever kind the data is for", train, module="training.train"),
    Command("train-seq2seq", "Train a sequence-to-sequence model", train, module="training.train_seq2seq"),
    Command("train-lm", "Train a language model", train, module="training.train_lm"),
    Command("train-embeddings", "Learn word vectors", learn_vectors, module="vectors.train_embeddings"),
)
