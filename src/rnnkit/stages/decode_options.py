"""What `decode` can be told, and which of it goes with which model."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from rnnkit.config import STDIN, argument, flag, option
from rnnkit.errors import FormatError, UsageError
from rnnkit.files.workspace import Workspace
from rnnkit.nn import kinds
from rnnkit.text.gaps import GAP, check_gap

CHECKPOINTS = ("best", "last", "average")
TRANSLATION_BEAM, CONTINUATION_BEAM = 5, 1
"""Hypotheses kept, where nobody says otherwise."""

DRAWING = ("sample", "temperature", "top_k", "top_p")
"""Options any of which makes a language model draw its tokens."""

FILLING = ("fill", "gap")
CONTINUING = (*DRAWING, "prompt")
SEARCHING = ("beam", "alpha", "max_length", "exhaustive")


@dataclass(frozen=True)
class Options:
    """Translate raw text, go on from prompts, or fill gaps, as the model was trained for.

    One line out for each line in, in order. The model directory brings its own tokenizer and vocabulary. A translation
    model translates; an empty line stays empty.

    A language model goes on from each line until it ends or --max-length is reached, from nothing where the line is
    empty: with the likeliest token, with a beam, or, where --sample, --temperature, --top-k or --top-p is given, with
    tokens drawn by their probabilities. The same seed gives the same text, whatever is decoded beside it.

    A cloze model, with --fill, puts a token into each ___ of a line: the likeliest, given both its sides. Of several
    gaps the surest is filled first, then the line is read again. One gap is one token, so that `tokenize --type words`
    suits it best.
    """

    files: list[Path] = argument(
        (STDIN,), help="Raw text, one sentence, prompt or line with gaps a line; - is standard input."
    )
    work: Path = option(Path("work"), help="Workspace that paths not given are in.", panel="Data")
    output: Path = option(STDIN, help="File to write; - is standard output.", panel="Output")
    model: Path | None = option(None, help="Model directory.", panel="Model", shown_default="WORK/model")
    checkpoint: str = option("best", help="Which weights.", panel="Model", choices=CHECKPOINTS)
    beam: int | None = option(
        None, help="Hypotheses kept a line; 1 is greedy.", panel="Search", minimum=1,
        shown_default=f"{TRANSLATION_BEAM}, or {CONTINUATION_BEAM} for a language model",
    )  # fmt: skip
    alpha: float = option(
        1.0, help="Length penalty: score = log p / L^alpha, L with the end symbol.", panel="Search", minimum=0
    )
    max_length: int = option(
        0, help="Most tokens of an output, end symbol counted; 0: twice the source and ten, or 50 behind a prompt.",
        panel="Search", unit="tokens", minimum=0,
    )  # fmt: skip
    nbest: int = option(1, help="Outputs for each line, best first, one a line.", panel="Search", minimum=1)
    allow_unknown: bool = option(False, help="Let the model say the unknown symbol.", panel="Search")
    exhaustive: bool = option(
        False, help="Look at every output there is; for tiny vocabularies, with --max-length.", panel="Search"
    )
    sample: bool = option(False, help="Draw tokens by their probabilities.", panel="Language models")
    temperature: float | None = option(
        None, help="Sharpen (below 1) or flatten the probabilities that are drawn by.", panel="Language models",
        shown_default="1",
    )  # fmt: skip
    top_k: int | None = option(
        None, help="Draw from the so many likeliest.", panel="Language models", unit="tokens", shown_default="all"
    )
    top_p: float | None = option(
        None, help="Draw from the fewest likeliest whose probabilities reach this.", panel="Language models",
        shown_default="1",
    )  # fmt: skip
    seed: int = option(1, help="Seed of what is drawn.", panel="Language models", minimum=0)
    prompt: bool = option(True, help="Write the prompt before what follows it.", panel="Language models")
    fill: bool = option(False, help="Fill the gaps of each line.", panel="Cloze models")
    gap: str = option(GAP, help="How a gap is written.", panel="Cloze models")
    json: bool = option(False, help="One JSON object a line: texts, scores, tokens and so on.", panel="Output")
    batch_tokens: int = option(
        4096, help="Tokens a batch, padding counted.", panel="Optimisation", unit="tokens", minimum=1
    )
    device: str = option("auto", help="Where to decode.", panel="Optimisation", choices=kinds.DEVICES)
    threads: int = option(0, help="CPU threads; 0: all cores.", panel="Optimisation", minimum=0)
    overwrite: bool = option(False, help="Replace the output file.", panel="Output")

    @property
    def folder(self) -> Path:
        """The model directory."""
        return self.model or Workspace(self.work).model

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn."""
        return bool(given(self, DRAWING))


def given(options: Options, names: Collection[str]) -> list[str]:
    """Those of the named options that are not as they would be without a word, as they are spelled."""
    defaults = Options()
    return [f"--{flag(name)}" for name in names if getattr(options, name) != getattr(defaults, name)]


REFUSED: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "sequence-to-sequence": ((CONTINUING, "language models"), (FILLING, "cloze models")),
    "language-model": ((FILLING, "cloze models"),),
    "cloze": ((CONTINUING, "language models"), (SEARCHING, "models that say whole lines")),
}
"""For each task, options that its models know nothing of, and whose they are."""

IS = {"sequence-to-sequence": "translates", "language-model": "is a language model", "cloze": "is a cloze model"}


def check(options: Options, task: str) -> None:
    """Refuse options that the model knows nothing of, are out of range, or exclude each other.

    Raises:
        UsageError: There is such an option.
        FormatError: Nobody knows what the model is for.
    """
    if task not in REFUSED:
        raise FormatError(
            f"{options.folder} is for {task!r}, which this rnnkit knows nothing of",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
        )
    for names, whose in REFUSED[task]:
        if strange := given(options, names):
            raise UsageError(f"{' and '.join(strange)}: for {whose}, and {options.folder} {IS[task]}")
    if task == "sequence-to-sequence":
        _check_nbest(options, options.beam or TRANSLATION_BEAM, None)
    elif task == "language-model":
        _check_drawing(options)
        if not options.draws:
            hint = f"--beam {options.nbest} keeps so many, --sample draws so many"
            _check_nbest(options, options.beam or CONTINUATION_BEAM, hint)
    else:
        if not options.fill:
            raise UsageError(f"{options.folder} is a cloze model: it fills gaps", hint="add --fill")
        check_gap(options.gap)


def _check_nbest(options: Options, beam: int, hint: str | None) -> None:
    if options.nbest > beam and not options.exhaustive:
        raise UsageError(f"--nbest {options.nbest} is more than --beam {beam} keeps", hint=hint)


def _check_drawing(options: Options) -> None:
    temperature, top_k, top_p = options.temperature, options.top_k, options.top_p
    if temperature is not None and not 0 < temperature < math.inf:
        raise UsageError(
            f"--temperature must be above 0, not {temperature}",
            "probabilities are taken to the power 1 / temperature",
            hint="without --temperature and its like, the likeliest token is taken",
        )
    if top_k is not None and top_k < 1:
        raise UsageError(f"--top-k must be at least 1, not {top_k}", "it is the number of tokens that are drawn from")
    if top_p is not None and not 0 < top_p <= 1:
        raise UsageError(
            f"--top-p must be above 0 and at most 1, not {top_p}", "it is the probability of what is drawn from"
        )
    drawing = " and ".join(given(options, DRAWING))
    if drawing and options.exhaustive:
        raise UsageError(f"--exhaustive looks at every output, {drawing} draws a few", hint="leave out one of them")
    if drawing and (options.beam or 1) > 1:
        raise UsageError(
            f"--beam {options.beam} does not go with {drawing}",
            "a beam keeps the likeliest outputs, and what is drawn is seldom among them",
            hint=f"leave out one of them; --nbest {options.beam} draws so many",
        )
