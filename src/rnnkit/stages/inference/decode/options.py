"""What `decode` can be told, and which of it goes with which model."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.config import STDIN, argument, flag, option
from rnnkit.errors import FormatError, UsageError
from rnnkit.io.workspace import Workspace
from rnnkit.stages import shared_options as usual
from rnnkit.text.masked_lines import DEFAULT_GAP, check_gap

CHECKPOINTS = ("best", "last", "average")
TRANSLATION_BEAM, GENERATION_BEAM = 5, 1
"""Hypotheses kept, where nobody says otherwise."""

FUSION_WEIGHT = 0.2
"""Weight of a language model, where nobody says otherwise."""

DIVERSITY = 0.5
"""Strength of diversity between groups, where nobody says otherwise."""

SAMPLING_OPTIONS = ("sample", "temperature", "top_k", "top_p")
"""Options any of which makes a model draw its tokens."""

INFILLING_OPTIONS = ("fill", "gap")
ATTENTION_OPTIONS = ("coverage_penalty", "replace_unknown", "alignments", "attention")
"""Options that want a model with attention."""

LEFT_TO_RIGHT_OPTIONS = ("prefix_file", "fusion")
"""Options that want a model that begins at the beginning."""

TRANSLATION_OPTIONS = (
    "max_source_length", "fusion", "shortlist", "int8", "prefix_file", "constraints", "constraint_tokens",
    "skip_impossible", "lexicon", *ATTENTION_OPTIONS,
)  # fmt: skip
DIVERSITY_OPTIONS = ("groups", "diversity")
SEARCH_OPTIONS = ("beam", "alpha", "min_length", "max_length", "no_repeat_ngram", *DIVERSITY_OPTIONS, "exhaustive")


@dataclass(frozen=True)
class DecodeOptions:
    """Translate raw text, go on from prompts, or fill gaps, as the model was trained for.

    One line out for each line in, in order. The model directory brings its own tokenizer and vocabulary. A translation
    model translates; an empty line stays empty.

    A language model goes on from each line until it ends or --max-length is reached, from nothing where the line is
    empty, with the likeliest token or with a beam.

    Where --sample, --temperature, --top-k or --top-p is given, tokens are drawn by their probabilities. The same seed
    gives the same text, whatever is decoded beside it.

    A cloze model, with --fill, puts a token into each ___ of a line: the likeliest, given both its sides. Of several
    gaps the surest is filled first, then the line is read again. One gap is one token, so that `tokenize --type words`
    suits it best.
    """

    files: list[Path] = argument(
        (STDIN,), help="Raw text, one sentence, prompt or line with gaps a line; - is standard input."
    )
    work: Path = usual.work()
    output: Path = option(STDIN, help="File to write; - is standard output.", panel="Output")
    model: list[Path] = option(
        (), help="Model directory; several translate together, by the mean of their probabilities.", panel="Model",
        shown_default="WORK/model",
    )  # fmt: skip
    checkpoint: str = option("best", help="Which weights.", panel="Model", choices=CHECKPOINTS)
    shortlist: Path | None = option(
        None, help="Folder from `align-words --shortlist`: the output layer looks at the words on it alone.",
        panel="Model", shown_default="all words",
    )  # fmt: skip
    int8: bool = option(False, help="Weights of eight bits, on a CPU with AVX-512; float32 on others.", panel="Model")
    fusion: list[str] = option(
        (), help="Language model of the target that has a say, and its weight; repeat for several.", panel="Model",
        metavar="LM[:WEIGHT]", shown_default=f"none; weight {FUSION_WEIGHT}",
    )  # fmt: skip
    beam: int | None = option(
        None, help="Hypotheses kept a line; 1 is greedy.", panel="Search", minimum=1,
        shown_default=f"{TRANSLATION_BEAM}, or {GENERATION_BEAM} for a language model",
    )  # fmt: skip
    alpha: float = option(
        1.0, help="Length penalty: score = log p / L^alpha, L with the end symbol.", panel="Search", minimum=0
    )
    coverage_penalty: float = option(
        0.0, help="Weight of beta sum log min(attention to a source token, 1) in the score.", panel="Search", minimum=0
    )
    min_length: int = option(
        0, help="Least tokens of an output, end symbol counted.", panel="Search", unit="tokens", minimum=0
    )
    max_length: int = option(
        0, help="Most tokens of an output, end symbol counted; 0: twice the source and ten, but at most four times the "
        "longest target of training and 100; or 50 behind a prompt.",
        panel="Search", unit="tokens", minimum=0,
    )  # fmt: skip
    max_source_length: int = option(
        0, help="Most tokens of a source line that are read, end symbol counted; the rest is left out, with a warning. "
        "0: four times the longest source of training and 100.", panel="Search", unit="tokens", minimum=0,
    )  # fmt: skip
    no_repeat_ngram: int = option(
        0, help="No output has the same so many tokens in a row twice.", panel="Search", unit="tokens", minimum=0,
        shown_default="may repeat",
    )  # fmt: skip
    nbest: int = option(1, help="Outputs for each line, best first, one a line.", panel="Search", minimum=1)
    groups: int | None = option(
        None, help="Parts of the beam that keep clear of each other.", panel="Search", minimum=1,
        shown_default="1, or --beam with --diversity",
    )  # fmt: skip
    diversity: float | None = option(
        None, help="What a token costs for each group that says it at the same place.", panel="Search", unit="nats",
        minimum=0, shown_default=f"{DIVERSITY} with --groups",
    )  # fmt: skip
    allow_unknown: bool = option(False, help="Let the model say the unknown symbol.", panel="Search")
    exhaustive: bool = option(
        False, help="Look at every output there is; for tiny vocabularies, with --max-length.", panel="Search"
    )
    prefix_file: Path | None = option(
        None, help="How each line's output must begin; a line for each line, empty for anyhow.", panel="Demands"
    )
    constraints: Path | None = option(
        None, help="Phrases that each line's output must have, as whole words; a line each, phrases split by tabs.",
        panel="Demands",
    )  # fmt: skip
    constraint_tokens: Path | None = option(
        None, help="The same as tokens, as `tokenize` writes them, anywhere: split by spaces, sequences by tabs.",
        panel="Demands",
    )  # fmt: skip
    skip_impossible: bool = option(
        False, help="Leave out prefixes and constraints that the vocabulary cannot write, with a warning.",
        panel="Demands",
    )  # fmt: skip
    sample: bool = option(False, help="Draw tokens by their probabilities.", panel="Sampling")
    temperature: float | None = option(
        None, help="Sharpen (below 1) or flatten the probabilities that are drawn by.", panel="Sampling",
        shown_default="1",
    )  # fmt: skip
    top_k: int | None = option(
        None, help="Draw from the so many likeliest.", panel="Sampling", unit="tokens", shown_default="all"
    )
    top_p: float | None = option(
        None, help="Draw from the fewest likeliest whose probabilities reach this.", panel="Sampling",
        shown_default="1",
    )  # fmt: skip
    seed: int = option(1, help="Seed of what is drawn.", panel="Sampling", minimum=0)
    prompt: bool = option(True, help="Write the prompt before what follows it.", panel="Language models")
    fill: bool = option(False, help="Fill the gaps of each line.", panel="Cloze models")
    gap: str = option(DEFAULT_GAP, help="How a gap is written.", panel="Cloze models")
    replace_unknown: bool = option(
        False, help="Let the model say the unknown symbol, and write the source token that it looked at most.",
        panel="Attention",
    )  # fmt: skip
    lexicon: Path | None = option(
        None, help="File from `align-words --lexicon`: --replace-unknown writes that token's likeliest translation.",
        panel="Attention", shown_default="the token itself",
    )  # fmt: skip
    alignments: Path | None = option(
        None, help="File for links `source-target`, from 0, of the tokens of each output line.", panel="Attention"
    )
    attention: Path | None = option(
        None, help="File for attention maps: NAME.json, or NAME.png, then NAME-2.png and so on.", panel="Attention"
    )
    json: bool = option(False, help="One JSON object a line: texts, scores, tokens and so on.", panel="Output")
    batch_tokens: int = option(
        4096, help="Tokens a batch, padding counted.", panel="Optimisation", unit="tokens", minimum=1
    )
    device: str = usual.device(help="Where to decode.")
    threads: int = usual.threads()
    overwrite: bool = option(False, help="Replace the output file.", panel="Output")
    resume: bool = option(False, help="Go on with the output of a run that was interrupted.", panel="Output")

    @property
    def folder(self) -> Path:
        """The model directory, of several the first."""
        return self.folders[0]

    @property
    def folders(self) -> list[Path]:
        """The model directories."""
        return self.model or [Workspace(self.work).model]

    @property
    def beam_groups(self) -> int:
        """Parts of the beam."""
        if self.groups is not None:
            return self.groups
        return 1 if self.diversity is None else self.beam or TRANSLATION_BEAM

    @property
    def group_lines(self) -> int:
        """Lines written for each line read."""
        return 1 if self.json else self.nbest

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn."""
        return bool(explicitly_set(self, SAMPLING_OPTIONS))


def explicitly_set(options: DecodeOptions, names: Collection[str]) -> list[str]:
    """Those of the named options that are not as they would be without a word, as they are spelled."""
    defaults = DecodeOptions()
    return [f"--{flag(name)}" for name in names if getattr(options, name) != getattr(defaults, name)]


INCOMPATIBLE_OPTIONS: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "sequence-to-sequence": ((("prompt",), "language models"), (INFILLING_OPTIONS, "cloze models")),
    "language-model": ((TRANSLATION_OPTIONS, "models that translate"), (INFILLING_OPTIONS, "cloze models")),
    "cloze": (
        (TRANSLATION_OPTIONS, "models that translate"),
        (("prompt",), "language models"),
        ((*SAMPLING_OPTIONS, *SEARCH_OPTIONS), "models that say whole lines"),
    ),
}
"""For each task, options that its models know nothing of, and whose they are."""

ATTENTION_SUFFIXES = (".json", ".png", ".svg", ".pdf")
"""Endings of files for attention maps."""

MODEL_KIND_LABELS = {
    "sequence-to-sequence": "translates",
    "language-model": "is a language model",
    "cloze": "is a cloze model",
}


def check(options: DecodeOptions, task: str) -> None:
    """Refuse options that the model knows nothing of, are out of range, or exclude each other.

    Raises:
        UsageError: There is such an option.
        FormatError: Nobody knows what the model is for.
    """
    if task not in INCOMPATIBLE_OPTIONS:
        raise FormatError(
            f"{options.folder} is for {task!r}, which this rnnkit knows nothing of",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
        )
    for names, whose in INCOMPATIBLE_OPTIONS[task]:
        if strange := explicitly_set(options, names):
            raise UsageError(f"{' and '.join(strange)}: for {whose}, and {options.folder} {MODEL_KIND_LABELS[task]}")
    if task != "sequence-to-sequence" and len(options.model) > 1:
        raise UsageError("only models that translate work together", f"{options.folder} {MODEL_KIND_LABELS[task]}")
    _check_output(options)
    if task == "cloze":
        if not options.fill:
            raise UsageError(f"{options.folder} is a cloze model: it fills gaps", hint="add --fill")
        check_gap(options.gap)
        return
    beam = TRANSLATION_BEAM if task == "sequence-to-sequence" else GENERATION_BEAM
    _check_drawing(options)
    _check_search(options, options.beam or beam)
    if not options.draws:
        hint = f"--beam {options.nbest} keeps so many, --sample draws so many"
        _check_nbest(options, options.beam or beam, hint)


def check_attention(options: DecodeOptions, attends: bool) -> None:
    """Refuse what wants attention of a model that has none. Raises UsageError."""
    if (wanting := explicitly_set(options, ATTENTION_OPTIONS)) and not attends:
        verb = "wants" if len(wanting) == 1 else "want"
        raise UsageError(f"{' and '.join(wanting)} {verb} attention, and {options.folder} has none")


def check_directions(options: DecodeOptions, left_to_right: Sequence[Path], right_to_left: Sequence[Path]) -> None:
    """Refuse what models that say the target from its end cannot do, alone or beside others.

    Args:
        options: What was asked for.
        left_to_right: Models that say the target from its beginning.
        right_to_left: The others.

    Raises:
        UsageError: There is such an option.
    """
    if not right_to_left:
        return
    if strange := explicitly_set(options, LEFT_TO_RIGHT_OPTIONS):
        raise UsageError(
            f"{' and '.join(strange)}: for models that say the target from its beginning",
            f"{right_to_left[0]} says it from its end (`rnnkit train --right-to-left`)",
        )
    if left_to_right and (strange := explicitly_set(options, (*SAMPLING_OPTIONS, "exhaustive", "coverage_penalty"))):
        raise UsageError(
            f"{' and '.join(strange)}: for models of one direction",
            f"{left_to_right[0]} says the target from its beginning, {right_to_left[0]} from its end, "
            "and what the beams of both find is ranked",
            hint=f"leave out {strange[0]}, or one of the models",
        )


def _check_output(options: DecodeOptions) -> None:
    if options.resume and options.output == STDIN:
        raise UsageError("--resume goes on with a file", hint="name it with --output")
    if options.resume and options.overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if options.resume and options.attention is not None:
        raise UsageError(
            "--resume does not go with --attention", "maps are not kept where a run is interrupted",
            hint="leave out one of them",
        )  # fmt: skip
    if options.attention is not None and options.attention.suffix not in ATTENTION_SUFFIXES:
        raise UsageError(
            f"--attention {options.attention} is neither .json nor a picture",
            hint=f"endings: {', '.join(ATTENTION_SUFFIXES)}",
        )
    if options.lexicon is not None and not options.replace_unknown:
        raise UsageError(
            f"--lexicon {options.lexicon} needs --replace-unknown", "it translates what unknown words are replaced by"
        )
    beside = [options.prefix_file, options.constraints, options.constraint_tokens, options.lexicon]
    if [*options.files, *beside].count(STDIN) > 1:
        raise UsageError("standard input is asked for twice", "it can be read only once")


def _check_search(options: DecodeOptions, beam: int) -> None:
    """Options of the search that exclude each other."""
    for name in ("alpha", "coverage_penalty", "diversity"):
        if (value := getattr(options, name)) is not None and not math.isfinite(value):
            raise UsageError(f"--{flag(name)} wants a finite number, not {value}")
    if 0 < options.max_length < options.min_length:
        raise UsageError(f"--min-length {options.min_length} is more than --max-length {options.max_length}")
    groups = options.beam_groups
    if beam % groups:
        raise UsageError(
            f"--beam {beam} cannot be parted into --groups {groups}", "all groups have equally many places",
            hint=f"--beam {beam - beam % groups or groups} can",
        )  # fmt: skip
    if groups > 1 and (phrases := explicitly_set(options, ("constraints", "constraint_tokens"))):
        raise UsageError(f"{phrases[0]} and --groups both say how the beam is shared out", hint="leave out one of them")
    if options.exhaustive and (others := explicitly_set(options, DIVERSITY_OPTIONS)):
        raise UsageError(f"--exhaustive has no beam for {' and '.join(others)}", hint="leave out one of them")


def _check_nbest(options: DecodeOptions, beam: int, hint: str | None) -> None:
    if options.nbest > beam and not options.exhaustive:
        raise UsageError(f"--nbest {options.nbest} is more than --beam {beam} keeps", hint=hint)


def _check_drawing(options: DecodeOptions) -> None:
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
    drawing = " and ".join(explicitly_set(options, SAMPLING_OPTIONS))
    ranking = explicitly_set(options, (*DIVERSITY_OPTIONS, "coverage_penalty"))
    if drawing and ranking:
        raise UsageError(
            f"{' and '.join(ranking)} {'does' if len(ranking) == 1 else 'do'} not go with {drawing}",
            "it is about which outputs a beam keeps, and what is drawn is not kept by rank",
            hint="leave out one of them",
        )
    if drawing and options.exhaustive:
        raise UsageError(f"--exhaustive looks at every output, {drawing} draws a few", hint="leave out one of them")
    if drawing and (options.beam or 1) > 1:
        raise UsageError(
            f"--beam {options.beam} does not go with {drawing}",
            "a beam keeps the likeliest outputs, and what is drawn is seldom among them",
            hint=f"leave out one of them; --nbest {options.beam} draws so many",
        )
