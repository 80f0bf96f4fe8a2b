"""The stage, held against sacreBLEU's own command on the same files, to the last printed digit."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError, UsageError
from rnnkit.evaluation.translation_metrics import METRICS
from rnnkit.events import Event, WarningEvent
from rnnkit.options.declare import STDIN
from rnnkit.stages.evaluation.bleu import BleuOptions, BleuResult, run

# The full stop that stands alone, the no-break space and the line separator are what tokenizers differ in.
WORDS = ["the", "The", "a", "cat's", "dog,", "ran", "“über”", "Straße:", "北京", "天气很好。", "naïve", "3.14", "1,000"]
WORDS += ["–", "(end)", "don't", "e-mail", "\u2028", "x\u00a0y", "😀", "И", "."]


def sentence(generator: random.Random) -> str:
    return " ".join(generator.choices(WORDS, k=generator.randint(1, 12)))


def changed(line: str, generator: random.Random, share: float) -> str:
    words = [generator.choice(WORDS) if generator.random() < share else word for word in line.split(" ")]
    if generator.random() < share:
        generator.shuffle(words)
    return " ".join(words)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two references, a system and a baseline: other scripts, blank lines, trailing spaces, stray ends of line."""
    folder = tmp_path_factory.mktemp("corpus")
    generator = random.Random(20)
    right = [sentence(generator) for _ in range(60)]
    sides = {
        "right": right,
        "other": [changed(line, generator, 0.2) for line in right],
        "system": [changed(line, generator, 0.3) for line in right],
        "baseline": [changed(line, generator, 0.5) for line in right],
    }
    sides["system"][4] = sides["system"][17] = sides["other"][9] = ""
    sides["system"][20] += "  "
    sides["right"][21] += "\t\r"
    sides["baseline"][22] += "\r"
    for name, lines in sides.items():
        (folder / name).write_bytes(("\n".join(lines) + "\n").encode())
    return folder


def sacrebleu(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SACREBLEU")}
    done = subprocess.run(
        [sys.executable, "-m", "sacrebleu", *arguments],
        cwd=folder,
        env={**environment, "NO_COLOR": "1"},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def ours(folder: Path, options: BleuOptions, references: Sequence[str] = ("right",)) -> BleuResult:
    return run(
        replace(
            options,
            references=[folder / name for name in references],
            hypotheses=folder / "system",
            baseline=folder / options.baseline if options.baseline else None,
        )
    )


def options(**values: object) -> BleuOptions:
    return replace(BleuOptions(references=[]), **values)  # type: ignore[arg-type]


CASES: list[tuple[BleuOptions, tuple[str, ...], str]] = [
    (options(), ("right",), ""),
    (options(width=4), ("right", "other"), "-w 4"),
    (options(width=0, lowercase=True), ("right",), "-w 0 -lc"),
    (options(tokenize="none", width=2), ("right", "other"), "-tok none -w 2"),
    (options(tokenize="char", width=6), ("right",), "-tok char -w 6"),
    (options(tokenize="intl", width=3, lowercase=True), ("right",), "-tok intl -w 3 -lc"),
    (options(tokenize="zh", width=5), ("right",), "-tok zh -w 5"),
    (options(smooth_method="floor", width=3), ("right",), "-s floor -w 3"),
    (options(smooth_method="add-k", smooth_value=0.5, width=3), ("right",), "-s add-k -sv 0.5 -w 3"),
    (options(smooth_method="none", width=3), ("right",), "-s none -w 3"),
    (options(metric=["ter", "bleu", "chrf"], width=8), ("right", "other"), "-m ter bleu chrf -w 8"),
    (
        options(metric=["chrf"], chrf_word_order=2, chrf_beta=3, chrf_whitespace=True, width=9),
        ("right",),
        "-m chrf -cw 2 --chrf-beta 3 --chrf-whitespace -w 9",
    ),
    (
        options(metric=["chrf"], chrf_char_order=4, chrf_lowercase=True, chrf_eps_smoothing=True, width=9),
        ("right", "other"),
        "-m chrf -cc 4 --chrf-lowercase --chrf-eps-smoothing -w 9",
    ),
    (
        options(metric=["ter"], ter_normalized=True, ter_asian_support=True, ter_case_sensitive=True, width=9),
        ("right",),
        "-m ter --ter-normalized --ter-asian-support --ter-case-sensitive -w 9",
    ),
    (options(metric=["ter"], ter_no_punct=True, width=9), ("right", "other"), "-m ter --ter-no-punct -w 9"),
    (options(sentence=True, width=5), ("right", "other"), "-sl -w 5"),
    (options(sentence=True, metric=["ter"], width=5), ("right",), "-sl -m ter -w 5"),
    (options(sentence=True, metric=["chrf"], width=5), ("right",), "-sl -m chrf -w 5"),
]


@pytest.mark.parametrize(("chosen", "references", "arguments"), CASES, ids=[case[2] or "default" for case in CASES])
def test_equals_the_sacrebleu_command(
    corpus: Path, chosen: BleuOptions, references: tuple[str, ...], arguments: str
) -> None:
    result = ours(corpus, chosen, references)
    theirs = sacrebleu(corpus, *references, "-i", "system", "-f", "text", *arguments.split())
    assert "\n".join(result.lines) + "\n" == theirs


def test_quiet_and_json_equal_the_sacrebleu_command(corpus: Path) -> None:
    result = ours(corpus, options(width=7))
    assert "\n".join(result.numbers) + "\n" == sacrebleu(corpus, "right", "-i", "system", "-b", "-w", "7")
    theirs = json.loads(sacrebleu(corpus, "right", "-i", "system", "-w", "7"))
    [score] = result.as_dict()["scores"]
    assert [score[key] for key in ("name", "score", "signature", "detail")] == [
        theirs[key] for key in ("name", "score", "signature", "verbose_score")
    ]


def test_paired_bootstrap_equals_the_sacrebleu_command(corpus: Path) -> None:
    chosen = options(metric=list(METRICS), baseline=Path("baseline"), bootstrap_samples=100)
    comparisons = ours(corpus, chosen, ["right", "other"]).comparisons
    arguments = ["right", "other", "-i", "baseline", "system", "-m", *METRICS, "--paired-bs", "--paired-bs-n", "100"]
    table = sacrebleu(corpus, *arguments, "-f", "text", "-w", "9")
    columns = [[cell.strip() for cell in line.split("│")[2:5]] for line in table.splitlines() if line.count("│") == 5]
    assert [comparison.name for comparison in comparisons] == ["BLEU", "chrF2", "TER"]
    assert columns[1:] == [
        [comparison.baseline.text(9) for comparison in comparisons],
        [comparison.system.text(9) for comparison in comparisons],
        [f"(p = {one.p_value:.4f}){'*' if one.p_value < 0.05 else ''}" for one in comparisons],
    ]
    for comparison in comparisons:
        assert comparison.signature in table


def test_baseline_is_printed_beside_the_system(corpus: Path) -> None:
    result = ours(corpus, options(baseline=Path("baseline"), bootstrap_samples=50, seed=7))
    signature, baseline, system = result.lines
    assert "|bs:50|seed:7|" in signature
    assert baseline.startswith(f"  baseline {corpus / 'baseline'}  ")
    assert system.startswith(f"  system {corpus / 'system'}    ")
    assert " ± " in system
    assert " p = 0." in system
    assert result.numbers == ours(corpus, options()).numbers
    [comparison] = result.as_dict()["comparisons"]
    assert set(comparison) == {"name", "signature", "baseline", "system", "p_value"}


def test_a_pipe_gives_what_the_file_gives(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (corpus / "system").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    piped = run(options(references=[corpus / "right"], hypotheses=STDIN, width=6))
    assert piped.lines == ours(corpus, options(width=6)).lines


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_textbook_example(tmp_path: Path) -> None:
    chosen = BleuOptions(
        [write(tmp_path, "label", "ABCDEF\n")],
        write(tmp_path, "prediction", "ABBCD\n"),
        method="textbook",
        tokenize="char",
        max_n=2,
    )
    assert run(chosen).lines == ("textbook BLEU|k:2|case:mixed|tok:char|mean:lines = 0.6815 (1 lines)",)
    assert run(replace(chosen, max_n=None)).numbers == ("0.0000",)


def test_textbook_is_the_mean_of_its_lines(tmp_path: Path) -> None:
    chosen = BleuOptions(
        [write(tmp_path, "label", "a b\nC d\n")],
        write(tmp_path, "prediction", "a b\nc d\n"),
        method="textbook",
        max_n=1,
        width=2,
    )
    assert run(chosen).numbers == ("0.85",)
    assert run(replace(chosen, sentence=True)).numbers == ("1.00", "0.71")
    assert run(replace(chosen, lowercase=True)).numbers == ("1.00",)


def test_counts_must_agree(tmp_path: Path) -> None:
    right, written = write(tmp_path, "right", "a\nb\n\n"), write(tmp_path, "written", "a\nb\n")
    with raises(DataError, f"{written} has 2 lines", f"{right} has 3 lines", path=written):
        run(BleuOptions([right], written))
    with raises(DataError, f"{right} has 3 lines", f"{written} has 2 lines", path=right):
        run(BleuOptions([written], written, baseline=right))


@pytest.mark.parametrize(
    ("right", "written", "message"),
    [
        (None, "a\n", "file not found: .*right"),
        ("a\n", None, "file not found: .*written"),
        ("", "a\n", ".*right is empty"),
        ("a\n", "", ".*written is empty"),
        ("\n\n", "a\nb\n", ".*right holds only blank lines"),
        ("a\n", "a\0\n", ".*written:1:2: NUL byte"),
    ],
)
def test_files_that_cannot_be_scored(tmp_path: Path, right: str | None, written: str | None, message: str) -> None:
    for name, text in [("right", right), ("written", written)]:
        if text is not None:
            write(tmp_path, name, text)
    with pytest.raises(DataError, match=message):
        run(BleuOptions([tmp_path / "right"], tmp_path / "written"))


def test_blank_hypotheses_are_counted(tmp_path: Path) -> None:
    heard: list[Event] = []
    result = run(BleuOptions([write(tmp_path, "right", "a\nb\n")], write(tmp_path, "written", "\n\n")), heard.append)
    assert heard == [WarningEvent("2 of 2 hypotheses are blank")]
    assert result.numbers == ("0.0",)


def warnings(chosen: BleuOptions) -> list[str]:
    heard: list[Event] = []
    run(chosen, heard.append)
    return [event.text for event in heard if isinstance(event, WarningEvent)]


def test_a_baseline_that_is_a_copy_gets_no_star(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes((corpus / "system").read_bytes())
    chosen = options(metric=list(METRICS), baseline=tmp_path / "copy", bootstrap_samples=20)
    result = ours(corpus, chosen)
    assert [comparison.p_value for comparison in result.comparisons] == [1.0] * len(METRICS)
    assert [line.endswith("  p = 1.0000") for line in result.lines[2::3]] == [True] * len(METRICS)
    assert not any("*" in line for line in (*result.lines, *result.brief))


def test_quiet_hides_neither_the_baseline_nor_the_p_value(corpus: Path) -> None:
    result = ours(corpus, options(baseline=Path("baseline"), bootstrap_samples=50, width=3))
    [comparison] = result.comparisons
    [brief] = result.brief
    assert brief.split("\t")[:2] == [f"{comparison.system.value:.3f}", f"baseline {comparison.baseline.value:.3f}"]
    assert brief.split("\t")[2].startswith(f"p = {comparison.p_value:.4f}")
    assert ours(corpus, options()).brief == ours(corpus, options()).numbers


def test_a_bleu_without_4_grams_is_explained(tmp_path: Path) -> None:
    short = write(tmp_path, "short", "hi there\nwell\n")
    chosen = BleuOptions([short], short)
    assert run(chosen).numbers == ("0.0",), "as sacreBLEU"
    [caution] = warnings(chosen)
    assert caution.startswith("the hypotheses hold no 3-gram, so BLEU is 0 regardless of quality")
    assert "up to 2 it is 100.0 (effective order" in caution
    assert "--metric chrf" in caution
    assert warnings(replace(chosen, baseline=short, bootstrap_samples=2)) == [
        f"baseline: {caution}",
        f"system: {caution}",
    ]
    for other in (
        replace(chosen, sentence=True),
        replace(chosen, metric=["chrf", "ter"]),
        replace(chosen, smooth_method="add-k"),
        replace(chosen, tokenize="char"),
        replace(chosen, method="textbook"),
    ):
        assert warnings(other) == []


LONG = "one two three four five six\n"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("right", "written", "expected"),
    [
        (LONG * 3 + "\n", LONG * 4, ["1 of 4 lines have a blank reference: any output there counts as wrong"]),
        (LONG * 3 + "\n", LONG * 3 + "\n", ["1 of 4 hypotheses are blank", "1 of 4 lines have a blank reference"]),
        (LONG, "one two three four\n", []),
        (LONG, "one two six a\n", ["the hypotheses are too short: 10 characters where the references have 22 (45 %)"]),
        (
            "one two three 4\n",
            LONG,
            ["the hypotheses are too long: 22 characters where the references have 12 (183 %)"],
        ),
    ],
)
def test_what_makes_every_figure_small_is_named(
    tmp_path: Path, metric: str, right: str, written: str, expected: list[str]
) -> None:
    chosen = BleuOptions([write(tmp_path, "right", right)], write(tmp_path, "written", written), metric=[metric])
    found = warnings(chosen)
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def test_one_of_several_references_may_be_blank_or_long(tmp_path: Path) -> None:
    references = [write(tmp_path, "a", LONG + "\n"), write(tmp_path, "b", "\n" + LONG * 1)]
    written = write(tmp_path, "written", LONG * 2)
    assert warnings(BleuOptions(references, written)) == []
    references.append(write(tmp_path, "c", (LONG.strip() * 3 + "\n") * 2))
    assert warnings(BleuOptions(references, written)) == []


@pytest.mark.parametrize(
    ("names", "why", "hint"),
    [
        (["right"], "hypotheses are read from it", "--hypotheses FILE reads them from a file"),
        (
            ["right", "written"],
            "hypotheses are read from it; the references are {right} and {written}",
            "if {written} holds the hypotheses, write --hypotheses {written}",
        ),
    ],
)
def test_an_output_that_was_taken_for_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], why: str, hint: str
) -> None:
    paths = {name: write(tmp_path, name, LONG) for name in ("right", "written")}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(DataError) as caught:
        run(BleuOptions([paths[name] for name in names]))
    assert caught.value.what == "standard input is empty"
    assert caught.value.details == (why.format(**paths),)
    assert caught.value.hint == hint.format(**paths)


def test_hypotheses_that_look_tokenized_get_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, "text", "He comes home .\n" * 100)
    heard: list[Event] = []
    run(BleuOptions([path], path), heard.append)
    [event] = heard
    assert isinstance(event, WarningEvent)
    assert event.text.startswith("100 hypotheses end in a separate full stop")
    heard.clear()
    run(BleuOptions([path], path, metric=["chrf"]), heard.append)
    assert not heard


@pytest.mark.parametrize(
    ("chosen", "option", "values"),
    [
        (options(max_n=2), "--max-n", ["--method sacrebleu", "hint: add --method textbook"]),
        (options(method="textbook", baseline=Path("b")), "--baseline", ["--method textbook"]),
        (
            options(method="textbook", metric=["ter"], ter_no_punct=True),
            "--metric",
            ["--metric, --ter-no-punct", "--method textbook"],
        ),
        (options(method="textbook", references=[Path("a"), Path("b")]), "--method", ["textbook", "2 are given"]),
        (options(sentence=True, baseline=Path("b")), "--baseline", ["--sentence"]),
        (options(sentence=True, metric=["bleu", "ter"]), "--sentence", ["bleu, ter"]),
        (options(smooth_value=0.3), "--smooth-value", ["--smooth-method exp"]),
        (options(references=[STDIN]), None, ["standard input", "hint", "--hypotheses FILE"]),
        (options(references=[Path("a")], baseline=STDIN), None, ["standard input"]),
    ],
)
def test_incompatible_options(chosen: BleuOptions, option: str | None, values: list[str]) -> None:
    with raises(UsageError, *values, option=option):
        run(chosen)


def test_a_metric_among_the_references_is_recognized() -> None:
    with raises(DataError, "hint", "--metric chrf", path="chrf"):
        run(BleuOptions([Path("chrf")], metric=["bleu"]))
