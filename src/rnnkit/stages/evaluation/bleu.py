"""`rnnkit bleu`: BLEU, chrF and TER by sacreBLEU, with signature and significance test, and textbook BLEU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import DataError, UsageError
from rnnkit.evaluation.segments import (
    Segments,
    check_line_counts,
    check_stdin_used_once,
    prompt_on_terminal,
    read_nonempty_lines,
    read_segments,
    source_name,
    warn_about_lengths,
)
from rnnkit.evaluation.translation_metrics import (
    METRICS,
    SMOOTHING,
    TOKENIZERS,
    BleuSettings,
    ChrfSettings,
    MetricScore,
    MetricSettings,
    TerSettings,
    corpus_score,
    make_tokenizer,
    sentence_scores,
)
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import STDIN, argument, option, option_name

if TYPE_CHECKING:
    from rnnkit.evaluation.bootstrap import PairedComparison

EXAMPLE = """\
rnnkit decode < test.de | rnnkit bleu test.en
rnnkit bleu test.en --hypotheses test.hyp --metric bleu --metric chrf --width 2
rnnkit bleu test.en --hypotheses test.hyp --baseline older.hyp
rnnkit bleu test.en --hypotheses test.hyp --method textbook --max-n 2"""

TOKENIZED_LINES = 100
"""Number of hypotheses ending in a separate full stop from which on they probably were not detokenized."""

WIDTH = {"sacrebleu": 1, "textbook": 4}
MAX_N = 4


@dataclass(frozen=True)
class BleuOptions:
    """Score hypotheses against references: BLEU, chrF and TER as the `sacrebleu` command computes them.

    Lines are compared in order; the hypotheses should be detokenized text. The signature of a score lists everything
    that affects it: publish both together.
    """

    references: list[Path] = argument(
        help="Reference file, one sentence per line; several files give several references per line.",
        metavar="REFERENCE",
    )
    hypotheses: Path = option(STDIN, help="Hypotheses, one per line; - is standard input.", panel="Data")
    baseline: Path | None = option(
        None, help="Hypotheses of a baseline, to test the difference by paired bootstrap resampling.", panel="Data"
    )
    method: str = option(
        "sacrebleu",
        help="sacrebleu, or textbook: exp(min(0, 1 - len_label/len_pred)) * prod_n p_n^(1/2^n), averaged over lines.",
        choices=tuple(WIDTH),
        panel="Score",
        variable="BLEU_METHOD",
    )
    metric: list[str] = option(("bleu",), help="Metric; repeatable.", choices=METRICS, panel="Score")
    sentence: bool = option(False, help="Score each line separately, in order.", panel="Score")
    max_n: int | None = option(
        None,
        help="Maximum n-gram order of textbook BLEU.",
        unit="tokens",
        minimum=1,
        shown_default=str(MAX_N),
        panel="Score",
    )
    tokenize: str | None = option(
        None,
        help="Tokenizer for BLEU.",
        choices=TOKENIZERS,
        shown_default=f"{BleuSettings.tokenize}; textbook: none, tokens separated by white space",
        panel="Score",
    )
    lowercase: bool = option(
        BleuSettings.lowercase, help="Ignore case in BLEU.", panel="Score", variable="BLEU_LOWERCASE"
    )
    smooth_method: str = option(
        BleuSettings.smooth_method, help="Smoothing of n-gram orders without a match.", choices=SMOOTHING, panel="Score"
    )
    smooth_value: float | None = option(
        BleuSettings.smooth_value,
        help="Smoothing parameter of floor and add-k.",
        minimum=0,
        shown_default="floor 0.1, add-k 1",
        panel="Score",
    )
    chrf_char_order: int = option(
        ChrfSettings.char_order, help="Maximum character n-gram order.", unit="characters", minimum=1, panel="chrF"
    )
    chrf_word_order: int = option(
        ChrfSettings.word_order, help="Maximum word n-gram order; 2 is chrF++.", unit="words", minimum=0, panel="chrF"
    )
    chrf_beta: int = option(ChrfSettings.beta, help="Weight of recall relative to precision.", minimum=0, panel="chrF")
    chrf_whitespace: bool = option(ChrfSettings.whitespace, help="Include spaces in character n-grams.", panel="chrF")
    chrf_lowercase: bool = option(ChrfSettings.lowercase, help="Ignore case in chrF.", panel="chrF")
    chrf_eps_smoothing: bool = option(
        ChrfSettings.eps_smoothing, help="Epsilon smoothing as in chrF++.py, NLTK and Moses.", panel="chrF"
    )
    ter_case_sensitive: bool = option(TerSettings.case_sensitive, help="Case-sensitive TER.", panel="TER")
    ter_asian_support: bool = option(
        TerSettings.asian_support, help="Tokenize Asian characters; with the two options below.", panel="TER"
    )
    ter_no_punct: bool = option(TerSettings.no_punct, help="Remove punctuation.", panel="TER")
    ter_normalized: bool = option(TerSettings.normalized, help="Tokenize punctuation first.", panel="TER")
    bootstrap_samples: int = option(
        1000, help="Bootstrap resamples of the significance test.", minimum=1, panel="Significance"
    )
    seed: int = option(12345, help="Random seed of the resamples.", minimum=0, panel="Significance")
    width: int | None = option(
        None,
        help="Decimal places.",
        minimum=0,
        shown_default=f"{WIDTH['sacrebleu']}; textbook: {WIDTH['textbook']}",
        panel="Output",
    )


@dataclass(frozen=True)
class BleuResult:
    """Scores, ready to print.

    Attributes:
        scores: One per metric, or one per line with `--sentence`.
        comparisons: With a baseline, one per metric, instead of the scores.
        systems: Names of the baseline and the system.
        sentence: Whether the scores are of single lines.
        width: Decimal places.
    """

    scores: tuple[MetricScore, ...]
    comparisons: tuple[PairedComparison, ...]
    systems: tuple[str, str]
    sentence: bool
    width: int

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form: for each score the line that the `sacrebleu` command prints."""
        if self.comparisons:
            return tuple(line for comparison in self.comparisons for line in self._table(comparison))
        if self.sentence:
            return tuple(score.line(self.width) for score in self.scores)
        widest = max(len(score.label()) for score in self.scores)
        return tuple(" " * (widest - len(score.label())) + score.line(self.width) for score in self.scores)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The scores alone, one per line; with a baseline, those of the system."""
        if self.comparisons:
            return tuple(f"{comparison.system.value:.{self.width}f}" for comparison in self.comparisons)
        return tuple(score.number(self.width) for score in self.scores)

    @property
    def brief(self) -> tuple[str, ...]:
        """Printed form with `--quiet`: the scores; with a baseline, tab-separated from its score and the p-value."""
        if not self.comparisons:
            return self.numbers
        return tuple(
            f"{number}\tbaseline {one.baseline.value:.{self.width}f}\t{_p_value(one)}"
            for number, one in zip(self.numbers, self.comparisons, strict=True)
        )

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {
            "scores": [score.as_dict(self.width) for score in self.scores],
            "comparisons": [self._comparison(comparison) for comparison in self.comparisons],
        }

    def _table(self, comparison: PairedComparison) -> Iterator[str]:
        """Yield signature, baseline and system; a star marks a difference that is significant at 0.05."""
        names = [f"baseline {self.systems[0]}", f"system {self.systems[1]}"]
        figures = [comparison.baseline.text(self.width), comparison.system.text(self.width)]
        left, right = max(map(len, names)), max(map(len, figures))
        yield f"{comparison.name}|{comparison.signature}"
        yield f"  {names[0]:<{left}}  {figures[0]:>{right}}"
        yield f"  {names[1]:<{left}}  {figures[1]:>{right}}  {_p_value(comparison)}"

    def _comparison(self, comparison: PairedComparison) -> JsonObject:
        return {
            "name": comparison.name,
            "signature": comparison.signature,
            "baseline": {"system": self.systems[0], **comparison.baseline.as_dict(self.width)},
            "system": {"system": self.systems[1], **comparison.system.as_dict(self.width)},
            "p_value": comparison.p_value,
        }


def run(options: BleuOptions, listen: Listener = null_listener) -> BleuResult:
    """Read the files and score them.

    Raises:
        UsageError: Options cannot be combined.
        DataError: A file is missing, empty or not text, or the line counts differ.
        ConfigError: The tokenizer needs a package that is not installed.
    """
    _check(options)
    _explain_missing(options)
    prompt_on_terminal([options.hypotheses], listen)
    segments = read_segments(options.references, options.hypotheses)
    warn_about_lengths(segments.hypotheses, segments.answers, listen)
    width = WIDTH[options.method] if options.width is None else options.width
    scores: list[MetricScore] = []
    comparisons: list[PairedComparison] = []
    if options.method == "textbook":
        scores = _textbook(options, segments)
    elif options.baseline is not None:
        comparisons = _compare(options, segments, options.baseline)
    else:
        _warn_tokenized(options, segments, listen)
        for settings in chosen_settings(options):
            if options.sentence:
                scores += sentence_scores(segments.hypotheses, segments.references, settings)
            else:
                scores.append(corpus_score(segments.hypotheses, segments.references, settings))
    cautions = [text for score in scores for text in score.cautions]
    cautions += [text for comparison in comparisons for text in comparison.cautions]
    for text in cautions:
        listen(WarningEvent(text))
    systems = (source_name(options.baseline) if options.baseline else "", source_name(options.hypotheses))
    return BleuResult(tuple(scores), tuple(comparisons), systems, options.sentence, width)


def _p_value(comparison: PairedComparison) -> str:
    """Format the p-value, with a star if the difference is significant at 0.05."""
    return f"p = {comparison.p_value:.4f}{' *' if comparison.p_value < 0.05 else ''}"


def chosen_settings(options: BleuOptions) -> list[MetricSettings]:
    """Return the settings of the requested metrics, in sacreBLEU's order."""
    all_settings: dict[str, MetricSettings] = {
        "bleu": BleuSettings(
            tokenize=options.tokenize or BleuSettings.tokenize,
            lowercase=options.lowercase,
            smooth_method=options.smooth_method,
            smooth_value=options.smooth_value,
        ),
        "chrf": ChrfSettings(
            char_order=options.chrf_char_order,
            word_order=options.chrf_word_order,
            beta=options.chrf_beta,
            whitespace=options.chrf_whitespace,
            lowercase=options.chrf_lowercase,
            eps_smoothing=options.chrf_eps_smoothing,
        ),
        "ter": TerSettings(
            normalized=options.ter_normalized,
            no_punct=options.ter_no_punct,
            asian_support=options.ter_asian_support,
            case_sensitive=options.ter_case_sensitive,
        ),
    }
    return [settings for name, settings in all_settings.items() if name in options.metric]


def _textbook(options: BleuOptions, segments: Segments) -> list[MetricScore]:
    from rnnkit.evaluation.translation_metrics import textbook_bleu

    name = options.tokenize or "none"
    max_n = options.max_n or MAX_N
    tokenizer = make_tokenizer(name)

    def tokens(line: str) -> list[str]:
        return str(tokenizer(line.lower() if options.lowercase else line)).split()

    values = [
        textbook_bleu(tokens(hypothesis), tokens(reference), max_n)
        for hypothesis, reference in zip(segments.hypotheses, segments.references[0], strict=True)
    ]
    signature = f"k:{max_n}|case:{'lc' if options.lowercase else 'mixed'}|tok:{name}"
    if options.sentence:
        return [MetricScore("textbook BLEU", value, signature) for value in values]
    mean = sum(values) / len(values)
    return [MetricScore("textbook BLEU", mean, f"{signature}|mean:lines", f"({len(values)} lines)")]


def _compare(options: BleuOptions, segments: Segments, baseline: Path) -> list[PairedComparison]:
    from rnnkit.evaluation.bootstrap import paired_bootstrap

    baseline_lines = read_nonempty_lines(baseline)
    check_line_counts(baseline, len(baseline_lines), options.references[0], len(segments.references[0]))
    return [
        paired_bootstrap(
            segments.hypotheses, baseline_lines, segments.references, settings, options.bootstrap_samples, options.seed
        )
        for settings in chosen_settings(options)
    ]


def _warn_tokenized(options: BleuOptions, segments: Segments, listen: Listener) -> None:
    """Warn, as sacreBLEU does, of hypotheses that look tokenized: their score is not comparable."""
    separate = sum(line.endswith(" .") for line in segments.hypotheses)
    if "bleu" in options.metric and separate >= TOKENIZED_LINES:
        listen(
            WarningEvent(
                f"{separate} hypotheses end in a separate full stop; scores are defined for detokenized text "
                "(`rnnkit detokenize`)"
            )
        )


def _check(options: BleuOptions) -> None:
    """Check that the options can be combined.

    Raises:
        UsageError: They cannot.
    """
    defaults = BleuOptions(references=[])
    changed = {name for name in vars(options) if getattr(options, name) != getattr(defaults, name)}
    if options.method == "textbook":
        shared = {"references", "hypotheses", "method", "sentence", "max_n", "tokenize", "lowercase", "width", "seed"}
        _refuse(changed - shared, "--method textbook")
        if len(options.references) > 1:
            raise UsageError(
                "--method textbook needs a single reference file",
                f"{len(options.references)} are given",
                option="--method",
            )
    else:
        _refuse(changed & {"max_n"}, "--method sacrebleu", hint="add --method textbook")
    if options.sentence:
        _refuse(changed & {"baseline"}, "--sentence")
        if len(set(options.metric)) > 1:
            raise UsageError(
                "--sentence needs a single metric", f"given: {', '.join(options.metric)}", option="--sentence"
            )
    if options.smooth_method not in ("floor", "add-k"):
        _refuse(changed & {"smooth_value"}, f"--smooth-method {options.smooth_method}")
    if options.baseline is not None:
        check_stdin_used_once([*options.references, options.hypotheses, options.baseline])


def _refuse(names: set[str], other: str, hint: str | None = None) -> None:
    if names:
        listed = ", ".join(f"--{option_name(name)}" for name in sorted(names))
        first = f"--{option_name(min(names))}"
        raise UsageError(f"{listed} cannot be combined with {other}", hint=hint, option=first)


def _explain_missing(options: BleuOptions) -> None:
    """Explain `--metric bleu chrf`, the form of sacreBLEU's command: here `chrf` is taken for a reference."""
    for path in options.references:
        if str(path) in METRICS and not path.exists():
            raise DataError(
                f"there is no reference file {path}", hint=f"for a second metric, add --metric {path}", path=path
            )
