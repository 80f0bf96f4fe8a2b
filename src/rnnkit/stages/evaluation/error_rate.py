"""`rnnkit error-rate`: how many lines, tokens and characters are wrong, where several answers may be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import STDIN, argument, option
from rnnkit.errors import DataError, UsageError
from rnnkit.evaluation.error_rates import UNITS, ErrorRate, error_rate
from rnnkit.evaluation.segments import (
    announce_stdin,
    check_counts,
    describe,
    look,
    read_hypotheses,
    read_segments,
    read_side,
    refuse_stdin_twice,
)
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.text.normalizer import FORMS, NFC, Normalizer

EXAMPLE = """\
rnnkit decode < test.words | rnnkit error-rate test.phones
rnnkit error-rate test.txt --hypotheses test.hyp --unit tokens
rnnkit error-rate test.phones --hypotheses test.hyp --separator ' | '
cut -f1 lexicon.tsv | uniq | rnnkit decode | rnnkit error-rate lexicon.tsv --keyed"""


@dataclass(frozen=True)
class ErrorRateOptions:
    """Measure how much of the hypotheses is wrong, in percent, against the nearest of several right answers.

    The line error rate is the share of lines that equal no right answer: the word error rate of
    grapheme-to-phoneme, transliteration and inflection work, the sentence error rate of speech recognition. The token
    error rate is the edit distance over the tokens of the right answers: the phoneme error rate of
    grapheme-to-phoneme work, the word error rate of speech recognition. The character error rate is the same over
    characters, spaces included.
    """

    references: list[Path] = argument(
        help="Reference file, one right answer a line; of several files, each may hold another right answer, and "
        "a blank line none.",
        metavar="REFERENCE",
    )
    hypotheses: Path = option(STDIN, help="Hypotheses, one a line; - is stdin.", panel="Data")
    separator: str | None = option(
        None, help="Text between the several right answers on a reference line, such as '|||'.", panel="Data"
    )
    keyed: bool = option(
        False,
        help="Reference lines are QUESTION<TAB>ANSWER, as in a pronouncing dictionary: neighbouring lines with the "
        "same question hold its right answers, and there is one hypothesis a question.",
        panel="Data",
    )
    unit: list[str] = option(UNITS, help="What is counted; repeat for several.", choices=UNITS, panel="Score")
    lowercase: bool = option(False, help="Ignore case.", panel="Score")
    normalise: str = option(
        NFC,
        help="Unicode form in which lines are compared, so that one letter in two encodings is one letter.",
        choices=FORMS,
        panel="Score",
    )
    width: int = option(2, help="Decimals shown.", minimum=0, panel="Output")


@dataclass(frozen=True)
class ErrorRateResult:
    """Error rates, ready to print.

    Attributes:
        rates: One for each unit asked for.
        answers: Right answers in all.
        width: Decimals shown.
    """

    rates: tuple[ErrorRate, ...]
    answers: int
    width: int

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed."""
        return tuple(rate.line(self.width) for rate in self.rates)

    @property
    def numbers(self) -> tuple[str, ...]:
        """What is printed with `--quiet`: the rates alone, in percent."""
        return tuple(rate.number(self.width) for rate in self.rates)

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        return {"rates": [rate.as_dict(self.width) for rate in self.rates], "answers": self.answers}


def run(options: ErrorRateOptions, listen: Listener = null_listener) -> ErrorRateResult:
    """Read the files and count what is wrong.

    Raises:
        UsageError: Options that do not go together.
        DataError: A file is missing, empty or not text, or the line counts differ.
    """
    _check(options)
    announce_stdin([options.hypotheses], listen)
    hypotheses, answers = _read(options, listen)
    look(hypotheses, answers, listen)
    clean = Normalizer(options.normalise, options.lowercase)
    written = [clean(line) for line in hypotheses]
    right = [[clean(answer) for answer in variants] for variants in answers]
    rates = tuple(error_rate(written, right, unit) for unit in UNITS if unit in options.unit)
    return ErrorRateResult(rates, sum(map(len, answers)), options.width)


def _check(options: ErrorRateOptions) -> None:
    if options.keyed and len(options.references) > 1:
        raise UsageError("--keyed takes one reference file", f"{len(options.references)} are given")
    if options.separator == "":
        raise UsageError("--separator cannot be empty", hint="leave it out where a line holds one right answer")


def _read(options: ErrorRateOptions, listen: Listener) -> tuple[list[str], list[list[str]]]:
    """The hypotheses, and the right answers of each."""
    if options.keyed:
        return _read_keyed(options, listen)
    segments = read_segments(options.references, options.hypotheses)
    answers = [_variants(lines, options.separator) for lines in zip(*segments.references, strict=True)]
    return segments.hypotheses, answers


def _variants(lines: Sequence[str], separator: str | None) -> list[str]:
    """The right answers on the lines of one place. Blank ones are none, unless all of them are blank."""
    answers = [answer.strip() for line in lines for answer in (line.split(separator) if separator else [line])]
    return list(dict.fromkeys(filter(None, answers))) or [""]


def _read_keyed(options: ErrorRateOptions, listen: Listener) -> tuple[list[str], list[list[str]]]:
    """A dictionary's answers by question, and one hypothesis for each."""
    path = options.references[0]
    refuse_stdin_twice([path, options.hypotheses])
    questions: list[str] = []
    answers: list[list[str]] = []
    first: dict[str, int] = {}
    again: list[str] = []
    for number, line in enumerate(read_side(path), start=1):
        question, tab, answer = line.partition("\t")
        if not tab:
            raise DataError(
                f"{describe(path)}:{number}: no right answer", f"--keyed wants QUESTION<TAB>ANSWER, not {line[:60]!r}"
            )
        if not questions or questions[-1] != question:
            if question in first:
                again.append(f"{question!r} on line {first[question]:,} and again on line {number:,}")
            first.setdefault(question, number)
            questions.append(question)
            answers.append([])
        answers[-1] += _variants([answer], options.separator)
    hypotheses = read_hypotheses(options.hypotheses, [path])
    apart = _apart(again, len(questions))
    if again and len(hypotheses) != len(questions):
        raise DataError(
            "hypotheses and references differ in length",
            f"{describe(options.hypotheses)} has {len(hypotheses)} lines, "
            f"{describe(path)} has {len(questions)} questions",
            apart,
            hint="`sort -s -t $'\\t' -k1,1` brings the lines of a question together",
        )
    check_counts(options.hypotheses, len(hypotheses), path, len(questions), what="questions")
    if again:
        listen(WarningEvent(f"{describe(path)}: {apart}"))
    return hypotheses, answers


def _apart(again: Sequence[str], questions: int) -> str:
    """The message about questions whose lines do not stand together; `again` has one place each."""
    if not again:
        return ""
    more = f", and {len(again) - 1:,} more" if len(again) > 1 else ""
    return (
        f"{len(again):,} of {questions:,} questions recur apart from their other lines, and each place counts as a "
        f"question of its own: {again[0]}{more}"
    )
