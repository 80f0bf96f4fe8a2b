"""Options of `decode`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import RnnkitError
from rnnkit.io.manifest import Workspace
from rnnkit.options.declare import STDIN, argument, option, option_name
from rnnkit.stages import shared_options as shared
from rnnkit.text.masked_lines import DEFAULT_GAP

if TYPE_CHECKING:
    from rnnkit.decoding.sampling import SamplingOptions
    from rnnkit.decoding.stepper import SearchOptions

CHECKPOINTS = ("best", "last", "average")
TRANSLATION_BEAM, GENERATION_BEAM = 5, 1
"""Default beam sizes."""

FUSION_WEIGHT = 0.2
"""Default weight of a language model in shallow fusion."""

DIVERSITY = 0.5
"""Default diversity penalty of diverse beam search."""

SAMPLING_OPTIONS = ("sample", "temperature", "top_k", "top_p")
"""Options any of which selects sampling instead of search."""

INFILLING_OPTIONS = ("fill", "gap")
LABEL_OPTIONS = ("column", "threshold", "raw")
ATTENTION_OPTIONS = ("coverage_penalty", "replace_unknown", "alignments", "attention")
"""Options that need a model with attention."""

LEFT_TO_RIGHT_OPTIONS = ("prefix_file", "fusion")
"""Options that need a model that generates from left to right."""

TRANSLATION_OPTIONS = (
    "max_source_length", "fusion", "shortlist", "int8", "prefix_file", "constraints", "constraint_tokens",
    "skip_impossible", "lexicon", *ATTENTION_OPTIONS,
)  # fmt: skip
DIVERSITY_OPTIONS = ("groups", "diversity")
SEARCH_OPTIONS = (
    "beam",
    "length_penalty",
    "min_length",
    "max_length",
    "no_repeat_ngram",
    *DIVERSITY_OPTIONS,
    "exhaustive",
)


@dataclass(frozen=True)
class DecodeOptions(shared.WorkspaceOptions, shared.DeviceOptions, shared.OverwriteOptions):
    """Translate, generate, fill gaps, classify texts, or tag words, depending on the model.

    Each input line yields one output line, in order. The model directory includes the tokenizer and the vocabulary. A
    translation model translates; an empty line stays empty.

    A language model continues each line until EOS or --max-length, with greedy or beam search; an empty line has no
    prompt.

    --sample, --temperature, --top-k or --top-p selects sampling. The same seed gives the same text, independently of
    the other lines.

    A masked language model, with --fill, puts a token into each ___ of a line: the most probable one, given both sides.
    Of several gaps, the one with the most confident prediction is filled first, and the rest are predicted again. A gap
    is one token, which suits `tokenize --type words`.

    A text classifier writes the label of each line, or its labels separated by blanks. A tagger writes the tag of each
    word; words are separated by blanks, or cut from the text with --raw. With --nbest, each alternative is followed by
    its probability.
    """

    files: list[Path] = argument((STDIN,), help="Raw text: one sentence, prompt or text per line; - is standard input.")
    output: Path = option(STDIN, help="File to write; - is standard output.", panel="Output")
    model: list[Path] = option(
        (), help="Model directory; repeat for an ensemble.", panel="Model",
        shown_default="WORK/model",
    )  # fmt: skip
    checkpoint: str = option("best", help="Weights to load.", panel="Model", choices=CHECKPOINTS)
    shortlist: Path | None = option(
        None, help="Vocabulary shortlist from `align-words --shortlist` to restrict the output layer.",
        panel="Model", shown_default="all words",
    )  # fmt: skip
    int8: bool = option(
        False, help="Dynamic int8 quantization, on CPUs with AVX-512; float32 on others.", panel="Model"
    )
    fusion: list[str] = option(
        (), help="Target-side language model for shallow fusion, with its weight; repeatable.", panel="Model",
        metavar="LM[:WEIGHT]", shown_default=f"none; weight {FUSION_WEIGHT}",
    )  # fmt: skip
    beam: int | None = option(
        None, help="Beam size; 1 is greedy search.", panel="Search", minimum=1,
        shown_default=f"{TRANSLATION_BEAM}, or {GENERATION_BEAM} for a language model",
    )  # fmt: skip
    length_penalty: float = option(
        1.0, help="Length penalty alpha: score = log p / L^alpha, with L including EOS.", panel="Search", minimum=0,
        formerly="alpha",
    )  # fmt: skip
    coverage_penalty: float = option(
        0.0,
        help="Coverage penalty beta: adds beta sum log min(attention to a source token, 1).",
        panel="Search",
        minimum=0,
    )
    min_length: int = option(
        0, help="Minimum length of an output, including EOS.", panel="Search", unit="tokens", minimum=0
    )
    max_length: int = option(
        0, help="Maximum length of an output, including EOS; 0: 2 x source + 10, but at most 4 x the longest training "
        "target + 100; after a prompt, 50.",
        panel="Search", unit="tokens", minimum=0, variable="DECODE_MAX_LENGTH",
    )  # fmt: skip
    max_source_length: int = option(
        0, help="Maximum length of a source line, including EOS; longer lines are truncated with a warning. 0: 4 x the "
        "longest training source + 100.", panel="Search", unit="tokens", minimum=0,
    )  # fmt: skip
    no_repeat_ngram: int = option(
        0, help="Block repeated n-grams of this size; 0 allows all.", panel="Search", unit="tokens", minimum=0,
    )  # fmt: skip
    nbest: int = option(1, help="Outputs per input line, best first, each on a line.", panel="Search", minimum=1)
    groups: int | None = option(
        None, help="Number of groups (diverse beam search).", panel="Search", minimum=1,
        shown_default="1, or --beam with --diversity",
    )  # fmt: skip
    diversity: float | None = option(
        None, help="Diversity penalty (Hamming) of diverse beam search.", panel="Search", unit="nats",
        minimum=0, shown_default=f"{DIVERSITY} with --groups",
    )  # fmt: skip
    allow_unknown: bool = option(False, help="Allow <unk> in the output.", panel="Search")
    exhaustive: bool = option(
        False, help="Exhaustive search; for tiny vocabularies, with --max-length.", panel="Search"
    )
    prefix_file: Path | None = option(
        None, help="Target prefixes, one per line; an empty line means no constraint.", panel="Constraints"
    )
    constraints: Path | None = option(
        None, help="Lexical constraints: phrases that the output must contain as whole words; one line per input line, "
        "phrases separated by tabs.", panel="Constraints",
    )  # fmt: skip
    constraint_tokens: Path | None = option(
        None, help="Lexical constraints as tokens, as written by `tokenize`: separated by spaces, sequences by tabs.",
        panel="Constraints",
    )  # fmt: skip
    skip_impossible: bool = option(
        False, help="Skip prefixes and constraints that the vocabulary cannot represent, with a warning.",
        panel="Constraints",
    )  # fmt: skip
    sample: bool = option(False, help="Sample from the model distribution.", panel="Sampling")
    temperature: float | None = option(
        None, help="Softmax temperature for sampling; below 1 sharpens the distribution.", panel="Sampling",
        shown_default="1",
    )  # fmt: skip
    top_k: int | None = option(
        None, help="Sample from the k most probable tokens.", panel="Sampling", unit="tokens", shown_default="all"
    )
    top_p: float | None = option(
        None, help="Nucleus sampling: from the most probable tokens with this total probability.", panel="Sampling",
        shown_default="1",
    )  # fmt: skip
    seed: int = option(1, help="Random seed for sampling.", panel="Sampling", minimum=0)
    prompt: bool = option(True, help="Include the prompt in the output.", panel="Language models")
    fill: bool = option(False, help="Fill the gaps of each line.", panel="Masked language models")
    gap: str = option(DEFAULT_GAP, help="Text that marks a gap.", panel="Masked language models")
    column: str | None = option(
        None, help="Column of labels to write, of a model of several.", panel="Labels", shown_default="the first"
    )
    threshold: float | None = option(
        None, help="Minimum probability of a label; below it, a line has none.", panel="Labels", minimum=0, maximum=1,
        shown_default="that of the model with several labels, otherwise 0", variable="DECODE_THRESHOLD",
    )  # fmt: skip
    raw: bool = option(
        False, help="Cut raw text into words and punctuation, and write each with its tag: word/TAG.", panel="Labels"
    )
    replace_unknown: bool = option(
        False, help="Replace <unk> in the output by the source token with the highest attention.",
        panel="Attention",
    )  # fmt: skip
    lexicon: Path | None = option(
        None, help="Lexicon from `align-words --lexicon`: --replace-unknown writes its most probable translation.",
        panel="Attention", shown_default="copy the token",
    )  # fmt: skip
    alignments: Path | None = option(
        None, help="File for alignment links of each output line, `source-target` from 0.", panel="Attention"
    )
    attention: Path | None = option(
        None,
        help="File for attention maps: NAME.json, or NAME.png, then NAME-2.png and so on.",
        panel="Attention",
        variable="DECODE_ATTENTION",
    )
    json: bool = option(False, help="Write a JSON object per line: texts, scores, tokens.", panel="Output")
    batch_tokens: int = option(
        4096,
        help="Batch size in tokens, padding included.",
        panel="Optimization",
        unit="tokens",
        minimum=1,
        variable="DECODE_BATCH_TOKENS",
    )
    resume: bool = option(False, help="Resume an interrupted output file.", panel="Output")

    @property
    def folder(self) -> Path:
        """The model directory, or the first of several."""
        return self.folders[0]

    @property
    def folders(self) -> list[Path]:
        """The model directories."""
        return self.model or [Workspace(self.work).model]

    @property
    def beam_groups(self) -> int:
        """Number of groups of the beam."""
        if self.groups is not None:
            return self.groups
        return 1 if self.diversity is None else self.beam or TRANSLATION_BEAM

    @property
    def lines_per_input(self) -> int:
        """Output lines per input line."""
        return 1 if self.json else self.nbest

    @property
    def is_sampling(self) -> bool:
        """Whether tokens are sampled."""
        return bool(explicitly_set(self, SAMPLING_OPTIONS))


def explicitly_set(options: DecodeOptions, names: Collection[str]) -> list[str]:
    """Return the flags of those of the named options that differ from their defaults."""
    defaults = DecodeOptions()
    return [f"--{option_name(name)}" for name in names if getattr(options, name) != getattr(defaults, name)]


def search_options(options: DecodeOptions, default_beam: int) -> SearchOptions:
    """Return the options of beam search or exhaustive search."""
    from rnnkit.decoding.stepper import SearchOptions

    return SearchOptions(
        beam=options.beam or default_beam,
        alpha=options.length_penalty,
        max_length=options.max_length,
        nbest=options.nbest,
        allow_unknown=options.allow_unknown or options.replace_unknown,
        exhaustive=options.exhaustive,
        min_length=options.min_length,
        no_repeat_ngram=options.no_repeat_ngram,
        groups=options.beam_groups,
        diversity=DIVERSITY if options.diversity is None else options.diversity,
        coverage=options.coverage_penalty,
    )


def sampling_options(options: DecodeOptions) -> SamplingOptions | None:
    """Return the options of sampling; None for search."""
    from rnnkit.decoding.sampling import SamplingOptions

    if not options.is_sampling:
        return None
    return SamplingOptions(options.temperature or 1.0, options.top_k or 0, options.top_p or 1.0)


def input_lines(files: Sequence[Path]) -> int | None:
    """Return the number of input lines; None if it is unknown before they are read."""
    if not all(path.is_file() for path in files):
        return None
    with suppress(RnnkitError, OSError):  # the reader reports it
        from rnnkit.text.blocks import count_lines

        return sum(map(count_lines, files))
    return None


def lines_ahead(options: DecodeOptions, block_lines: int) -> int:
    """Return how many lines to read before decoding: a block, to sort into batches; from a terminal, one."""
    return 1 if options.files == [STDIN] and sys.stdin.isatty() else block_lines
