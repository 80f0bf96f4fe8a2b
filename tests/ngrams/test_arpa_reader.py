"""Strict reading of ARPA files: equivalent forms, and the location and description of each fault."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.raising import raises

from rnnkit.errors import DataError, FormatError, RnnkitError
from rnnkit.events import Event, WarningEvent
from rnnkit.io import manifest
from rnnkit.ngrams import store
from rnnkit.ngrams.arpa_reader import read_arpa
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.text.special_tokens import BOS, EOS, NAMES, UNK

from .samples import make_model

GOOD = """\
\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-2\t<unk>
0\t<s>\t-0.3
-0.5\t</s>
-0.25\tthe\t-0.4
-0.75\tcat\t-0.1

\\2-grams:
-0.1\t<s> the\t-0.2
-0.2\tthe cat
-0.35\tcat </s>

\\3-grams:
-0.05\t<s> the cat

\\end\\
"""
LINES = GOOD.splitlines()


def read(tmp_path: Path, text: str | bytes) -> tuple[BackoffModel, list[str]]:
    path = tmp_path / "a.arpa"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_arpa(path)


def replaced(number: int, *lines: str) -> str:
    """Return the good file with one line (from 1) replaced."""
    return "\n".join([*LINES[: number - 1], *lines, *LINES[number:]]) + "\n"


def test_a_good_file(tmp_path: Path) -> None:
    model, tokens = read(tmp_path, GOOD)
    assert tokens == [*NAMES, "the", "cat"]
    assert (model.order, model.sizes) == (3, (6, 3, 1))
    store.check(model, "the model")
    log10 = model.score(np.array([4, 5, EOS, 5, 4, UNK, EOS]), np.array([0, 3, 7])) / math.log(10)
    expected = [-0.1, -0.05, -0.35, -0.3 - 0.75, -0.1 - 0.25, -0.4 - 2, -0.5]
    assert log10 == pytest.approx(expected)


VARIANTS = [
    "\n# made by hand\n\n" + GOOD,
    "\ufeff" + GOOD,
    GOOD.replace("\n", "\r\n"),
    GOOD + "\n\n",
    GOOD.removesuffix("\n"),
    GOOD.replace("\n\n", "\n \n\n"),
    GOOD.replace("<s> the", "<s>  the").replace("the cat", "the\tcat"),
    GOOD.replace("-0.05\t<s> the cat", "-5e-2\t<s> the cat\t0"),
    GOOD.replace("-0.2\tthe cat", "-0.2000000000000000000000001\tthe cat\t-0.0"),
    GOOD.replace("ngram 2=3", "ngram 2= 3"),
    GOOD.replace("=", "=\t"),
    GOOD.replace("0\t<s>", "-inf\t<s>"),
]
"""Other forms of the good file."""


@pytest.mark.parametrize("text", VARIANTS)
def test_equivalent_forms_are_read(tmp_path: Path, text: str) -> None:
    found, tokens = read(tmp_path, text)
    expected, _ = read(tmp_path, GOOD)
    assert tokens == [*NAMES, "the", "cat"]
    assert all(np.array_equal(mine, its) for mine, its in zip(found._arrays, expected._arrays, strict=True))


def test_entries_may_be_in_any_order(tmp_path: Path) -> None:
    lines = [*LINES]
    lines[6:11], lines[13:16] = lines[6:11][::-1], lines[13:16][::-1]
    model, tokens = read(tmp_path, "\n".join(lines) + "\n")
    assert tokens == [*NAMES, "cat", "the"]
    assert model.step(model.initial_state(), 5)[0] == pytest.approx(-0.1 * math.log(10))


def test_missing_unk_has_kenlms_default_and_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.arpa"
    path.write_text(replaced(7).replace("ngram 1=5", "ngram 1=4"), encoding="utf-8")
    events: list[Event] = []
    model, _ = read_arpa(path, events.append)
    (event,) = events
    assert isinstance(event, WarningEvent) and all(value in event.text for value in (str(path), "<unk>", "-100"))
    assert model.log_probabilities(0)[UNK] == pytest.approx(-100 * math.log(10))


def test_uppercase_unk_is_the_unknown_word_as_in_kenlm(tmp_path: Path) -> None:
    text = GOOD.replace("<unk>", "<UNK>").replace("the cat", "the <UNK>")
    model, tokens = read(tmp_path, text)
    assert tokens == [*NAMES, "the", "cat"]
    assert model.step(model.state_after([4]), UNK)[0] == pytest.approx(-0.2 * math.log(10))


def test_uppercase_unk_beside_unk_is_an_ordinary_word(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD.replace("cat", "<UNK>"))[1] == [*NAMES, "the", "<UNK>"]


def test_bos_is_never_predicted(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD.replace("0\t<s>", "-99\t<s>"))[0].log_probabilities(0)[BOS] == -np.inf


def test_minus_infinity_is_probability_0_as_in_kenlm(tmp_path: Path) -> None:
    model, _ = read(tmp_path, replaced(14, "-inf\t<s> the\t-0.2").replace("-0.75\tcat", "-inf\tcat"))
    store.check(model, "the model")
    log10 = model.score(np.array([4, 5, EOS, 5]), np.array([0, 4])) / math.log(10)
    assert log10 == pytest.approx([-math.inf, -0.05, -0.35, -math.inf])


def test_suffix_of_an_ngram_may_be_missing(tmp_path: Path) -> None:
    """SRILM prunes like this. The next state is the longest suffix that the file has."""
    text = replaced(15).replace("ngram 2=3", "ngram 2=2")  # no `the cat`
    model, _ = read(tmp_path, text)
    log10 = model.score(np.array([4, 5, EOS, 5, 4, 5, EOS]), np.array([0, 3, 7])) / math.log(10)
    expected = [-0.1, -0.05, -0.35, -0.3 - 0.75, -0.1 - 0.25, -0.4 - 0.75, -0.35]
    assert log10 == pytest.approx(expected)


def test_an_order_may_be_empty(tmp_path: Path) -> None:
    text = replaced(19).replace("ngram 3=1", "ngram 3=0")
    assert read(tmp_path, text)[0].sizes == (6, 3, 0)


FAULTS: list[tuple[str, int | None, list[object]]] = [
    # Counts.
    (replaced(2, "ngram 1=six"), 2, ["'ngram 1=six'"]),
    (replaced(2, "1=5"), 2, ["'1=5'"]),
    (replaced(2, "ngram 1:5"), 2, ["'ngram 1:5'"]),
    (replaced(3), 3, ["3-grams", "2-grams"]),
    (replaced(2), 2, ["2-grams", "1-grams"]),
    (replaced(2, "ngram 1=0"), 5, ["ngram 1="]),
    ("\\data\\\n\n\\end\\\n", 2, ["ngram 1="]),
    (replaced(2, "ngram 1=4"), 11, ["ngram 1=4"]),
    (replaced(2, "ngram 1=6"), 12, ["1-grams", "5 entries", "ngram 1=6"]),
    (replaced(3, "ngram 2=2"), 16, ["ngram 2=2"]),
    (replaced(3, "ngram 2=4"), 17, ["2-grams", "3 entries", "ngram 2=4"]),
    (replaced(4, "ngram 3=0"), 19, ["ngram 3=0"]),
    (replaced(4, "ngram 3=999999999999"), 20, ["3-grams", "1 entries"]),
    # Sections.
    (replaced(13, "\\3-grams:"), 13, ["'\\\\3-grams:'", "\\2-grams:"]),
    (replaced(6, "1-grams:"), 6, ["'1-grams:'", "\\1-grams:"]),
    (replaced(21, "\\4-grams:"), 21, ["'\\\\4-grams:'", "\\end\\"]),
    (replaced(10, "\\end\\"), 10, ["1-grams", "3 entries"]),
    (replaced(15, ""), 15, ["2-grams", "1 entries"]),
    (GOOD + "more\n", 22, ["'more'", "\\end\\"]),
    (GOOD + GOOD, 22, ["'\\\\data\\\\'", "\\end\\"]),
    ("\n".join(LINES[:20]) + "\n", None, ["truncated", "\\end\\"]),
    ("\n".join(LINES[:17]) + "\n", None, ["truncated", "\\3-grams:"]),
    ("\n".join(LINES[:15]) + "\n", None, ["truncated", "2 of 3 2-grams", "\\end\\"]),
    ("\n".join(LINES[:9]) + "\n", None, ["truncated", "3 of 5 1-grams", "\\end\\"]),
    # Numbers.
    (replaced(14, "0.1\t<s> the"), 14, ["log-probability 0.1", "positive"]),
    (replaced(7, "2\t<unk>"), 7, ["log-probability 2", "positive"]),
    (replaced(14, "nan\t<s> the"), 14, ["log-probability", "nan"]),
    (replaced(10, "-NaN\tthe"), 10, ["log-probability", "-NaN"]),
    (replaced(14, "inf\t<s> the"), 14, ["log-probability", "inf"]),
    (replaced(14, "-0.1\t<s> the\t-inf"), 14, ["back-off", "-inf"]),
    (replaced(14, "-1e99\t<s> the"), 14, ["log-probability", "-1e99"]),
    (replaced(14, "-0.1\t<s> the\tnan"), 14, ["back-off", "nan"]),
    (replaced(10, "-0.1\tthe\tinf"), 10, ["back-off", "inf"]),
    (replaced(14, "-0.1\t<s> the\t1e400"), 14, ["back-off", "1e400"]),
    (replaced(14, "x\t<s> the"), 14, ["log-probability", "'x'"]),
    (replaced(14, "-1_0\t<s> the"), 14, ["log-probability", "'-1_0'"]),
    (replaced(14, "-0.1\t<s> the\tx"), 14, ["back-off", "'x'"]),
    (replaced(19, "-0.05\t<s> the cat\t-0.5"), 19, ["back-off", "-0.5", "3-gram"]),
    # Columns.
    (replaced(14, "-0.1 <s> the"), 14, ["2-gram", "<TAB>WORD WORD[<TAB>BACK-OFF]", "no tab"]),
    (replaced(14, "-0.1\tthe"), 14, ["2-gram", "1 columns"]),
    (replaced(14, "-0.1\t<s> the cat -1"), 14, ["2-gram", "4 columns"]),
    (replaced(14, "-0.1\t<s> the -1"), 14, ["2-gram", "3 columns"]),
    (replaced(14, "-0.1\t<s> the\t-1 "), 14, ["2-gram", "'-0.1\\t<s> the\\t-1 '"]),
    (replaced(10, "-0.1\tthe cat"), 10, ["1-gram", "<TAB>WORD[<TAB>BACK-OFF]", "2 columns"]),
    (replaced(19, "-0.1\tthe cat"), 19, ["3-gram", "<TAB>WORD WORD WORD;", "2 columns"]),
    # Words.
    (replaced(14, "-0.1\t<s> dog"), 14, ["'dog'"]),
    (replaced(11, "-0.75\tthe"), 11, ["duplicate", "'the'", "a.arpa:10"]),
    (replaced(16, "-0.3\t<s> the"), 16, ["duplicate", "'<s> the'", "a.arpa:14"]),
    (replaced(19, "-0.3\tcat the cat"), 19, ["context", "'cat the cat'", "2-grams"]),
    (replaced(8, "0\t<S>"), None, ["<s>"]),
    (replaced(9, "-1\tend"), None, ["</s>"]),
]
"""Text, line of the fault (None if it is not in one line), and what the message names."""


def assert_fault_is_reported(folder: Path, text: str, line: int | None, values: list[object]) -> None:
    path = folder / "a.arpa"
    with raises(FormatError, path, *values, path=path, line=line) as raised:
        read(folder, text)
    assert raised.value.line == line
    assert line is None or f"{path}:{line}" in str(raised.value)


@pytest.mark.parametrize(("text", "line", "values"), FAULTS)
def test_faults_are_reported_with_their_line(tmp_path: Path, text: str, line: int | None, values: list[object]) -> None:
    assert_fault_is_reported(tmp_path, text, line, values)


@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize(("text", "line", "values"), FAULTS[::5])
def test_faults_do_not_depend_on_chunk_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, text: str, line: int | None, values: list[object]
) -> None:
    monkeypatch.setattr("rnnkit.ngrams.arpa_format._CHUNK", chunk)
    assert_fault_is_reported(tmp_path, text, line, values)


def test_duplicates_hint_at_repair(tmp_path: Path) -> None:
    for line, entry in ((11, "-0.75\tthe"), (16, "-0.3\t<s> the")):
        with raises(FormatError, "--repair", line=line):
            read(tmp_path, replaced(line, entry))


@pytest.mark.parametrize(
    ("content", "line", "values"),
    [
        (b"", None, ["empty", "\\data\\"]),
        (b"\n\n# nothing\n", None, ["empty"]),
        (b"mmap lm http://kheafield.com/code format version 5\n\0", None, ["KenLM"]),
        (b"blmt 5 1 2 3\n", None, ["IRSTLM binary"]),
        (b"iARPA\n\n\\data\\\n", None, ["IRSTLM text"]),
        (b"\x28\xb5\x2f\xfd\0", None, ["compressed", "gzip"]),
        (b"PK\x03\x04", None, ["compressed"]),
        (b"3 5\nthe 1 2 3 4 5\n", None, ["word vectors", "rnnkit convert-embeddings"]),
        (b"the cat sat\n", 1, ["\\data\\", "'the cat sat'"]),
        (b"the\n" * 3 + GOOD.encode(), 1, ["\\data\\"]),
        (b"\\1-grams:\n", 1, ["\\data\\"]),
        (b"\xff\xfe" + GOOD.encode("utf-16-le"), None, ["UTF-16"]),
        (GOOD.encode().replace(b"cat", b"c\xe4t"), 11, [":11:8", "0xe4"]),
        (GOOD.encode().replace(b"cat", b"c\0t"), 11, [":11:8", "NUL"]),
        (b"x" * 1_200_000, 1, ["1,000,000 bytes"]),
    ],
)
def test_other_formats_are_recognized(tmp_path: Path, content: bytes, line: int | None, values: list[object]) -> None:
    with raises(DataError, tmp_path / "a.arpa", *values, line=line) as raised:
        read(tmp_path, content)
    assert raised.value.line == line


def test_an_rnnkit_model_is_recognized(tmp_path: Path) -> None:
    store.save(tmp_path / "m", make_model(order=2))
    with raises(DataError, "safetensors", "directory", path=tmp_path / "m"):
        read_arpa(tmp_path / "m")


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_compression_is_recognized_by_magic_bytes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    assert read(tmp_path, pack(GOOD.encode()))[0].sizes == (6, 3, 1)
    first, second = GOOD.encode()[:50], GOOD.encode()[50:]
    assert read(tmp_path, pack(first) + pack(second))[0].sizes == (6, 3, 1), "streams that are joined"


@pytest.mark.parametrize("cut", [20, 60, -1, -9])
@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_truncated_compressed_files_are_an_error(tmp_path: Path, pack: Callable[[bytes], bytes], cut: int) -> None:
    with raises(FormatError, "cannot read", "truncated or damaged", path=tmp_path / "a.arpa"):
        read(tmp_path, pack(GOOD.encode())[:cut])


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_damaged_compressed_files_are_an_error(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(GOOD.encode()))
    for index in range(8, len(packed), 7):
        packed[index] ^= 0x55
    with raises(FormatError, "cannot read", path=tmp_path / "a.arpa"):
        read(tmp_path, bytes(packed))


def test_digest_is_that_of_the_stored_bytes(tmp_path: Path) -> None:
    for name, pack in {"plain": bytes, **PACKERS}.items():
        path, found = tmp_path / name, hashlib.sha256()
        path.write_bytes(pack(GOOD.encode()))
        read_arpa(path, digest=found)
        assert found.hexdigest() == manifest.sha256(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with raises(DataError, path=tmp_path / "none.arpa"):
        read_arpa(tmp_path / "none.arpa")


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_gives_an_rnnkit_error_or_a_model(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    raw = bytearray(GOOD.encode())
    for _ in range(random.integers(1, 4)):
        index = int(random.integers(len(raw)))
        if random.random() < 0.5:
            raw[index] = int(random.integers(256))
        else:
            del raw[index : index + int(random.integers(1, 9))]
    try:
        model, tokens = read(tmp_path, bytes(raw))
    except RnnkitError as error:
        assert "a.arpa" in str(error)
    else:
        store.check(model, "the model")
        assert len(tokens) == model.vocabulary_size
