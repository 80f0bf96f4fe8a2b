"""Options of `score`, and the checks of which can be combined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rnnkit.errors import UsageError
from rnnkit.io.manifest import Workspace
from rnnkit.nn import kinds
from rnnkit.options.declare import STDIN, argument, option, option_name
from rnnkit.stages import shared_options as shared

if TYPE_CHECKING:
    from rnnkit.evaluation.lm_adaptation import DynamicSettings

CHECKPOINTS = ("best", "last", "average")
CACHE_SIZE = 500
DYNAMIC_RATE = {"rms": 0.007, "sgd": 0.7}
DYNAMIC_DECAY = 0.003
DYNAMIC_SEGMENT = 20

FLATNESSES = (0.0, 0.01, 0.02, 0.04, 0.08, 0.12, 0.18, 0.27, 0.4, 0.6, 0.9, 1.3, 2.0)
"""Values of the cache flatness that --tune tries."""

DEPENDENT_OPTIONS = {
    "cache": ("cache_size", "cache_weight", "cache_flatness"),
    "dynamic": ("dynamic_method", "dynamic_rate", "dynamic_decay", "dynamic_segment"),
}
"""Options that have an effect only with another one."""


@dataclass(frozen=True)
class ScoreOptions(shared.WorkspaceOptions, shared.DeviceOptions, shared.OverwriteOptions):
    """Compute the log-probability and perplexity of text under a neural or n-gram language model.

    A translation model takes two files, the source and its translation, and scores the translation given the source.

    Each line of the output has the line's log-probability to base 10 and to base e, its number of tokens, and how many
    of them are unknown; the end of the line counts as a token. The summary has the perplexity with and without
    unknown tokens, and bits per character and per byte. These refer to the text that the tokens reproduce, and compare
    models with different tokens if both reproduce the same text and know its words. If normalization changed the
    text, or more than 5 % of the tokens are unknown, a warning is printed and the figures over the raw text are added.

    A model of streams reads the lines as one text, a model of lines each line independently. Results do not depend on
    how many lines are processed at once.

    The model can adapt to the text it has scored (--dynamic), use a cache of recent tokens (--cache), and be
    interpolated with models whose tokens match by spelling (--interpolate). Weights that are not given are fitted on
    held-out text (--tune).
    """

    files: list[Path] = argument(
        (STDIN,),
        help="Raw text, one sentence per line; - is standard input. Source and target for a translation model.",
    )
    data: Path | None = option(
        None, help="Score encoded data instead of text.", panel="Data", shown_default="WORK/data with --split"
    )
    split: str | None = option(None, help="Split of the encoded data.", panel="Data", shown_default="test with --data")
    tune: Path | None = option(
        None, help="Held-out text to fit the interpolation weights and the cache flatness on.", panel="Data"
    )
    model: Path | None = option(None, help="Model directory.", panel="Model", shown_default="WORK/model")
    checkpoint: str = option("best", help="Weights to load.", panel="Model", choices=CHECKPOINTS)
    interpolate: list[str] = option(
        (), help="Model to interpolate with, and its weight if known; repeatable.", panel="Interpolation",
        metavar="OTHER[:WEIGHT]",
    )  # fmt: skip
    cache: bool = option(
        False, help="Add a neural cache of recent tokens, weighted by the similarity of hidden states.",
        panel="Interpolation",
    )  # fmt: skip
    cache_size: int | None = option(
        None, help="Tokens in the cache.", panel="Interpolation", unit="tokens", minimum=1,
        shown_default=str(CACHE_SIZE),
    )  # fmt: skip
    cache_weight: float | None = option(
        None, help="Interpolation weight of the cache.", panel="Interpolation", minimum=0, maximum=1,
        shown_default="fitted on --tune",
    )  # fmt: skip
    cache_flatness: float | None = option(
        None, help="Flatness of the neural cache (theta); 0 ignores the hidden states.", panel="Interpolation",
        minimum=0, shown_default="fitted on --tune",
    )  # fmt: skip
    dynamic: bool = option(
        False, help="Update the weights of a neural --model on each segment after scoring it.",
        panel="Dynamic evaluation",
    )  # fmt: skip
    dynamic_method: str | None = option(
        None, help="Update rule: gradients scaled per weight (rms) or not (sgd).", panel="Dynamic evaluation",
        choices=kinds.DYNAMIC_METHODS, shown_default="rms",
    )  # fmt: skip
    dynamic_rate: float | None = option(
        None, help="Learning rate.", panel="Dynamic evaluation", minimum=0,
        shown_default=", ".join(f"{rate:g} ({method})" for method, rate in DYNAMIC_RATE.items()),
    )  # fmt: skip
    dynamic_decay: float | None = option(
        None, help="Decay toward the trained weights per update.", panel="Dynamic evaluation", minimum=0, maximum=1,
        shown_default=f"{DYNAMIC_DECAY:g}",
    )  # fmt: skip
    dynamic_segment: int | None = option(
        None, help="Tokens per update.", panel="Dynamic evaluation", unit="tokens", minimum=1,
        shown_default=str(DYNAMIC_SEGMENT),
    )  # fmt: skip
    tokens: bool = option(False, help="Also write the log-probability of each token.", panel="Output")
    summary: bool = option(False, help="Write only the summary of the whole text.", panel="Output")
    json: bool = option(False, help="Write one JSON object per line, then one with the summary.", panel="Output")
    output: Path = option(STDIN, help="File to write; - is standard output.", panel="Output")

    @property
    def folder(self) -> Path:
        """The model directory."""
        return self.model or Workspace(self.work).model

    @property
    def aligned(self) -> bool:
        """Whether encoded data is scored instead of text."""
        return self.data is not None or self.split is not None


@dataclass(frozen=True)
class MixtureWeights:
    """The models to interpolate and their known weights.

    Attributes:
        others: Directories of the models besides the main one.
        given: Weights of the main model, of each other, and of the cache if there is one; None if to be fitted.
    """

    others: tuple[Path, ...]
    given: tuple[float | None, ...]


def check(options: ScoreOptions) -> MixtureWeights:
    """Reject incompatible options before any file is opened, and parse the weights.

    Raises:
        UsageError: Options are incompatible, or a weight is out of range.
    """
    for name, dependents in DEPENDENT_OPTIONS.items():
        unused = [f"--{option_name(dependent)}" for dependent in dependents if getattr(options, dependent) is not None]
        if unused and not getattr(options, name):
            verb = "has" if len(unused) == 1 else "have"
            raise UsageError(
                f"{' and '.join(unused)} {verb} no effect without --{name}", hint=f"add --{name}", option=unused[0]
            )
    if options.aligned and options.files != [STDIN]:
        raise UsageError(
            "text files cannot be combined with --data or --split", hint="leave out one of them", option="--data"
        )
    if options.tokens and options.summary:
        raise UsageError("--tokens and --summary exclude each other", option="--tokens")
    if [*options.files, options.tune].count(STDIN) > 1 and not options.aligned:
        raise UsageError("standard input is given twice", "it can be read only once")
    return _parse_weights(options)


def _parse_weights(options: ScoreOptions) -> MixtureWeights:
    pairs = [shared.parse_weighted_model(text, "--interpolate") for text in options.interpolate]
    given = [weight for _, weight in pairs] + ([options.cache_weight] if options.cache else [])
    total = math.fsum(weight for weight in given if weight is not None)
    if total > 1 + 1e-9:
        shown = " + ".join(f"{weight:g}" for weight in given if weight is not None)
        raise UsageError(
            f"the weights sum to more than 1: {shown}",
            f"{options.folder} gets the remainder",
            option="--interpolate",
        )
    if None in given and total > 1 - 1e-9:
        raise UsageError(
            "the given weights sum to 1 and leave nothing for the weights to be fitted", option="--interpolate"
        )
    main = None if None in given else max(0.0, 1 - total)
    return MixtureWeights(tuple(path for path, _ in pairs), (main, *given))


def check_model(options: ScoreOptions, weights: MixtureWeights, neural: bool) -> Sequence[float]:
    """Check the options against the kind of model, and the unknown weights against --tune.

    Args:
        options: The options.
        weights: The weights that `check` returned.
        neural: Whether the main model is neural.

    Returns:
        Cache flatnesses to compute: the given one, or all candidates of --tune; empty without a cache.

    Raises:
        UsageError: An option needs a neural model; a weight is unknown and there is no text to fit it on; or there is
            nothing to fit.
    """
    if not neural and options.dynamic:
        raise UsageError(
            f"--dynamic needs a neural model, and {options.folder} is an n-gram model, which has no gradient",
            path=options.folder,
            option="--dynamic",
        )
    if not neural and options.cache_flatness is not None:
        raise UsageError(
            f"--cache-flatness needs a neural model, and {options.folder} is an n-gram model",
            "an n-gram model has no hidden states to compare",
            hint="leave it out: the cache of an n-gram model uses relative frequencies",
            path=options.folder,
            option="--cache-flatness",
        )
    candidates = (0.0,) if not neural else FLATNESSES if options.cache_flatness is None else (options.cache_flatness,)
    named = [f"the weight of {path}" for path in weights.others] + (
        ["the weight of the cache"] if options.cache else []
    )
    missing = [name for name, weight in zip(named, weights.given[1:], strict=True) if weight is None]
    if options.cache and len(candidates) > 1:
        missing.append("the flatness of the cache")
    if missing and options.tune is None:
        raise UsageError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            hint="give the values, or --tune FILE to fit them on held-out text such as the validation split",
            option="--tune",
        )
    if options.tune is not None and not missing:
        raise UsageError("--tune has nothing to fit", "all weights are given", option="--tune")
    return candidates if options.cache else ()


def check_translation(options: ScoreOptions) -> None:
    """Check the options against a translation model.

    Raises:
        UsageError: An option needs a language model, or there are not two files.
    """
    for name in ("cache", "dynamic", "interpolate", "tune"):
        if getattr(options, name):
            raise UsageError(
                f"--{name} needs a language model, and {options.folder} is a translation model",
                path=options.folder,
                option=f"--{name}",
            )
    if options.aligned:
        raise UsageError(
            f"--data and --split need a language model, and {options.folder} is a translation model",
            hint="give the raw text of both sides: `rnnkit score SOURCE TARGET`",
            path=options.folder,
            option="--data",
        )
    if len(options.files) != 2:
        count = "1 file is" if len(options.files) == 1 else f"{len(options.files)} files are"
        raise UsageError(
            f"{options.folder} is a translation model: it scores a target file given its source",
            f"{count} given, 2 are needed",
            hint="`rnnkit score SOURCE TARGET`, with a translation on each line",
            path=options.folder,
        )


def dynamic_settings(options: ScoreOptions) -> DynamicSettings:
    """Return the settings of dynamic evaluation, the defaults included."""
    from rnnkit.evaluation.lm_adaptation import DynamicSettings

    method = cast(kinds.DynamicMethod, options.dynamic_method or "rms")  # the value is one of the declared choices
    rate, decay = options.dynamic_rate, options.dynamic_decay
    return DynamicSettings(
        method=method,
        rate=DYNAMIC_RATE[method] if rate is None else rate,
        decay=DYNAMIC_DECAY if decay is None else decay,
        segment=options.dynamic_segment or DYNAMIC_SEGMENT,
    )
