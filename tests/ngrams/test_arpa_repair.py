"""Lenient reading of imperfect ARPA files, `--repair`: what is recorded, and that the rest is read unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.raising import raises

from rnnkit.errors import DataError, FormatError, RnnkitError
from rnnkit.events import Event, WarningEvent
from rnnkit.io.safe_reading import Repairs
from rnnkit.ngrams import arpa_repair, store
from rnnkit.ngrams.arpa_reader import read_arpa
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.text.special_tokens import EOS, NAMES, UNK

from .test_arpa_reader import FAULTS, GOOD, VARIANTS, replaced


def repaired(tmp_path: Path, text: str | bytes) -> tuple[BackoffModel, list[str], Repairs]:
    path = tmp_path / "a.arpa"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    repairs = Repairs(path)
    model, tokens = read_arpa(path, repairs=repairs)
    store.check(model, "the model")
    assert len(tokens) == model.vocabulary_size
    return model, tokens, repairs


def same(found: BackoffModel, expected: BackoffModel) -> bool:
    return all(np.array_equal(mine, its) for mine, its in zip(found._arrays, expected._arrays, strict=True))


@pytest.mark.parametrize("text", [GOOD, *VARIANTS])
def test_good_files_are_read_as_without_repair(tmp_path: Path, text: str) -> None:
    model, tokens, repairs = repaired(tmp_path, text)
    expected, names = read_arpa(tmp_path / "a.arpa")
    assert tokens == names
    assert same(model, expected)
    assert repairs.counts.keys() <= {arpa_repair.TABS, arpa_repair.BLANK}, "VARIANTS has `\\n \\n\\n` for blank lines"


HARMLESS = {
    "blanks for tabs": (GOOD.replace("\t", " "), {arpa_repair.TABS: 9}),
    "several blanks": (GOOD.replace("\t", "   "), {arpa_repair.TABS: 9}),
    "leading blanks": (GOOD.replace("\n-", "\n -"), {arpa_repair.TABS: 8}),
    "text before": ("Language model created by QuickLM\nCopyright (c)\n\n" + GOOD, {arpa_repair.PREFACE: 2}),
    "all of Sphinx": ("QuickLM\n" + GOOD.replace("\t", " "), {arpa_repair.PREFACE: 1, arpa_repair.TABS: 9}),
    "blank in one row": (replaced(7, "-2 <unk>"), {arpa_repair.TABS: 1}),
    "no blank lines": (GOOD.replace("\n\n", "\n"), {arpa_repair.NO_BLANK: 1}),
    "blank lines": (replaced(15, "", "", "-0.2\tthe cat"), {arpa_repair.BLANK: 2}),
    "counts too large": (GOOD.replace("1=5", "1=50").replace("3=1", "3=99999999999"), {arpa_repair.COUNTS: 2}),
    "counts too small": (GOOD.replace("1=5", "1=4").replace("2=3", "2=0"), {arpa_repair.COUNTS: 2}),
    "no count": (replaced(3), {arpa_repair.COUNTS: 1}),
    "count that is none": (replaced(3, "ngram 2=three"), {arpa_repair.COUNTS: 1, arpa_repair.MALFORMED: 1}),
    "order that is none": (GOOD.replace("3=1", "3=1\nngram 4=2"), {arpa_repair.COUNTS: 1}),
    "word twice": (replaced(12, "-3\tthe", ""), {arpa_repair.DUPLICATES: 1}),
    "n-gram twice": (replaced(17, "-3\tthe cat", ""), {arpa_repair.DUPLICATES: 1}),
    "counted twice": (replaced(17, "-3\tthe cat", "").replace("2=3", "2=4"), {arpa_repair.DUPLICATES: 1}),
    "unknown word": (replaced(17, "-3\tthe dog", "").replace("2=3", "2=4"), {arpa_repair.UNKNOWN: 1}),
    "no context": (replaced(20, "-3\tcat the cat", "").replace("3=1", "3=2"), {arpa_repair.NO_CONTEXT: 1}),
    "no end": (GOOD.removesuffix("\\end\\\n"), {arpa_repair.NO_END: 1}),
    "no last newline": (GOOD.removesuffix("\n\\end\\\n").rstrip(), {arpa_repair.NO_END: 1}),
    "text behind": (GOOD + "more\n\nand more\n", {arpa_repair.TRAILING_LINES: 2}),
    "positive start": (GOOD.replace("0\t<s>", "0.5\t<s>"), {arpa_repair.POSITIVE: 1}),
    "NaN": (replaced(17, "nan\tthe the", "").replace("2=3", "2=4"), {arpa_repair.PROBABILITIES: 1}),
    "back-off of the longest": (GOOD.replace("<s> the cat", "<s> the cat\t-0.5"), {arpa_repair.UNUSED: 1}),
    "NaN in a back-off": (GOOD.replace("the cat", "the cat\tnan", 1), {arpa_repair.BACKOFFS: 1}),
    "MITLM": (GOOD.replace("-grams:", "-ngrams:"), {arpa_repair.HEADERS: 3}),
    "capitals": (
        GOOD.replace("\\data\\", "\\Data\\ ").replace("grams", "Grams").replace("end", "END"), {arpa_repair.HEADERS: 5}
    ),
    "decimal commas": (GOOD.replace("-0.", "-0,"), {arpa_repair.COMMAS: 8}),
    "garbage": (replaced(15, "-0.2\tthe cat", "hello", "\\hello", "a b c d e"), {arpa_repair.MALFORMED: 3}),
}  # fmt: skip
"""The good file with faults that do not change the model, and the repairs that are recorded."""


@pytest.mark.parametrize("chunk", [3, 1 << 22])
@pytest.mark.parametrize(("text", "counts"), HARMLESS.values(), ids=HARMLESS)
def test_repaired_model_equals_that_of_the_good_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, counts: dict[str, int], chunk: int
) -> None:
    monkeypatch.setattr("rnnkit.ngrams.arpa_format._CHUNK", chunk)
    model, tokens, repairs = repaired(tmp_path, text)
    assert dict(repairs.counts) == counts
    assert len(repairs.listed) == sum(counts.values())
    (tmp_path / "b").write_text(GOOD, encoding="utf-8")
    expected, _ = read_arpa(tmp_path / "b")
    assert tokens == [*NAMES, "the", "cat"]
    assert same(model, expected)
    with pytest.raises((DataError, FormatError)):
        read_arpa(tmp_path / "a.arpa")


def test_repairs_have_line_numbers(tmp_path: Path) -> None:
    text = replaced(17, "-3\tthe cat", "-3\tthe dog", "x", "1\tcat cat", "")
    _, _, repairs = repaired(tmp_path, text)
    assert [(one.kind, one.place.rpartition("/")[2]) for one in repairs.listed] == [
        (arpa_repair.UNKNOWN, "a.arpa:18"), (arpa_repair.MALFORMED, "a.arpa:19"), (arpa_repair.POSITIVE, "a.arpa:20"),
        (arpa_repair.DUPLICATES, "a.arpa:17"), (arpa_repair.COUNTS, "a.arpa"),
    ]  # fmt: skip


def test_one_warning_has_all_counts(tmp_path: Path) -> None:
    path, events = tmp_path / "a.arpa", list[Event]()
    path.write_text("by hand\n" + GOOD.replace("\t", " "), encoding="utf-8")
    read_arpa(path, events.append, Repairs(path))
    assert events == [
        WarningEvent(f"{path}: repaired or skipped: lines before \\data\\ (1), rows with blanks for tabs (9)")
    ]


def test_words_with_invalid_utf8_keep_their_ngrams(tmp_path: Path) -> None:
    raw = GOOD.encode().replace(b"cat", b"c\xe4t")
    model, tokens, repairs = repaired(tmp_path, raw)
    assert tokens == [*NAMES, "the", "c\ufffdt"]
    assert dict(repairs.counts) == {arpa_repair.ENCODING: 1}
    log10 = model.score(np.array([4, 5, EOS]), np.array([0, 3])) / math.log(10)
    assert log10 == pytest.approx([-0.1, -0.05, -0.35])
    assert repaired(tmp_path, raw.replace(b"\xe4", b"\0"))[1] == tokens


def test_words_that_decode_alike_are_duplicates(tmp_path: Path) -> None:
    raw = GOOD.encode().replace(b"-0.75\tcat\t-0.1", b"-0.75\tc\xe4t\t-0.1\n-1\tc\xe5t\n-1\tc\xef\xbf\xbdt\n-1\tcat")
    model, tokens, repairs = repaired(tmp_path, raw.replace(b"1=5", b"1=8"))
    assert tokens == [*NAMES, "the", "c\ufffdt", "cat"]
    assert repairs.counts[arpa_repair.DUPLICATES] == 2
    assert model.sizes == (7, 3, 1)


def test_numbers_out_of_range(tmp_path: Path) -> None:
    text = (
        GOOD.replace("-0.75\tcat", "nan\tcat").replace("-2\t<unk>", "1.5\t<unk>").replace("the cat", "the cat\t1e99", 1)
    )
    model, _, repairs = repaired(tmp_path, text)
    assert dict(repairs.counts) == {arpa_repair.PROBABILITIES: 1, arpa_repair.POSITIVE: 1, arpa_repair.BACKOFFS: 1}
    log10_V = model.log_probabilities(0) / math.log(10)
    assert log10_V[UNK] == 0
    assert log10_V[5] == pytest.approx(-99)


def test_faults_that_are_not_repaired(tmp_path: Path) -> None:
    cases: list[tuple[type[RnnkitError], str, int | None, list[str]]] = [
        (DataError, "nothing\nat all\n", None, ["\\data\\", "'nothing'"]),
        (DataError, "", None, ["empty"]),
        (FormatError, "\\data\\\nngram 1=5\n", None, ["\\1-grams:"]),
        (FormatError, replaced(13, "\\3-grams:"), 13, ["'\\\\3-grams:'", "\\2-grams:", "\\end\\"]),
        (FormatError, replaced(8, "0\t<S>"), None, ["<s>"]),
        (DataError, "blmt 1\n" + GOOD, None, ["IRSTLM binary"]),
        (DataError, GOOD + "x" * 1_200_000, 22, ["1,000,000 bytes"]),
    ]
    for kind, text, line, values in cases:
        with raises(kind, *values, path=tmp_path / "a.arpa", line=line):
            repaired(tmp_path, text)


@pytest.mark.parametrize("text", [text for text, _, _ in FAULTS])
def test_every_fault_is_repaired_or_reported(tmp_path: Path, text: str) -> None:
    try:
        _, _, repairs = repaired(tmp_path, text)
    except FormatError as error:
        assert "a.arpa" in str(error)
    else:
        assert repairs.counts


@pytest.mark.parametrize("damage", [lambda text: text.replace("\t", " "), lambda text: text.replace("-0.", "-0,", 400)])
def test_entries_across_blocks(tmp_path: Path, damage: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Regular and irregular entries across the ends of blocks."""
    from rnnkit.ngrams.arpa_writer import write_arpa

    from .samples import make_model, random_lines

    words = [*NAMES, *(f"w{row}" for row in range(60))]
    write_arpa(make_model(random_lines(3, 300, len(words)), len(words), order=3), words, tmp_path / "good")
    expected, _ = read_arpa(tmp_path / "good")
    for block, one_by_one in ((1 << 16, 4096), (7, 3)):
        monkeypatch.setattr(arpa_repair, "_BLOCK", block)
        monkeypatch.setattr(arpa_repair, "_LINES_BEFORE_RETRY", one_by_one)
        model, _, repairs = repaired(tmp_path, damage((tmp_path / "good").read_text(encoding="utf-8")))
        assert same(model, expected)
        assert len(repairs.counts) == 1


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_gives_an_rnnkit_error_or_a_model(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    raw = bytearray(GOOD.encode())
    for _ in range(random.integers(1, 6)):
        index = int(random.integers(len(raw)))
        if random.random() < 0.5:
            raw[index] = int(random.integers(256))
        else:
            del raw[index : index + int(random.integers(1, 9))]
    try:
        repaired(tmp_path, bytes(raw))
    except RnnkitError as error:
        assert "a.arpa" in str(error)
