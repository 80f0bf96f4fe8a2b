"""ARPA files that are read: what each fault is called, and where it is."""

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

from rnnkit.errors import DataError, FormatError, RnnkitError
from rnnkit.events import Event, WarningEvent
from rnnkit.io import manifest
from rnnkit.ngrams import store
from rnnkit.ngrams.arpa_reader import read_arpa
from rnnkit.ngrams.model import NgramModel
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


def read(tmp_path: Path, text: str | bytes) -> tuple[NgramModel, list[str]]:
    path = tmp_path / "a.arpa"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_arpa(path)


def replaced(number: int, *lines: str) -> str:
    """The good file with one line (from 1) replaced."""
    return "\n".join([*LINES[: number - 1], *lines, *LINES[number:]]) + "\n"


def test_a_good_file_is_what_it_says(tmp_path: Path) -> None:
    model, tokens = read(tmp_path, GOOD)
    assert tokens == [*NAMES, "the", "cat"]
    assert (model.order, model.sizes) == (3, (6, 3, 1))
    store.check(model, "the model")
    log10 = model.score(np.array([4, 5, EOS, 5, 4, UNK, EOS]), np.array([0, 3, 7])) / math.log(10)
    wanted = [-0.1, -0.05, -0.35, -0.3 - 0.75, -0.1 - 0.25, -0.4 - 2, -0.5]
    assert log10 == pytest.approx(wanted)


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
"""The good file, written in other ways."""


@pytest.mark.parametrize("text", VARIANTS)
def test_other_ways_to_write_the_same_are_read(tmp_path: Path, text: str) -> None:
    found, tokens = read(tmp_path, text)
    wanted, _ = read(tmp_path, GOOD)
    assert tokens == [*NAMES, "the", "cat"]
    assert all(np.array_equal(mine, its) for mine, its in zip(found._arrays, wanted._arrays, strict=True))


def test_order_in_the_file_does_not_matter(tmp_path: Path) -> None:
    lines = [*LINES]
    lines[6:11], lines[13:16] = lines[6:11][::-1], lines[13:16][::-1]
    model, tokens = read(tmp_path, "\n".join(lines) + "\n")
    assert tokens == [*NAMES, "cat", "the"]
    assert model.step(model.start(), 5)[0] == pytest.approx(-0.1 * math.log(10))


def test_without_unk_kenlms_number_is_taken_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.arpa"
    path.write_text(replaced(7).replace("ngram 1=5", "ngram 1=4"), encoding="utf-8")
    events: list[Event] = []
    model, _ = read_arpa(path, events.append)
    assert events == [WarningEvent(f"{path} has no <unk>: the logarithm of an unknown word is taken to be -100")]
    assert model.log_probabilities(0)[UNK] == pytest.approx(-100 * math.log(10))


def test_unk_in_capitals_is_the_unknown_word_as_in_kenlm(tmp_path: Path) -> None:
    text = GOOD.replace("<unk>", "<UNK>").replace("the cat", "the <UNK>")
    model, tokens = read(tmp_path, text)
    assert tokens == [*NAMES, "the", "cat"]
    assert model.step(model.read([4]), UNK)[0] == pytest.approx(-0.2 * math.log(10))


def test_beside_unk_the_same_in_capitals_is_a_word(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD.replace("cat", "<UNK>"))[1] == [*NAMES, "the", "<UNK>"]


def test_the_start_is_never_predicted_whatever_the_file_says(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD.replace("0\t<s>", "-99\t<s>"))[0].log_probabilities(0)[BOS] == -np.inf


def test_minus_infinity_is_the_probability_0_as_in_kenlm(tmp_path: Path) -> None:
    model, _ = read(tmp_path, replaced(14, "-inf\t<s> the\t-0.2").replace("-0.75\tcat", "-inf\tcat"))
    store.check(model, "the model")
    log10 = model.score(np.array([4, 5, EOS, 5]), np.array([0, 4])) / math.log(10)
    assert log10 == pytest.approx([-math.inf, -0.05, -0.35, -math.inf])


def test_a_longer_ngram_may_lack_the_shorter_that_it_ends_in(tmp_path: Path) -> None:
    """SRILM prunes so. What was read of the longer one goes on from the longest that is there."""
    text = replaced(15).replace("ngram 2=3", "ngram 2=2")  # no `the cat`
    model, _ = read(tmp_path, text)
    log10 = model.score(np.array([4, 5, EOS, 5, 4, 5, EOS]), np.array([0, 3, 7])) / math.log(10)
    wanted = [-0.1, -0.05, -0.35, -0.3 - 0.75, -0.1 - 0.25, -0.4 - 0.75, -0.35]
    assert log10 == pytest.approx(wanted)


def test_an_order_may_be_empty(tmp_path: Path) -> None:
    text = replaced(19).replace("ngram 3=1", "ngram 3=0")
    assert read(tmp_path, text)[0].sizes == (6, 3, 0)


FAULTS = [
    # Counts.
    (replaced(2, "ngram 1=six"), ":2: 'ngram 1=six' is no count\n  a count is `ngram ORDER=NUMBER`"),
    (replaced(2, "1=5"), ":2: '1=5' is no count"),
    (replaced(2, "ngram 1:5"), ":2: 'ngram 1:5' is no count"),
    (replaced(3), ":3: the count of 3-grams stands where that of 2-grams is due\n  orders are consecutive"),
    (replaced(2), ":2: the count of 2-grams stands where that of 1-grams is due"),
    (replaced(2, "ngram 1=0"), "the file counts no words"),
    ("\\data\\\n\n\\end\\\n", ":2: the file counts no words"),
    (replaced(2, "ngram 1=4"), ":11: one 1-gram more than the file counts\n  `ngram 1=4` says how many"),
    (replaced(2, "ngram 1=6"), ":12: the 1-grams end here, after 5\n  `ngram 1=6` says how many"),
    (replaced(3, "ngram 2=2"), ":16: one 2-gram more than the file counts"),
    (replaced(3, "ngram 2=4"), ":17: the 2-grams end here, after 3"),
    (replaced(4, "ngram 3=0"), ":19: one 3-gram more than the file counts"),
    (replaced(4, "ngram 3=999999999999"), ":20: the 3-grams end here, after 1"),
    # Sections.
    (replaced(13, "\\3-grams:"), ":13: '\\\\3-grams:' stands where \\2-grams: is due"),
    (replaced(6, "1-grams:"), ":6: '1-grams:' stands where \\1-grams: is due"),
    (replaced(21, "\\4-grams:"), ":21: '\\\\4-grams:' stands where \\end\\ is due"),
    (replaced(10, "\\end\\"), ":10: the 1-grams end here, after 3"),
    (replaced(15, ""), ":15: the 2-grams end here, after 1"),
    (GOOD + "more\n", ":22: 'more' stands behind \\end\\"),
    (GOOD + GOOD, ":22: '\\\\data\\\\' stands behind \\end\\"),
    ("\n".join(LINES[:20]) + "\n", " was cut short: it has no \\end\\"),
    ("\n".join(LINES[:17]) + "\n", " was cut short: it ends before \\3-grams:"),
    ("\n".join(LINES[:15]) + "\n", " was cut short: it has 2 of 3 2-grams, and no \\end\\"),
    ("\n".join(LINES[:9]) + "\n", " was cut short: it has 3 of 5 1-grams, and no \\end\\"),
    # Numbers.
    (replaced(14, "0.1\t<s> the"), ":14: the logarithm 0.1 is positive\n  a probability is 1 at most"),
    (replaced(7, "2\t<unk>"), ":7: the logarithm 2 is positive"),
    (replaced(14, "nan\t<s> the"), ":14: the logarithm of the probability is nan\n  it must be finite"),
    (replaced(10, "-NaN\tthe"), ":10: the logarithm of the probability is -NaN"),
    (replaced(14, "inf\t<s> the"), ":14: the logarithm of the probability is inf"),
    (replaced(14, "-0.1\t<s> the\t-inf"), ":14: the back-off is -inf"),
    (replaced(14, "-1e99\t<s> the"), ":14: the logarithm of the probability is -1e99\n  it must be finite"),
    (replaced(14, "-0.1\t<s> the\tnan"), ":14: the back-off is nan"),
    (replaced(10, "-0.1\tthe\tinf"), ":10: the back-off is inf"),
    (replaced(14, "-0.1\t<s> the\t1e400"), ":14: the back-off is 1e400"),
    (replaced(14, "x\t<s> the"), ":14: the logarithm of the probability, 'x', is no number"),
    (replaced(14, "-1_0\t<s> the"), ":14: the logarithm of the probability, '-1_0', is no number"),
    (replaced(14, "-0.1\t<s> the\tx"), ":14: the back-off, 'x', is no number"),
    (replaced(19, "-0.05\t<s> the cat\t-0.5"), ":19: a back-off of -0.5, where there is nothing to back off from"),
    # Columns.
    (replaced(14, "-0.1 <s> the"), " is no 2-gram\n  its form is probability<TAB>word word[<TAB>back-off]; there is"),
    (replaced(14, "-0.1\tthe"), "; columns behind the probability: 1"),
    (replaced(14, "-0.1\t<s> the cat -1"), "; columns behind the probability: 4"),
    (replaced(14, "-0.1\t<s> the -1"), "; columns behind the probability: 3"),
    (replaced(14, "-0.1\t<s> the\t-1 "), ":14: '-0.1\\t<s> the\\t-1 ' is no 2-gram"),
    (replaced(10, "-0.1\tthe cat"), " is no 1-gram\n  its form is probability<TAB>word[<TAB>back-off]; columns behind"),
    (replaced(19, "-0.1\tthe cat"), "its form is probability<TAB>word word word; columns behind the probability: 2"),
    # Words.
    (replaced(14, "-0.1\t<s> dog"), ":14: the word 'dog' is not among the 1-grams"),
    (replaced(11, "-0.75\tthe"), ":11: 'the' is there already\n  the first is "),
    (replaced(16, "-0.3\t<s> the"), ":16: '<s> the' is there already\n  the first is "),
    (replaced(19, "-0.3\tcat the cat"), ":19: the context of 'cat the cat' is missing\n  all its words but"),
    (replaced(8, "0\t<S>"), " has no 1-gram <s>\n  without it no line can be scored"),
    (replaced(9, "-1\tend"), " has no 1-gram </s>"),
]  # fmt: skip


def assert_fault_is_named(folder: Path, text: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        read(folder, text)
    assert f"{folder / 'a.arpa'}" in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_faults_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    assert_fault_is_named(tmp_path, text, message)


@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize(("text", "message"), FAULTS[::5])
def test_faults_are_the_same_however_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, text: str, message: str
) -> None:
    monkeypatch.setattr("rnnkit.ngrams.arpa_text._CHUNK", chunk)
    assert_fault_is_named(tmp_path, text, message)


def test_lines_of_duplicates_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.arpa"
    for number, line, first in ((11, "-0.75\tthe", 10), (16, "-0.3\t<s> the", 14)):
        with pytest.raises(FormatError) as caught:
            read(tmp_path, replaced(number, line))
        *_, where, hint = str(caught.value).splitlines()
        assert where == f"  the first is {path}:{first}"
        assert hint.startswith("  hint: `--repair`")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", " is empty\n  an ARPA file begins with \\data\\"),
        (b"\n\n# nothing\n", " is empty"),
        (b"mmap lm http://kheafield.com/code format version 5\n\0", "no ARPA file: it is KenLM's binary form"),
        (b"blmt 5 1 2 3\n", "no ARPA file: it is IRSTLM's binary form"),
        (b"iARPA\n\n\\data\\\n", "no ARPA file: it is IRSTLM's own text form"),
        (b"\x28\xb5\x2f\xfd\0", "no ARPA file: it is compressed\n  hint: unpack it first"),
        (b"PK\x03\x04", "no ARPA file: it is compressed"),
        (b"3 5\nthe 1 2 3 4 5\n", "it is the text form of word vectors\n  hint: `rnnkit convert-embeddings`"),
        (b"the cat sat\n", ":1: this is no ARPA file: there is no \\data\\\n  its first line is 'the cat sat'"),
        (b"the\n" * 3 + GOOD.encode(), ":1: this is no ARPA file"),
        (b"\\1-grams:\n", ":1: this is no ARPA file"),
        (b"\xff\xfe" + GOOD.encode("utf-16-le"), "is UTF-16, not UTF-8"),
        (GOOD.encode().replace(b"cat", b"c\xe4t"), ":11:8: not UTF-8 (byte 0xe4)"),
        (GOOD.encode().replace(b"cat", b"c\0t"), ":11:8: NUL byte"),
        (b"x" * 1_200_000, ":1: the line is longer than 1,000,000 bytes"),
    ],
)
def test_files_of_another_kind_are_recognised(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert message in str(caught.value) and str(tmp_path / "a.arpa") in str(caught.value)


def test_a_model_of_rnnkit_is_recognised(tmp_path: Path) -> None:
    store.save(tmp_path / "m", make_model(order=2))
    with pytest.raises(
        DataError, match=r"is no ARPA file: it is a safetensors file\n  hint: a model of rnnkit is named by"
    ):
        read_arpa(tmp_path / "m")


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_compression_is_known_by_its_first_bytes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    assert read(tmp_path, pack(GOOD.encode()))[0].sizes == (6, 3, 1)
    first, second = GOOD.encode()[:50], GOOD.encode()[50:]
    assert read(tmp_path, pack(first) + pack(second))[0].sizes == (6, 3, 1), "streams that are joined"


@pytest.mark.parametrize("cut", [20, 60, -1, -9])
@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_compressed_files_cut_short_are_an_error(tmp_path: Path, pack: Callable[[bytes], bytes], cut: int) -> None:
    with pytest.raises(FormatError, match=r"cannot read .* beyond line \d+\n.*\n  hint: it was cut short or damaged"):
        read(tmp_path, pack(GOOD.encode())[:cut])


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_damage_of_compressed_files_is_an_error(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(GOOD.encode()))
    for place in range(8, len(packed), 7):
        packed[place] ^= 0x55
    with pytest.raises(FormatError, match=r"cannot read .* beyond line \d+"):
        read(tmp_path, bytes(packed))


def test_the_bytes_of_a_file_are_summed_as_they_are_stored(tmp_path: Path) -> None:
    for name, pack in {"plain": bytes, **PACKERS}.items():
        path, found = tmp_path / name, hashlib.sha256()
        path.write_bytes(pack(GOOD.encode()))
        read_arpa(path, digest=found)
        assert found.hexdigest() == manifest.sha256(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_arpa(tmp_path / "none.arpa")


@pytest.mark.parametrize("seed", range(60))
def test_damage_anywhere_ends_in_an_error_of_ours_or_in_a_model(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    raw = bytearray(GOOD.encode())
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(len(raw)))
        if random.random() < 0.5:
            raw[place] = int(random.integers(256))
        else:
            del raw[place : place + int(random.integers(1, 9))]
    try:
        model, tokens = read(tmp_path, bytes(raw))
    except RnnkitError as error:
        assert "a.arpa" in str(error)
    else:
        store.check(model, "the model")
        assert len(tokens) == model.vocabulary_size
