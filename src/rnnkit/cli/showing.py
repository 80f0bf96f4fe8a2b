"""Commands that show what rnnkit did, or can do."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rnnkit.cli.command import Command, make
from rnnkit.cli.console import Console, duration


def demo(stage: ModuleType, options: Any, console: Console) -> None:
    """Show the score, some translations, some analogies and the picture."""
    console.close()  # the commands of the demo have the terminal
    result = stage.run(options, console.listen)
    lines = [f"BLEU {result.bleu:.1f} on the test part  {result.signature}"]
    for source, output, reference in result.samples:
        lines += ["", f"  source     {source}", f"  output     {output}", f"  reference  {reference}"]
    lines += [""] + [f"{question} = {answer}" for question, answer in result.analogies.items()]
    lines += [f"word vectors answer {result.analogy_accuracy:.0%} of the sample corpus' questions"]
    lines += ["", f"training took {duration(result.train_seconds)}; its learning curve: {result.curve}"]
    console.report("\n".join(lines), result.as_dict())


COMMANDS = (
    Command("diagnose", "Diagnose long-range memory: gradient flow, recall", module="evaluation.diagnose"),
    Command("plot", "Plot a learning curve, or a map of word vectors", make, module="files.plot"),
    Command("demo", "Run the whole chain on a sample corpus", demo),
)
