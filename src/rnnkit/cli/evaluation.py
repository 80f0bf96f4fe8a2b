"""Commands that score."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from rnnkit.cli import filters
from rnnkit.cli.command import Command
from rnnkit.cli.console import Console


def score(stage: ModuleType, options: Any, console: Console) -> None:
    """Write each line's score as it comes; the summary goes to standard error, unless it is all that is wanted.

    It is a result, so `--quiet` does not hide it; standard output has a line for each line of the text either way.
    """
    from rnnkit.stages.outputs import check_output_file

    check_output_file(options, options.output)
    if not options.aligned:
        filters.announce(options.files, console)
    filters.pour(_score_lines(stage, options, console), options.output, console)


def _score_lines(stage: ModuleType, options: Any, console: Console) -> Iterator[str]:
    for each in stage.run(options, console.listen):
        if options.json:
            yield json.dumps(each.as_dict(), ensure_ascii=False)
        elif options.summary or not isinstance(each, stage.Summary):
            yield from each.lines
        else:
            for line in each.lines:
                console.write_aside(line)


COMMANDS = (
    Command(
        "score",
        "Compute the probability of text: perplexity, bits",
        score,
        json=False,
        module="evaluation.score",
    ),
    Command("bleu", "Score hypotheses against references: BLEU, chrF, TER", module="evaluation.bleu"),
    Command("error-rate", "Compute line, token and character error rates", module="evaluation.error_rate"),
    Command(
        "evaluate-embeddings",
        "Evaluate word vectors on analogies and similarity",
        module="evaluation.evaluate_embeddings",
    ),
)
