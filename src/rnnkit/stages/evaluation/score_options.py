"""What `score` can be told, and which of it goes together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.config import STDIN, argument, flag, option
from rnnkit.errors import UsageError
from rnnkit.io.workspace import Workspace
from rnnkit.nn import kinds
from rnnkit.stages import shared_options as usual

CHECKPOINTS = ("best", "last", "average")
CACHE_SIZE = 500
DYNAMIC_RATE = {"rms": 0.007, "sgd": 0.7}
DYNAMIC_DECAY = 0.003
DYNAMIC_SEGMENT = 20

FLATNESSES = (0.0, 0.01, 0.02, 0.04, 0.08, 0.12, 0.18, 0.27, 0.4, 0.6, 0.9, 1.3, 2.0)
"""Values of the cache's flatness that --tune tries."""

PARTS = {
    "cache": ("cache_size", "cache_weight", "cache_flatness"),
    "dynamic": ("dynamic_method", "dynamic_rate", "dynamic_decay", "dynamic_segment"),
}
"""Options that say nothing without another."""


@dataclass(frozen=True)
class ScoreOptions:
    """Give text the probability that a language model gives it, neural or counted, line by line and as a whole.

    A translation model takes two files, the source and its translation: the score is that of the translation, given
    the source.

    Each line of the output has the logarithm of the line's probability to base 10 and to base e, its tokens and how
    many of them are unknown, the end of the line counted as a token. The summary has perplexity with and without
    unknown tokens, and bits per character and per byte. These count the text that the tokens reproduce, and compare
    models whose tokens differ where both reproduce the same text and know its words. Where normalization changed the
    text or more than 5 % of the tokens are unknown, a warning says so, and the figures over the raw text are added.

    A model of streams reads the lines as one text, a model of lines each by itself. Results do not depend on how many
    lines are read at once.

    The model can learn from what it has read (--dynamic), remember it (--cache), and be mixed with others of the same
    kind of tokens, matched by spelling (--interpolate). Weights that are not given are fitted on other text (--tune).
    """

    files: list[Path] = argument(
        (STDIN,), help="Raw text, one sentence a line; - is standard input. Source and target for a translation model."
    )
    work: Path = usual.work()
    data: Path | None = option(
        None, help="Score aligned data in place of text.", panel="Data", shown_default="WORK/data with --split"
    )
    split: str | None = option(None, help="Part of the aligned data.", panel="Data", shown_default="test with --data")
    tune: Path | None = option(None, help="Text to fit weights and flatness on that are not given.", panel="Data")
    model: Path | None = option(None, help="Model directory.", panel="Model", shown_default="WORK/model")
    checkpoint: str = option("best", help="Which weights.", panel="Model", choices=CHECKPOINTS)
    interpolate: list[str] = option(
        (), help="Model to mix with, and its weight if that is known; repeat for several.", panel="Mixture",
        metavar="OTHER[:WEIGHT]",
    )  # fmt: skip
    cache: bool = option(
        False, help="Mix with a cache: tokens read lately, above all in states like the present one.", panel="Mixture"
    )
    cache_size: int | None = option(
        None, help="Tokens that the cache holds.", panel="Mixture", unit="tokens", minimum=1,
        shown_default=str(CACHE_SIZE),
    )  # fmt: skip
    cache_weight: float | None = option(
        None, help="Weight of the cache.", panel="Mixture", minimum=0, maximum=1, shown_default="fitted on --tune"
    )
    cache_flatness: float | None = option(
        None, help="How much likeness of states counts; 0: not at all. For neural models.", panel="Mixture", minimum=0,
        shown_default="fitted on --tune",
    )  # fmt: skip
    dynamic: bool = option(
        False, help="Let --model learn from each piece of the text once it is scored; a neural model.",
        panel="Dynamic evaluation",
    )  # fmt: skip
    dynamic_method: str | None = option(
        None, help="Steps along the gradient, scaled weight by weight or not.", panel="Dynamic evaluation",
        choices=kinds.DYNAMIC_METHODS, shown_default="rms",
    )  # fmt: skip
    dynamic_rate: float | None = option(
        None, help="Length of a step.", panel="Dynamic evaluation", minimum=0,
        shown_default=", ".join(f"{rate:g} ({method})" for method, rate in DYNAMIC_RATE.items()),
    )  # fmt: skip
    dynamic_decay: float | None = option(
        None, help="Share of the way back to the trained weights, each step.", panel="Dynamic evaluation", minimum=0,
        maximum=1, shown_default=f"{DYNAMIC_DECAY:g}",
    )  # fmt: skip
    dynamic_segment: int | None = option(
        None, help="Tokens between two steps.", panel="Dynamic evaluation", unit="tokens", minimum=1,
        shown_default=str(DYNAMIC_SEGMENT),
    )  # fmt: skip
    tokens: bool = option(False, help="Also each token's logarithms.", panel="Output")
    summary: bool = option(False, help="The figures of the whole text alone.", panel="Output")
    json: bool = option(False, help="One JSON object a line, and one with the summary at the end.", panel="Output")
    output: Path = option(STDIN, help="File to write; - is standard output.", panel="Output")
    overwrite: bool = option(False, help="Replace the output file.", panel="Output")
    device: str = usual.device(help="Where to compute.")
    threads: int = usual.threads()

    @property
    def folder(self) -> Path:
        """The model directory."""
        return self.model or Workspace(self.work).model

    @property
    def aligned(self) -> bool:
        """Whether aligned data is scored, and no text."""
        return self.data is not None or self.split is not None


@dataclass(frozen=True)
class Shares:
    """What is mixed, and the weights that are known.

    Attributes:
        others: Directories of the models beside the main one.
        given: Weight of the main model, of each other, and of the cache where there is one; None: to be fitted.
    """

    others: tuple[Path, ...]
    given: tuple[float | None, ...]


def check(options: ScoreOptions) -> Shares:
    """Refuse options that make no sense together, before anything is opened, and read the weights.

    Raises:
        UsageError: They do not go together, or a weight is out of range.
    """
    for name, parts in PARTS.items():
        lonely = [f"--{flag(part)}" for part in parts if getattr(options, part) is not None]
        if lonely and not getattr(options, name):
            verb = "says" if len(lonely) == 1 else "say"
            raise UsageError(f"{' and '.join(lonely)} {verb} nothing without --{name}", hint=f"add --{name}")
    if options.aligned and options.files != [STDIN]:
        raise UsageError("text files and aligned data cannot both be scored", hint="leave out --data and --split")
    if options.tokens and options.summary:
        raise UsageError("--tokens and --summary exclude each other")
    if [*options.files, options.tune].count(STDIN) > 1 and not options.aligned:
        raise UsageError("standard input is asked for twice", "it can be read only once")
    return _shares(options)


def check_model(options: ScoreOptions, shares: Shares, neural: bool) -> Sequence[float]:
    """Hold the options against the model, and what is open against --tune.

    Args:
        options: What was asked for.
        shares: What `check` made of it.
        neural: Whether the main model is a network.

    Returns:
        Values of the cache's flatness to look at: the one that is given, or all that are tried; none without a cache.

    Raises:
        UsageError: Counts were asked for what only networks do; something is open and there is no text to fit it on,
            or the other way round.
    """
    if not neural and options.dynamic:
        raise UsageError(f"--dynamic: {options.folder} holds counts, through which no gradient flows")
    if not neural and options.cache_flatness is not None:
        raise UsageError(
            f"--cache-flatness: {options.folder} holds counts, whose cache compares no states",
            hint="leave it out: there a token's probability is its share of the cache",
        )
    named = [f"the weight of {path}" for path in shares.others] + (["the weight of the cache"] if options.cache else [])
    missing = [name for name, weight in zip(named, shares.given[1:], strict=True) if weight is None]
    tried = (0.0,) if not neural else FLATNESSES if options.cache_flatness is None else (options.cache_flatness,)
    if options.cache and len(tried) > 1:
        missing.append("the flatness of the cache")
    if missing and options.tune is None:
        raise UsageError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not known",
            hint="--tune FILE fits what is open on other text, such as the validation part; or give the numbers",
        )
    if options.tune is not None and not missing:
        raise UsageError("--tune has nothing to fit", "no weight and no flatness is open")
    return tried if options.cache else ()


def check_translation(options: ScoreOptions) -> None:
    """Hold the options against a translation model. Raises UsageError where it cannot do what was asked for."""
    for name in ("cache", "dynamic", "interpolate", "tune"):
        if getattr(options, name):
            raise UsageError(f"--{name} is for language models, and {options.folder} translates")
    if options.aligned:
        raise UsageError(
            f"--data and --split are for language models, and {options.folder} translates",
            hint="give the raw text of both sides: `rnnkit score SOURCE TARGET`",
        )
    if len(options.files) != 2:
        shown = "one file was" if len(options.files) == 1 else f"{len(options.files)} files were"
        raise UsageError(
            f"{options.folder} translates: it scores a target file, given the source", f"{shown} named",
            hint="`rnnkit score SOURCE TARGET`, a line of each belonging together",
        )  # fmt: skip


def _shares(options: ScoreOptions) -> Shares:
    pairs = [parse(text) for text in options.interpolate]
    given = [weight for _, weight in pairs] + ([options.cache_weight] if options.cache else [])
    total = math.fsum(weight for weight in given if weight is not None)
    if total > 1 + 1e-9:
        shown = " + ".join(f"{weight:g}" for weight in given if weight is not None)
        raise UsageError(f"the weights sum to more than 1: {shown}", f"{options.folder} has what they leave")
    if None in given and total > 1 - 1e-9:
        raise UsageError("the weights that are given leave nothing for those to be fitted")
    main = None if None in given else max(0.0, 1 - total)
    return Shares(tuple(path for path, _ in pairs), (main, *given))


def parse(text: str, name: str = "--interpolate") -> tuple[Path, float | None]:
    """A model and its weight, of `OTHER[:WEIGHT]`. A colon behind which no number stands belongs to the path.

    Args:
        text: The two.
        name: The option that they are the value of.

    Raises:
        UsageError: There is no path, or the weight is not between 0 and 1.
    """
    path, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon else None
    except ValueError:
        return Path(text), None
    if weight is None:
        path = text
    elif not 0 <= weight <= 1:
        raise UsageError(f"{name} {text}: a weight lies between 0 and 1, not at {number}")
    if not path:
        raise UsageError(f"{name} {text}: no model is named")
    return Path(path), weight
