"""BLEU, chrF and TER by sacreBLEU, with the signature that makes scores comparable; and BLEU as in textbooks.

sacreBLEU (Post 2018, "A Call for Clarity in Reporting BLEU Scores", arXiv:1804.08771) computes all scores. This file
selects the metric, checks the numbers of lines (sacreBLEU pairs lines by `zip`, silently) and returns plain values.
Only `bootstrap.py` uses private methods of the metrics; it explains why.

Textbook BLEU is defined for one sentence, without smoothing, and weights long n-grams more than short ones:

    BLEU = exp(min(0, 1 - len_label / len_pred)) * prod_{n=1..k} p_n^(1 / 2^n)

Its values lie between 0 and 1 and are not comparable with sacreBLEU's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rnnkit.errors import ConfigError, DataError
from rnnkit.json_types import JsonObject

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric, Score

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
"""Names of sacreBLEU's tokenizers, repeated here because `--help` must not import sacreBLEU."""

SMOOTHING = ("exp", "floor", "add-k", "none")
"""Names of sacreBLEU's smoothing methods for n-gram precisions of zero."""


@dataclass(frozen=True)
class BleuSettings:
    """Parameters of BLEU, with the defaults of the `sacrebleu` command.

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
    """Parameters of chrF, with the defaults of the `sacrebleu` command.

    Attributes:
        char_order: Longest character n-gram.
        word_order: Longest word n-gram; 2 makes it chrF++.
        beta: Weight of recall against precision.
        whitespace: Whether character n-grams include spaces.
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
    """Parameters of TER; the defaults behave like Tercom.

    Attributes:
        normalized: Whether punctuation is split off first.
        no_punct: Whether punctuation is removed.
        asian_support: Whether the two options above apply to Asian characters.
        case_sensitive: Whether case counts.
    """

    normalized: bool = False
    no_punct: bool = False
    asian_support: bool = False
    case_sensitive: bool = False


MetricSettings = BleuSettings | ChrfSettings | TerSettings


@dataclass(frozen=True)
class MetricScore:
    """A score with its signature.

    Attributes:
        name: Name of the metric, such as `BLEU` or `chrF2`.
        value: The score, not rounded.
        signature: sacreBLEU signature: all parameters that affect the score.
        detail: Details that the metric prints after the score, such as n-gram precisions.
        cautions: Reasons why the score may mislead.
    """

    name: str
    value: float
    signature: str
    detail: str = ""
    cautions: tuple[str, ...] = ()

    def number(self, width: int) -> str:
        """Format the score alone, with `width` decimal places."""
        return f"{self.value:.{width}f}"

    def label(self) -> str:
        """Format name and signature, the part before the equals sign."""
        return f"{self.name}|{self.signature}"

    def line(self, width: int) -> str:
        """Format the score as the `sacrebleu` command prints it."""
        return f"{self.label()} = {self.number(width)} {self.detail}".rstrip()

    def as_dict(self, width: int) -> JsonObject:
        """JSON form, rounded to `width` decimal places."""
        return {
            "name": self.name,
            "score": float(self.number(width)),
            "signature": self.signature,
            "detail": self.detail,
        }


def corpus_score(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings | None = None
) -> MetricScore:
    """Score a corpus.

    Args:
        hypotheses: Detokenized output, one segment per line.
        references: One or more sets of references, each as long as the hypotheses.
        settings: The metric and its parameters; BLEU with sacreBLEU's defaults if not given.

    Raises:
        DataError: The numbers of lines differ, or there are no lines.
        ConfigError: The tokenizer needs a package that is not installed.
    """
    check_same_length(hypotheses, references)
    metric = make_metric(settings or BleuSettings(), references)
    return to_score(metric.corpus_score(hypotheses, None), metric)


def sentence_scores(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings | None = None
) -> list[MetricScore]:
    """Score each line separately; BLEU uses the effective n-gram order. Arguments and errors as for `corpus_score`."""
    check_same_length(hypotheses, references)
    metric = make_metric(settings or BleuSettings(), by_sentence=True)
    return [
        to_score(metric.sentence_score(hypothesis, answers), metric)
        for hypothesis, *answers in zip(hypotheses, *references, strict=True)
    ]


def make_metric(
    settings: MetricSettings, references: Sequence[Sequence[str]] | None = None, by_sentence: bool = False
) -> Metric:
    """Create sacreBLEU's metric. References given here are processed once and reused for all hypotheses.

    Raises:
        ConfigError: The tokenizer needs a package that is not installed.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    if isinstance(settings, ChrfSettings):
        return CHRF(**asdict(settings), references=references)
    if isinstance(settings, TerSettings):
        return TER(**asdict(settings), references=references)
    try:
        # `force` only disables sacreBLEU's log message on tokenized input; the command emits that warning itself.
        return BLEU(**asdict(settings), effective_order=by_sentence, force=True, references=references)
    except (KeyError, ImportError, RuntimeError, OSError, SystemExit) as error:
        raise _tokenizer_error(settings.tokenize, error) from error


def make_tokenizer(name: str) -> Callable[[str], str]:
    """Create a tokenizer of sacreBLEU: a function from a line to its tokens joined by spaces.

    Raises:
        ConfigError: The tokenizer needs a package that is not installed.
    """
    from sacrebleu.metrics.bleu import BLEU

    try:
        tokenizer: Callable[[str], str] = BLEU(tokenize=name).tokenizer
    except (KeyError, ImportError, RuntimeError, OSError, SystemExit) as error:
        raise _tokenizer_error(name, error) from error
    return tokenizer


def to_score(score: Score, metric: Metric) -> MetricScore:
    """Convert a score of sacreBLEU to plain values. TER and chrF have no details, as in the `sacrebleu` command."""
    detail = score.format(signature="").partition(" = ")[2].partition(" ")[2]
    return MetricScore(
        score.name, float(score.score), metric.get_signature().format(), detail, _cautions(score, metric)
    )


def _cautions(score: Score, metric: Metric) -> tuple[str, ...]:
    """Explain a BLEU of 0 that is due to a text too short to have n-grams of the highest order."""
    from sacrebleu.metrics.bleu import BLEU, BLEUScore

    if not isinstance(score, BLEUScore) or not isinstance(metric, BLEU):
        return ()
    if metric.effective_order or 0 not in score.totals:
        return ()
    longest = score.totals.index(0)
    if not longest:
        return ()  # no token at all
    shorter = metric.compute_bleu(
        list(score.counts), list(score.totals), score.sys_len, score.ref_len, metric.smooth_method, metric.smooth_value,
        effective_order=True, max_ngram_order=metric.max_ngram_order,
    )  # fmt: skip
    return (
        f"the hypotheses hold no {longest + 1}-gram, so BLEU is 0 regardless of quality; over n-grams of up to "
        f"{longest} it is {shorter.score:.1f} (effective order, as with --sentence); --metric chrf suits short lines",
    )


def check_same_length(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Check that hypotheses and references can be paired line by line.

    Raises:
        DataError: There are no lines or no references, or the numbers of lines differ.
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
            f"the installed sacreBLEU has no tokenizer {name}",
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
        hint="sacreBLEU downloads its model on first use; tokenizers without a model: 13a, none, char, intl, zh",
    )


def textbook_bleu(prediction: Sequence[Hashable], label: Sequence[Hashable], max_n: int) -> float:
    """Compute the textbook BLEU of one prediction, from 0 to 1.

    Orders longer than the prediction have no precision and are skipped; the brevity penalty accounts for such a
    prediction. An empty prediction scores 1 if the label is empty, too, and 0 otherwise.

    Args:
        prediction: Predicted tokens.
        label: Reference tokens.
        max_n: Highest n-gram order, k in the formula.
    """
    if not prediction:
        return 0.0 if label else 1.0
    score = math.exp(min(0.0, 1 - len(label) / len(prediction)))
    for n, p_n in enumerate(ngram_precisions(prediction, label, max_n), start=1):
        score *= p_n ** (1 / 2**n)
    return score


def ngram_precisions(prediction: Sequence[Hashable], label: Sequence[Hashable], max_n: int) -> list[float]:
    """Compute the clipped n-gram precisions, for n from 1 to `max_n` or the length of the prediction."""
    result = []
    for n in range(1, min(max_n, len(prediction)) + 1):
        predicted, expected = _ngrams(prediction, n), _ngrams(label, n)
        result.append((predicted & expected).total() / predicted.total())
    return result


def _ngrams(tokens: Sequence[Hashable], n: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))
