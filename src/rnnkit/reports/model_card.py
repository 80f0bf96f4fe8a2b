"""The model card: a README in every model directory with its architecture, data, options and validation scores."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rnnkit
from rnnkit.errors import escape_line
from rnnkit.io.atomic import atomic_file
from rnnkit.json_types import JsonMapping

NAME = "README.md"

_MARKUP = re.compile(r"[\\`*<>\[\]|~&#$!]")


@dataclass(frozen=True)
class ModelCard:
    """Content of a model card.

    Attributes:
        title: Title, one line.
        languages: Source and target language; a single one for a language model.
        parameters: Number of parameters.
        network: Configuration of the network.
        options: Resolved options of the training command.
        data: Numbers of sentences and tokens by split.
        inputs: SHA-256 of each input of the training.
        scores: Validation scores of the best weights.
        steps: Training steps, and the step of the best weights.
        seconds: Training time in seconds.
    """

    title: str
    languages: tuple[str, ...]
    parameters: int
    network: JsonMapping
    options: JsonMapping
    data: JsonMapping
    inputs: Mapping[str, str]
    scores: Mapping[str, float]
    steps: tuple[int, int]
    seconds: float


def write_model_card(folder: Path, card: ModelCard) -> None:
    """Write `README.md` into the model directory."""
    with atomic_file(folder / NAME) as file:
        file.write(render(card))


def render(card: ModelCard) -> str:
    """Render the card as Markdown with the YAML front matter of model hubs."""
    two = len(card.languages) > 1
    language = card.languages[0]
    command = "decode" if two else "score"
    taken, best = card.steps
    rows = [(name, f"{value:.4g}") for name, value in card.scores.items() if name != "step"]
    splits = [
        (split, f"{facts['sentences']:,}", ", ".join(f"{k} {v:,}" for k, v in facts["tokens"].items()))
        for split, facts in card.data["splits"].items()
    ]
    shape = [(key.replace("_", "-"), str(value)) for key, value in card.network.items() if value is not None]
    settings = [(key, str(value)) for key, value in card.options.items() if value is not None]
    return "\n".join(
        [
            "---",
            "library_name: rnnkit",
            f"tags: [{'translation, sequence-to-sequence' if two else 'language-model'}]",
            f"language: {json.dumps(card.languages)}",
            "---",
            f"# {_plain(card.title)}",
            "",
            f"{card.parameters:,} parameters, trained for {taken:,} steps in {format_duration(card.seconds)} with "
            f"rnnkit {rnnkit.__version__}. The weights in `best.safetensors` are those of step {best:,}.",
            "",
            "```",
            f"rnnkit {command} --model DIR < {shlex.quote(f'text.{escape_line(language)}').replace('`', '')}",
            "```",
            "",
            "## Validation",
            *_table("score", "value", rows),
            "## Data",
            *_table("split | sentences", "tokens", splits),
            "## Network",
            *_table("part", "value", shape),
            "## Options",
            *_table("option", "value", settings),
            "## Made from",
            *_table("input", "sha256", list(card.inputs.items())),
        ]
    )


def format_duration(seconds: float) -> str:
    """Format the time that a run took."""
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.1f} minutes"


def _table(left: str, right: str, rows: Sequence[Sequence[str]]) -> list[str]:
    columns = left.count("|") + 2
    lines = ["| " + " | ".join(map(_plain, row)) + " |" for row in rows]
    return ["", f"| {left} | {right} |", "|" + " --- |" * columns, *lines, ""]


def _plain(text: str) -> str:
    """Escape a text for Markdown, so that file names cannot insert tags, links, cells or lines."""
    return _MARKUP.sub(r"\\\g<0>", escape_line(text))
