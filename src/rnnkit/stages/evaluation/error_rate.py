"""`rnnkit error-rate`: line, token and character error rates, with several references per line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import DataError, UsageError
from rnnkit.evaluation.error_rates import UNITS, ErrorRate, error_rate
from rnnkit.evaluation.segments import (
    check_line_counts,
    check_stdin_used_once,
    prompt_on_terminal,
    read_hypotheses,
    read_nonempty_lines,
    read_segments,
    source_name,
    warn_about_lengths,
)
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import STDIN, argument, option
from rnnkit.text.unicode import FORMS, NFC, Normalizer

EXAMPLE = """\
rnnkit decode < test.words | rnnkit error-rate test.phones
rnnkit error-rate test.txt --hypotheses test.hyp --unit tokens
rnnkit error-rate test.phones --hypotheses test.hyp --separator ' | '
cut -f1 lexicon.tsv | uniq | rnnkit decode | rnnkit error-rate lexicon.tsv --keyed"""


@dataclass(frozen=True)
class ErrorRateOptions:
    """Compute error rates of hypotheses in percent, against the nearest of several references.

    The line error rate is the share of lines that equal no reference: the word error rate of grapheme-to-phoneme
    conversion, transliteration and inflection, the sentence error rate of speech recognition. The token error rate is
    the edit distance divided by the tokens of the references: the phoneme error rate of grapheme-to-phoneme conversion,
    the word error rate of speech recognition. The character error rate is the same over characters, spaces included.
    """

    references: list[Path] = argument(
        help="Reference file, one reference per line; several files give several references per line, a blank line "
        "none.",
        metavar="REFERENCE",
    )
    hypotheses: Path = option(STDIN, help="Hypotheses, one per line; - is standard input.", panel="Data")
    separator: str | None = option(
        None, help="Separator between several references on a line, such as '|||'.", panel="Data"
    )
    keyed: bool = option(
        False,
        help="Reference lines are KEY<TAB>REFERENCE, as in a pronouncing dictionary: adjacent lines with the same key "
        "are its references, and there is one hypothesis per key.",
        panel="Data",
    )
    unit: list[str] = option(UNITS, help="Unit of the error rate; repeatable.", choices=UNITS, panel="Score")
    lowercase: bool = option(False, help="Ignore case.", panel="Score", variable="ERROR_RATE_LOWERCASE")
    normalize: str = option(
        NFC,
        help="Unicode normalization form in which lines are compared.",
        choices=FORMS,
        panel="Score",
        formerly="normalise",
        variable="ERROR_RATE_NORMALIZE",
    )
    width: int = option(2, help="Decimal places.", minimum=0, panel="Output")


@dataclass(frozen=True)
class ErrorRateResult:
    """Error rates, ready to print.

    Attributes:
        rates: One per requested unit.
        answers: Total number of references.
        width: Decimal places.
    """

    rates: tuple[ErrorRate, ...]
    answers: int
    width: int

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form."""
        return tuple(rate.line(self.width) for rate in self.rates)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Printed form with `--quiet`: the rates alone, in percent."""
        return tuple(rate.number(self.width) for rate in self.rates)

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {"rates": [rate.as_dict(self.width) for rate in self.rates], "answers": self.answers}


def run(options: ErrorRateOptions, listen: Listener = null_listener) -> ErrorRateResult:
    """Read the files and compute the error rates.

    Raises:
        UsageError: Options cannot be combined.
        DataError: A file is missing, empty or not text, or the line counts differ.
    """
    _check(options)
    prompt_on_terminal([options.hypotheses], listen)
    hypotheses, references = _read(options, listen)
    warn_about_lengths(hypotheses, references, listen)
    normalize = Normalizer(options.normalize, options.lowercase)
    normalized = [normalize(line) for line in hypotheses]
    normalized_references = [[normalize(reference) for reference in group] for group in references]
    rates = tuple(error_rate(normalized, normalized_references, unit) for unit in UNITS if unit in options.unit)
    return ErrorRateResult(rates, sum(map(len, references)), options.width)


def _check(options: ErrorRateOptions) -> None:
    if options.keyed and len(options.references) > 1:
        raise UsageError(
            "--keyed needs a single reference file", f"{len(options.references)} are given", option="--keyed"
        )
    if options.separator == "":
        raise UsageError(
            "--separator must not be empty",
            hint="leave it out if each line has one reference",
            option="--separator",
        )


def _read(options: ErrorRateOptions, listen: Listener) -> tuple[list[str], list[list[str]]]:
    """Read the hypotheses, and the references of each."""
    if options.keyed:
        return _read_keyed(options, listen)
    segments = read_segments(options.references, options.hypotheses)
    references = [_references_of(lines, options.separator) for lines in zip(*segments.references, strict=True)]
    return segments.hypotheses, references


def _references_of(lines: Sequence[str], separator: str | None) -> list[str]:
    """Return the references on corresponding lines. Blank ones are ignored, unless all are blank."""
    references = [part.strip() for line in lines for part in (line.split(separator) if separator else [line])]
    return list(dict.fromkeys(filter(None, references))) or [""]


def _read_keyed(options: ErrorRateOptions, listen: Listener) -> tuple[list[str], list[list[str]]]:
    """Read the references of a dictionary by key, and one hypothesis for each key."""
    path = options.references[0]
    check_stdin_used_once([path, options.hypotheses])
    keys: list[str] = []
    references: list[list[str]] = []
    first: dict[str, int] = {}
    recurrences: list[str] = []
    for number, line in enumerate(read_nonempty_lines(path), start=1):
        key, tab, reference = line.partition("\t")
        if not tab:
            raise DataError(
                f"{source_name(path)}:{number}: there is no reference",
                f"--keyed expects KEY<TAB>REFERENCE, got {line[:60]!r}",
                path=path,
                line=number,
                option="--keyed",
            )
        if not keys or keys[-1] != key:
            if key in first:
                recurrences.append(f"{key!r} on line {first[key]:,} and again on line {number:,}")
            first.setdefault(key, number)
            keys.append(key)
            references.append([])
        references[-1] += _references_of([reference], options.separator)
    hypotheses = read_hypotheses(options.hypotheses, [path])
    recurring = _describe_recurring(recurrences, len(keys))
    if recurrences and len(hypotheses) != len(keys):
        raise DataError(
            "hypotheses and references differ in length",
            f"{source_name(options.hypotheses)} has {len(hypotheses)} lines, {source_name(path)} has {len(keys)} keys",
            recurring,
            hint="`sort -s -t $'\\t' -k1,1` makes the lines of a key adjacent",
            path=path,
        )
    check_line_counts(options.hypotheses, len(hypotheses), path, len(keys), what="keys")
    if recurrences:
        listen(WarningEvent(f"{source_name(path)}: {recurring}"))
    return hypotheses, references


def _describe_recurring(recurrences: Sequence[str], keys: int) -> str:
    """Describe keys whose lines are not adjacent; `recurrences` has an entry for each."""
    if not recurrences:
        return ""
    more = f", and {len(recurrences) - 1:,} more" if len(recurrences) > 1 else ""
    return (
        f"{len(recurrences):,} of {keys:,} keys recur on lines that are not adjacent, and each occurrence counts as a "
        f"separate key: {recurrences[0]}{more}"
    )
