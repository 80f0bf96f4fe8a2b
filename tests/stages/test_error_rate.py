"""The stage on small files: every way to give several right answers, and what is refused."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Event, WarningEvent
from rnnkit.options.declare import STDIN
from rnnkit.stages.evaluation.error_rate import ErrorRateOptions, run


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def pair(tmp_path: Path) -> ErrorRateOptions:
    return ErrorRateOptions(
        [write(tmp_path, "right", "HH AH L OW\nW ER L D\n")], write(tmp_path, "written", "HH AH L OW\nW ER D D\n")
    )


def test_three_rates(pair: ErrorRateOptions) -> None:
    result = run(pair)
    assert result.lines == (
        "line error rate = 50.00 % (1 of 2 lines)",
        "token error rate = 12.50 % (1 of 8 tokens: 1 substituted, 0 deleted, 0 inserted)",
        "character error rate = 5.56 % (1 of 18 characters: 1 substituted, 0 deleted, 0 inserted)",
    )
    assert result.numbers == ("50.00", "12.50", "5.56")
    assert [rate["percent"] for rate in result.as_dict()["rates"]] == [50.0, 12.5, 5.56]


def test_one_unit(pair: ErrorRateOptions) -> None:
    assert run(replace(pair, unit=["tokens"], width=0)).numbers == ("12",)


def test_several_reference_files(pair: ErrorRateOptions, tmp_path: Path) -> None:
    other = write(tmp_path, "other", "\nW ER D D\n")
    result = run(replace(pair, references=[*pair.references, other]))
    assert result.numbers == ("0.00", "0.00", "0.00")
    assert result.answers == 3


def test_several_answers_on_a_line(tmp_path: Path) -> None:
    right = write(tmp_path, "right", "T AH | T OW\nB IY\n")
    written = write(tmp_path, "written", "T OW\nB IH\n")
    assert run(ErrorRateOptions([right], written, separator=" | ")).numbers[:2] == ("50.00", "25.00")
    assert run(ErrorRateOptions([right], written)).numbers[0] == "100.00"


def test_a_pronouncing_dictionary(tmp_path: Path) -> None:
    right = write(tmp_path, "lexicon", "TO\tT UW\nTO\tT AH\nBE\tB IY\n")
    result = run(ErrorRateOptions([right], write(tmp_path, "written", "T AH\nB IY\n"), keyed=True))
    assert result.numbers == ("0.00", "0.00", "0.00")
    assert result.answers == 3


def test_keyed_references_need_one_hypothesis_per_key(tmp_path: Path) -> None:
    right = write(tmp_path, "lexicon", "TO\tT UW\nTO\tT AH\nBE\tB IY\n")
    written = write(tmp_path, "written", "T AH\nT AH\nB IY\n")
    with raises(DataError, f"{written} has 3 lines", f"{right} has 2 keys"):
        run(ErrorRateOptions([right], written, keyed=True))


def test_a_dictionary_without_a_tab(tmp_path: Path) -> None:
    right = write(tmp_path, "lexicon", "TO\tT UW\nBE B IY\n")
    with raises(DataError, "KEY<TAB>REFERENCE", "'BE B IY'", path=right, line=2, option="--keyed"):
        run(ErrorRateOptions([right], right, keyed=True))


def test_one_letter_in_two_encodings_is_one_letter(tmp_path: Path) -> None:
    right, written = write(tmp_path, "right", "Caf\u00e9\n"), write(tmp_path, "written", "Cafe\u0301\n")
    assert run(ErrorRateOptions([right], written)).numbers[0] == "0.00"
    assert run(ErrorRateOptions([right], written, normalize="none")).numbers[0] == "100.00"


def test_width_variants_are_one_letter_only_when_asked(tmp_path: Path) -> None:
    right, written = write(tmp_path, "right", "ABC\n"), write(tmp_path, "written", "ＡＢＣ\n")
    assert run(ErrorRateOptions([right], written)).numbers[0] == "100.00"
    assert run(ErrorRateOptions([right], written, normalize="nfkc")).numbers[0] == "0.00"


def test_case(tmp_path: Path) -> None:
    right, written = write(tmp_path, "right", "ÜBER\n"), write(tmp_path, "written", "über\n")
    assert run(ErrorRateOptions([right], written)).numbers[0] == "100.00"
    assert run(ErrorRateOptions([right], written, lowercase=True)).numbers[0] == "0.00"


def test_blank_hypotheses_are_counted(tmp_path: Path) -> None:
    heard: list[Event] = []
    result = run(
        ErrorRateOptions([write(tmp_path, "right", "a\nb\n")], write(tmp_path, "written", "a\n \n")), heard.append
    )
    assert heard == [WarningEvent("1 of 2 hypotheses are blank")]
    assert result.numbers == ("50.00", "50.00", "50.00")


def test_a_line_whose_only_right_answer_is_blank(tmp_path: Path) -> None:
    right, written = write(tmp_path, "right", "a\n\n"), write(tmp_path, "written", "a\nb\n")
    assert run(ErrorRateOptions([right], written)).numbers == ("50.00", "100.00", "100.00")


def test_counts_must_agree(pair: ErrorRateOptions, tmp_path: Path) -> None:
    short = write(tmp_path, "short", "HH AH L OW\n")
    with pytest.raises(DataError, match=f"{short} has 1 lines, .*right has 2 lines"):
        run(replace(pair, hypotheses=short))


@pytest.mark.parametrize(
    ("values", "option", "named"),
    [
        ({"keyed": True, "references": [Path("a"), Path("b")]}, "--keyed", "2 are given"),
        ({"separator": ""}, "--separator", "empty"),
        ({"keyed": True, "references": [STDIN]}, None, "standard input"),
        ({"references": [STDIN]}, None, "standard input"),
    ],
)
def test_incompatible_options(values: dict[str, object], option: str | None, named: str) -> None:
    with raises(UsageError, named, option=option):
        run(replace(ErrorRateOptions([Path("right")]), **values))  # type: ignore[arg-type]


def heard_by(options: ErrorRateOptions) -> list[str]:
    heard: list[Event] = []
    run(options, heard.append)
    return [event.text for event in heard if isinstance(event, WarningEvent)]


def test_keys_on_separate_lines_are_reported(tmp_path: Path) -> None:
    lexicon = "READ\tR IY D\nTO\tT UW\nREAD\tR EH D\nBE\tB IY\nTO\tT AH\n"
    options = ErrorRateOptions(
        [write(tmp_path, "lexicon", lexicon)], write(tmp_path, "written", "R EH D\nT AH\nB IY\n"), keyed=True
    )
    with pytest.raises(DataError) as caught:
        run(options)
    apart = (
        "2 of 5 keys recur on lines that are not adjacent, and each occurrence counts as a separate key: "
        "'READ' on line 1 and again on line 3, and 1 more"
    )
    assert caught.value.details == (
        f"{options.hypotheses} has 3 lines, {options.references[0]} has 5 keys",
        apart,
    )
    assert caught.value.hint == "`sort -s -t $'\\t' -k1,1` makes the lines of a key adjacent"
    write(tmp_path, "written", "R EH D\nT AH\nR EH D\nB IY\nT AH\n")
    assert heard_by(options) == [f"{options.references[0]}: {apart}"]


def test_blank_references_and_short_output_are_named(tmp_path: Path) -> None:
    right = write(tmp_path, "right", "a b c d e f\n\n")
    assert heard_by(ErrorRateOptions([right], write(tmp_path, "written", "a b\nx\n"))) == [
        "1 of 2 lines have a blank reference: any output there counts as wrong",
        "the hypotheses are too short: 2 characters where the references have 6 (33 %), blank lines and spaces not "
        "counted",
    ]


def test_an_output_that_was_taken_for_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path, name, "a\n") for name in ("right", "written")]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(DataError) as caught:
        run(ErrorRateOptions(paths))
    assert caught.value.hint == f"if {paths[1]} holds the hypotheses, write --hypotheses {paths[1]}"
