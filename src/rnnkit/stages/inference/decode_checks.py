"""Checks of the options of `decode`: which suit a kind of model, and which can be combined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rnnkit.errors import FormatError, UsageError
from rnnkit.options.declare import STDIN, option_name
from rnnkit.stages.inference.decode_options import (
    ATTENTION_OPTIONS,
    DIVERSITY_OPTIONS,
    GENERATION_BEAM,
    INFILLING_OPTIONS,
    LABEL_OPTIONS,
    LEFT_TO_RIGHT_OPTIONS,
    SAMPLING_OPTIONS,
    SEARCH_OPTIONS,
    TRANSLATION_BEAM,
    TRANSLATION_OPTIONS,
    DecodeOptions,
    explicitly_set,
)
from rnnkit.text.masked_lines import check_gap

_LABELS = (LABEL_OPTIONS, "taggers and text classifiers")
_NOT_LABELS = (
    (tuple(name for name in TRANSLATION_OPTIONS if name != "attention"), "translation models"),
    (INFILLING_OPTIONS, "masked language models"),
    (("prompt",), "language models"),
    ((*SAMPLING_OPTIONS, *SEARCH_OPTIONS, "allow_unknown"), "models that generate text"),
)
INCOMPATIBLE_OPTIONS: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "sequence-to-sequence": ((("prompt",), "language models"), (INFILLING_OPTIONS, "masked language models"), _LABELS),
    "language-model": (
        (TRANSLATION_OPTIONS, "translation models"), (INFILLING_OPTIONS, "masked language models"), _LABELS,
    ),
    "cloze": (
        (TRANSLATION_OPTIONS, "translation models"),
        (("prompt",), "language models"),
        ((*SAMPLING_OPTIONS, *SEARCH_OPTIONS), "models that generate whole lines"),
        _LABELS,
    ),
    "tagging": (*_NOT_LABELS, (("threshold", "attention"), "text classifiers")),
    "classification": (*_NOT_LABELS, (("raw",), "taggers")),
}  # fmt: skip
"""For each task, options that its models do not have, and the models that do."""

ATTENTION_SUFFIXES = (".json", ".png", ".svg", ".pdf")
"""File types of attention maps."""

MODEL_KIND_LABELS = {
    "sequence-to-sequence": "is a translation model",
    "language-model": "is a language model",
    "cloze": "is a masked language model",
    "tagging": "is a tagger",
    "classification": "is a text classifier",
}
LABELLING = ("tagging", "classification")


def check(options: DecodeOptions, task: str) -> None:
    """Check the options against the kind of model and against each other.

    Raises:
        UsageError: An option does not suit the model, is out of range, or excludes another.
        FormatError: The kind of model is unknown.
    """
    if task not in INCOMPATIBLE_OPTIONS:
        raise FormatError(
            f"{options.folder} is a model for {task!r}, which this version of rnnkit does not support",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
            path=options.folder,
        )
    for names, models in INCOMPATIBLE_OPTIONS[task]:
        if unsuitable := explicitly_set(options, names):
            verb = "needs" if len(unsuitable) == 1 else "need"
            raise UsageError(
                f"{' and '.join(unsuitable)} {verb} {models}, and {options.folder} {MODEL_KIND_LABELS[task]}",
                path=options.folder,
                option=unsuitable[0],
            )
    if task in ("language-model", "cloze") and len(options.model) > 1:
        raise UsageError(
            "an ensemble needs translation models, taggers or text classifiers",
            f"{options.folder} {MODEL_KIND_LABELS[task]}",
            path=options.folder,
            option="--model",
        )
    _check_output(options)
    if task == "cloze":
        if not options.fill:
            raise UsageError(
                f"{options.folder} is a masked language model, for infilling",
                hint="add --fill",
                path=options.folder,
                option="--fill",
            )
        check_gap(options.gap)
        return
    if task in LABELLING:
        return
    beam = TRANSLATION_BEAM if task == "sequence-to-sequence" else GENERATION_BEAM
    _check_sampling(options)
    _check_search(options, options.beam or beam)
    if not options.is_sampling:
        hint = f"use --beam {options.nbest}, or --sample for random outputs"
        _check_nbest(options, options.beam or beam, hint)


def check_attention(options: DecodeOptions, has_attention: bool) -> None:
    """Check the options against a model's attention. Raises UsageError if an option needs attention that it lacks."""
    if (unsuitable := explicitly_set(options, ATTENTION_OPTIONS)) and not has_attention:
        verb = "needs" if len(unsuitable) == 1 else "need"
        raise UsageError(
            f"{' and '.join(unsuitable)} {verb} attention, and {options.folder} has none",
            path=options.folder,
            option=unsuitable[0],
        )


def check_directions(options: DecodeOptions, left_to_right: Sequence[Path], right_to_left: Sequence[Path]) -> None:
    """Check the options against the directions in which the models generate.

    Args:
        options: The options.
        left_to_right: Models that generate from left to right.
        right_to_left: Models that generate from right to left.

    Raises:
        UsageError: An option needs models of one direction.
    """
    if not right_to_left:
        return
    if unsuitable := explicitly_set(options, LEFT_TO_RIGHT_OPTIONS):
        verb = "needs" if len(unsuitable) == 1 else "need"
        raise UsageError(
            f"{' and '.join(unsuitable)} {verb} models that generate from left to right",
            f"{right_to_left[0]} generates from right to left (`rnnkit train --right-to-left`)",
            path=right_to_left[0],
            option=unsuitable[0],
        )
    one_direction = (*SAMPLING_OPTIONS, "exhaustive", "coverage_penalty")
    if left_to_right and (unsuitable := explicitly_set(options, one_direction)):
        verb = "needs" if len(unsuitable) == 1 else "need"
        raise UsageError(
            f"{' and '.join(unsuitable)} {verb} models of one direction",
            f"{left_to_right[0]} generates from left to right, {right_to_left[0]} from right to left; "
            "the hypotheses of both beams are rescored by all models",
            hint=f"leave out {unsuitable[0]}, or one of the models",
            path=right_to_left[0],
            option=unsuitable[0],
        )


def _check_output(options: DecodeOptions) -> None:
    if options.resume and options.output == STDIN:
        raise UsageError("--resume needs an output file", hint="name it with --output", option="--resume")
    if options.resume and options.overwrite:
        raise UsageError("--resume and --overwrite exclude each other", option="--resume")
    if options.resume and options.attention is not None:
        raise UsageError(
            "--resume cannot be combined with --attention", "attention maps are not saved when a run is interrupted",
            hint="leave out one of them", option="--resume",
        )  # fmt: skip
    if options.attention is not None and options.attention.suffix not in ATTENTION_SUFFIXES:
        raise UsageError(
            f"--attention {options.attention}: unknown file type",
            hint=f"use one of {', '.join(ATTENTION_SUFFIXES)}",
            path=options.attention,
            option="--attention",
        )
    if options.lexicon is not None and not options.replace_unknown:
        raise UsageError(
            f"--lexicon {options.lexicon} needs --replace-unknown",
            "it translates the source tokens that replace <unk>",
            option="--lexicon",
        )
    beside = [options.prefix_file, options.constraints, options.constraint_tokens, options.lexicon]
    if [*options.files, *beside].count(STDIN) > 1:
        raise UsageError("standard input is given twice", "it can be read only once")


def _check_search(options: DecodeOptions, beam: int) -> None:
    """Check the search options."""
    for name in ("length_penalty", "coverage_penalty", "diversity"):
        if (value := getattr(options, name)) is not None and not math.isfinite(value):
            raise UsageError(f"--{option_name(name)} must be finite, got {value}", option=f"--{option_name(name)}")
    if 0 < options.max_length < options.min_length:
        raise UsageError(
            f"--min-length ({options.min_length}) must not exceed --max-length ({options.max_length})",
            option="--min-length",
        )
    groups = options.beam_groups
    if beam % groups:
        raise UsageError(
            f"--beam ({beam}) must be divisible by --groups ({groups})", "all groups have the same size",
            hint=f"use --beam {beam - beam % groups or groups}", option="--groups",
        )  # fmt: skip
    if groups > 1 and (phrases := explicitly_set(options, ("constraints", "constraint_tokens"))):
        raise UsageError(
            f"{phrases[0]} cannot be combined with --groups",
            "both divide the beam",
            hint="leave out one of them",
            option=phrases[0],
        )
    if options.exhaustive and (others := explicitly_set(options, DIVERSITY_OPTIONS)):
        raise UsageError(
            f"--exhaustive cannot be combined with {' and '.join(others)}",
            "exhaustive search has no beam",
            hint="leave out one of them",
            option="--exhaustive",
        )


def _check_nbest(options: DecodeOptions, beam: int, hint: str | None) -> None:
    if options.nbest > beam and not options.exhaustive:
        raise UsageError(f"--nbest ({options.nbest}) must not exceed --beam ({beam})", hint=hint, option="--nbest")


def _check_sampling(options: DecodeOptions) -> None:
    temperature, top_k, top_p = options.temperature, options.top_k, options.top_p
    if temperature is not None and not 0 < temperature < math.inf:
        raise UsageError(
            f"--temperature must be positive, got {temperature}",
            "probabilities are raised to the power 1 / temperature",
            hint="without sampling options, search returns the most probable output",
            option="--temperature",
        )
    if top_k is not None and top_k < 1:
        raise UsageError(
            f"--top-k must be at least 1, got {top_k}", "it is the number of candidate tokens", option="--top-k"
        )
    if top_p is not None and not 0 < top_p <= 1:
        raise UsageError(
            f"--top-p must be above 0 and at most 1, got {top_p}",
            "it is the total probability of the candidate tokens",
            option="--top-p",
        )
    sampling = " and ".join(explicitly_set(options, SAMPLING_OPTIONS))
    ranking = explicitly_set(options, (*DIVERSITY_OPTIONS, "coverage_penalty"))
    if sampling and ranking:
        raise UsageError(
            f"{' and '.join(ranking)} cannot be combined with {sampling}",
            "these options rank the hypotheses of a beam, and samples are not ranked",
            hint="leave out one of them",
            option=ranking[0],
        )
    if sampling and options.exhaustive:
        raise UsageError(
            f"--exhaustive cannot be combined with {sampling}", hint="leave out one of them", option="--exhaustive"
        )
    if sampling and (options.beam or 1) > 1:
        raise UsageError(
            f"--beam {options.beam} cannot be combined with {sampling}",
            "a beam keeps the most probable hypotheses, which samples seldom are",
            hint=f"leave out one of them; --nbest {options.beam} draws {options.beam} samples",
            option="--beam",
        )
