"""`rnnkit decode`: raw source lines in, one detokenized line out for each, in order."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.config import STDIN, argument, option
from rnnkit.errors import UsageError
from rnnkit.events import Listener, Note, Progress, ignore
from rnnkit.files.workspace import Workspace
from rnnkit.nn import kinds

if TYPE_CHECKING:
    from rnnkit.decoding.translate import Translated

EXAMPLE = """\
rnnkit decode --beam 5 < test.de > test.hyp
rnnkit decode test.de --nbest 3 --json --output test.jsonl"""

CHECKPOINTS = ("best", "last", "average")
PROGRESS_LINES = 100


@dataclass(frozen=True)
class Options:
    """Translate raw text with a trained model: one line out for each line in, in order.

    The model directory brings its own tokenizer and vocabulary. An empty line stays empty.
    """

    files: list[Path] = argument((STDIN,), help="Raw source text, one sentence a line; - is standard input.")
    work: Path = option(Path("work"), help="Workspace that paths not given are in.", panel="Data")
    output: Path = option(STDIN, help="File to write; - is standard output.", panel="Output")
    model: Path | None = option(None, help="Model directory.", panel="Model", shown_default="WORK/model")
    checkpoint: str = option("best", help="Which weights.", panel="Model", choices=CHECKPOINTS)
    beam: int = option(5, help="Hypotheses kept a sentence; 1 is greedy.", panel="Search", minimum=1)
    alpha: float = option(
        1.0, help="Length penalty: score = log p / L^alpha, L with the end symbol.", panel="Search", minimum=0
    )
    max_length: int = option(
        0, help="Most tokens of an output, end symbol counted; 0: twice the source and ten.", panel="Search",
        unit="tokens", minimum=0,
    )  # fmt: skip
    nbest: int = option(1, help="Outputs for each line, best first, one a line.", panel="Search", minimum=1)
    allow_unknown: bool = option(False, help="Let the model say the unknown symbol.", panel="Search")
    exhaustive: bool = option(
        False, help="Look at every output there is; for tiny vocabularies, with --max-length.", panel="Search"
    )
    json: bool = option(False, help="One JSON object a line: text, score, tokens, attention.", panel="Output")
    batch_tokens: int = option(
        4096, help="Source tokens a batch, padding counted.", panel="Optimisation", unit="tokens", minimum=1
    )
    device: str = option("auto", help="Where to decode.", panel="Optimisation", choices=kinds.DEVICES)
    threads: int = option(0, help="CPU threads; 0: all cores.", panel="Optimisation", minimum=0)
    overwrite: bool = option(False, help="Replace the output file.", panel="Output")


def run(options: Options, listen: Listener = ignore) -> Iterator[str]:
    """Decode; the lines come as they are made.

    Yields:
        Output lines: `nbest` for each input line, or with `json` one object for each input line.

    Raises:
        DataError: A file or the model is missing, or a line cannot be read.
        FormatError: The model is damaged.
        UsageError: More outputs are wanted than the beam holds.
    """
    if options.nbest > options.beam and not options.exhaustive:
        raise UsageError(f"--nbest {options.nbest} is more than --beam {options.beam} keeps")
    return _lines(options, listen)


def _lines(options: Options, listen: Listener) -> Iterator[str]:
    import json

    number = 0
    for number, translated in enumerate(_translate(options, listen), start=1):
        if options.json:
            yield json.dumps(as_dict(number, translated), ensure_ascii=False)
        else:
            # Fewer outputs than asked for, as for an empty line, still take their lines.
            yield from (translated.outputs + ("",) * options.nbest)[: options.nbest]
        if number % PROGRESS_LINES == 0:
            listen(Progress("decode", number))
    listen(Progress("decode", number, finished=True))


def _translate(options: Options, listen: Listener) -> Iterator[Translated]:
    from rnnkit.decoding.stepper import SearchOptions
    from rnnkit.decoding.translate import BLOCK_LINES, translate_lines
    from rnnkit.models import store
    from rnnkit.nn.device import choose_device, set_threads
    from rnnkit.text.lines import read_lines

    set_threads(options.threads)
    model = store.load(
        options.model or Workspace(options.work).model, options.checkpoint, choose_device(options.device)
    )
    listen(Note(f"{model.folder}: {options.checkpoint} weights, {model.languages[0]}-{model.languages[1]}"))
    search = SearchOptions(
        beam=options.beam,
        alpha=options.alpha,
        max_length=options.max_length,
        nbest=options.nbest,
        allow_unknown=options.allow_unknown,
        exhaustive=options.exhaustive,
    )
    lines = (line for path in options.files for line in read_lines(path))
    # Whoever types a line waits for its translation; a file is read ahead, to sort it into batches.
    ahead = 1 if options.files == [STDIN] and sys.stdin.isatty() else BLOCK_LINES
    return translate_lines(model, lines, search, options.batch_tokens, options.json, ahead)


def as_dict(line: int, translated: Translated) -> dict[str, Any]:
    """One line's outputs as JSON: its number from 1, source tokens, and each output with scores and attention.

    `attention` has a row for each target token and the end symbol, and a column for each source token and the end
    symbol; it is null for models without attention.
    """
    return {
        "line": line,
        "source_tokens": list(translated.source),
        "outputs": [
            {
                "text": text,
                "score": hypothesis.score,
                "log_probability": hypothesis.log_p,
                "tokens": list(tokens),
                "attention": None if hypothesis.attention is None else _rounded(hypothesis.attention.tolist()),
            }
            for text, tokens, hypothesis in zip(
                translated.outputs, translated.tokens, translated.hypotheses, strict=False
            )
        ],
    }


def _rounded(rows: list[list[float]]) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in rows]
