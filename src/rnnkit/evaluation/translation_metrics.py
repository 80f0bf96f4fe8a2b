"""BLEU, chrF and TER, computed by sacreBLEU's own classes, with the signature that makes a score comparable.

Post 2018, "A Call for Clarity in Reporting BLEU Scores", arXiv:1804.08771. Nothing is computed here: this file
chooses the metric, checks the counts (sacreBLEU's classes pair by `zip`, silently) and keeps the figures as plain
values. The metrics' private halves are not touched, except by `bootstrap.py`, which says why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rnnkit.errors import ConfigError, DataError

METRICS = ("bleu", "chrf", "ter")
TOKENIZERS = (
    "13a",
    "none",
    "char",
    "intl",
    "zh",
    "ja-mecab",
    "ko-mecab",
    "spm",
    "flores101",
    "flores200",
    "spBLEU-1K",
)
"""Names that sacreBLEU gives its tokenizers; written out because `--help` must not import it."""

SMOOTHING = ("exp", "floor", "add-k", "none")
"""Names that sacreBLEU gives its ways of smoothing a precision of zero."""


@dataclass(frozen=True)
class BleuSettings:
    """What changes a BLEU score; the defaults are those of the `sacrebleu` command.

    Attributes:
        tokenize: One of `TOKENIZERS`.
        lowercase: Whether case is ignored.
        smooth_method: One of `SMOOTHING`.
        smooth_value: Parameter of `floor` and `add-k`, or None for the method's own.
    """

    tokenize: str = "13a"
    lowercase: bool = False
    smooth_method: str = "exp"
    smooth_value: float | None = None


@dataclass(frozen=True)
class ChrfSettings:
    """What changes a chrF score.

    Attributes:
        char_order: Longest character n-gram.
        word_order: Longest word n-gram; 2 makes it chrF++.
        beta: Weight of recall against precision.
        whitespace: Whether spaces belong to the character n-grams.
        lowercase: Whether case is ignored.
        eps_smoothing: Smoothing by a small constant, as chrF++.py and NLTK do, instead of by effective order.
    """

    char_order: int = 6
    word_order: int = 0
    beta: int = 2
    whitespace: bool = False
    lowercase: bool = False
    eps_smoothing: bool = False


@dataclass(frozen=True)
class TerSettings:
    """What changes a TER score; the defaults behave like Tercom.

    Attributes:
        normalized: Whether punctuation is split off first.
        no_punct: Whether punctuation is removed.
        asian_support: Whether the two above know Asian characters.
        case_sensitive: Whether case counts.
    """

    normalized: bool = False
    no_punct: bool = False
    asian_support: bool = False
    case_sensitive: bool = False


MetricSettings = BleuSettings | ChrfSettings | TerSettings


@dataclass(frozen=True)
class MetricScore:
    """One figure and how it came about.

    Attributes:
        name: The metric's name, such as `BLEU` or `chrF2`.
        value: The figure, not rounded.
        signature: Everything that changes the figure, in one line.
        detail: What the metric adds behind the figure, such as the n-gram precisions.
        cautions: Why the figure may mislead.
    """

    name: str
    value: float
    signature: str
    detail: str = ""
    cautions: tuple[str, ...] = ()

    def number(self, width: int) -> str:
        """The figure alone, with so many decimals."""
        return f"{self.value:.{width}f}"

    def label(self) -> str:
        """Name and signature, as they stand before the equals sign."""
        return f"{self.name}|{self.signature}"

    def line(self, width: int) -> str:
        """The line that the `sacrebleu` command prints for this score."""
        return f"{self.label()} = {self.number(width)} {self.detail}".rstrip()

    def as_dict(self, width: int) -> dict[str, Any]:
        """The score for JSON, rounded as it is printed."""
        return {
            "name": self.name,
            "score": float(self.number(width)),
            "signature": self.signature,
            "detail": self.detail,
        }


def corpus_score(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings | None = None
) -> MetricScore:
    """Score a whole corpus.

    Args:
        hypotheses: One line a segment, detokenized.
        references: One or more sets of references, each as long as the hypotheses.
        settings: Which metric, and how; BLEU as the `sacrebleu` command computes it unless given.

    Raises:
        DataError: The counts differ, or there is nothing to score.
        ConfigError: The tokenizer needs what is not installed.
    """
    check_same_length(hypotheses, references)
    metric = make_metric(settings or BleuSettings(), references)
    return to_score(metric.corpus_score(hypotheses, None), metric)


def sentence_scores(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings | None = None
) -> list[MetricScore]:
    """Score each line by itself. BLEU leaves out n-gram orders longer than the line. Arguments as `corpus_score`."""
    check_same_length(hypotheses, references)
    metric = make_metric(settings or BleuSettings(), by_sentence=True)
    return [
        to_score(metric.sentence_score(hypothesis, answers), metric)
        for hypothesis, *answers in zip(hypotheses, *references, strict=True)
    ]


def make_metric(
    settings: MetricSettings, references: Sequence[Sequence[str]] | None = None, by_sentence: bool = False
) -> Any:
    """The object of sacreBLEU for these settings; references given here are counted once for all that follows.

    Raises:
        ConfigError: The tokenizer needs what is not installed.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    if isinstance(settings, ChrfSettings):
        return CHRF(**asdict(settings), references=references)
    if isinstance(settings, TerSettings):
        return TER(**asdict(settings), references=references)
    try:
        # `force` only silences sacreBLEU's own logging; the stage gives that warning as an event.
        return BLEU(**asdict(settings), effective_order=by_sentence, force=True, references=references)
    except (KeyError, ImportError, RuntimeError, OSError, SystemExit) as error:
        raise _tokenizer_error(settings.tokenize, error) from error


def make_tokenizer(name: str) -> Any:
    """The tokenizer of sacreBLEU that has this name: a function from a line to its tokens joined by spaces.

    Raises:
        ConfigError: It needs what is not installed.
    """
    from sacrebleu.metrics.bleu import BLEU

    try:
        return BLEU(tokenize=name).tokenizer
    except (KeyError, ImportError, RuntimeError, OSError, SystemExit) as error:
        raise _tokenizer_error(name, error) from error


def to_score(score: Any, metric: Any) -> MetricScore:
    """A score of sacreBLEU as plain values. TER and chrF have no details, as in the `sacrebleu` command."""
    detail = score.format(signature="").partition(" = ")[2].partition(" ")[2]
    return MetricScore(
        score.name, float(score.score), metric.get_signature().format(), detail, _cautions(score, metric)
    )


def _cautions(score: Any, metric: Any) -> tuple[str, ...]:
    """What to know of a BLEU of text too short to hold its longest n-grams: it is 0 even where all of it is right."""
    totals = getattr(score, "totals", None)
    if totals is None or metric.effective_order or 0 not in totals:
        return ()
    longest = totals.index(0)
    if not longest:
        return ()  # no token at all
    shorter = metric.compute_bleu(
        list(score.counts), list(score.totals), score.sys_len, score.ref_len, metric.smooth_method, metric.smooth_value,
        effective_order=True, max_ngram_order=metric.max_ngram_order,
    )  # fmt: skip
    return (
        f"the hypotheses hold no {longest + 1}-gram, so BLEU is 0 however good they are; over n-grams of up to "
        f"{longest} it is {shorter.score:.1f} (effective order, as --sentence counts); --metric chrf suits short lines",
    )


def check_same_length(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Refuse what cannot be paired line by line.

    Raises:
        DataError: There are no lines or no references, or the counts differ.
    """
    if not hypotheses or not references:
        raise DataError("there is nothing to score", f"{len(hypotheses)} hypotheses, {len(references)} references")
    for number, side in enumerate(references, start=1):
        if len(side) != len(hypotheses):
            raise DataError(
                "hypotheses and references differ in length",
                f"{len(hypotheses)} hypotheses, {len(side)} lines in reference {number}",
            )


def _tokenizer_error(name: str, error: BaseException) -> ConfigError:
    if isinstance(error, KeyError):
        return ConfigError(
            f"the sacreBLEU that is installed does not know the tokenizer {name}",
            hint="`pip install --upgrade sacrebleu`",
        )
    packages = {"ja-mecab": "ja", "ko-mecab": "ko"}
    if name in packages:
        return ConfigError(
            f"the tokenizer {name} needs a package that is not installed",
            hint=f"`pip install 'sacrebleu[{packages[name]}]'`",
        )
    reason = str(error).strip() or type(error).__name__
    return ConfigError(
        f"the tokenizer {name} cannot be loaded",
        reason,
        hint="sacreBLEU downloads its model at the first use; tokenizers that need none: 13a, none, char, intl, zh",
    )


def textbook_bleu(prediction: Sequence[Hashable], label: Sequence[Hashable], max_n: int) -> float:
    """BLEU of one prediction, from 0 to 1.

    Orders longer than the prediction have no n-grams and no precision, so they are left out; the factor for
    brevity is what punishes such a prediction. An empty prediction is right only where the label is empty too.

    Args:
        prediction: Tokens that a system wrote.
        label: Tokens that are right.
        max_n: Longest n-gram counted, k in the formula.
    """
    if not prediction:
        return 0.0 if label else 1.0
    score = math.exp(min(0.0, 1 - len(label) / len(prediction)))
    for n, p_n in enumerate(ngram_precisions(prediction, label, max_n), start=1):
        score *= p_n ** (1 / 2**n)
    return score


def ngram_precisions(prediction: Sequence[Hashable], label: Sequence[Hashable], max_n: int) -> list[float]:
    """Share of the prediction's n-grams found in the label, for n from 1 to `max_n` or the prediction's length.

    An n-gram of the label is found once for each time it stands there.
    """
    result = []
    for n in range(1, min(max_n, len(prediction)) + 1):
        predicted, right = _ngrams(prediction, n), _ngrams(label, n)
        result.append((predicted & right).total() / predicted.total())
    return result


def _ngrams(tokens: Sequence[Hashable], n: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))
