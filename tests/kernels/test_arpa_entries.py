"""Numbers and entries of ARPA files: formatting, parsing, and their agreement with the Python parser."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnnkit.errors import FormatError
from rnnkit.kernels.arpa_entries import MAX_DIGITS, MAX_NUMBER_BYTES, find_word, format_entries, parse_entries
from rnnkit.ngrams.arpa_format import concatenate_words, make_word_index
from rnnkit.ngrams.arpa_reader import parse_entry

WORDS = [b"zero", b"a", b"bc", "日本".encode(), b"<s>", b"a-b", b"-1"]
KNOWN = {word: index for index, word in enumerate(WORDS)}


def written(log10: float, backoff: float = math.nan, words: Sequence[int] = (1,)) -> bytes:
    buffer = np.zeros(400, dtype=np.uint8)
    size = format_entries(
        np.array([words], np.int32),
        np.array([log10], np.float32),
        np.array([backoff], np.float32),
        *concatenate_words(WORDS),
        buffer,
    )
    return buffer[:size].tobytes()


def parsed(
    text: bytes, order: int, highest_order: bool = False, capacity: int = 9
) -> list[tuple[float, list[bytes], float]]:
    """Return the entries that the kernel parses, up to the first that it does not."""
    words_MK = np.full((capacity, order), -1, dtype=np.int32)
    log10_M, backoff_M = np.full(capacity, 9, dtype=np.float32), np.full(capacity, 9, dtype=np.float32)
    text_bytes = np.frombuffer(text, dtype=np.uint8)
    entries, size = parse_entries(text_bytes, make_word_index(WORDS), highest_order, words_MK, log10_M, backoff_M)
    assert text[:size].count(b"\n") == entries
    words = [[WORDS[word] for word in ids] for ids in words_MK[:entries].tolist()]
    return list(zip(log10_M[:entries].tolist(), words, backoff_M[:entries].tolist(), strict=True))


singles = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False).filter(
    lambda value: value == 0 or 1e-30 < abs(value) < 1e9
)


@given(singles)
@example(-99.0)
@example(-0.1)
@example(-1e-7)
@example(1e-10)
@example(-1.5e-26)
@example(123456792.0)
@example(-0.99999994)
@example(-9.999999)
def test_a_formatted_number_parses_as_the_same_float32(value: float) -> None:
    text = written(0, value).decode().rstrip("\n").split("\t")[2]
    assert np.float32(float(text)) == np.float32(value)
    assert len(text) <= MAX_NUMBER_BYTES
    assert len(text.partition("e")[0].replace(".", "").lstrip("-0")) <= MAX_DIGITS
    ((_, _, read),) = parsed(b"0\ta\t" + text.encode() + b"\n", 1)
    assert read == np.float32(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0, "0"), (-1.0, "-1"), (-99.0, "-99"), (-0.30103, "-0.30103"), (-0.5, "-0.5"), (1e-7, "0.0000001"),
     (-1.0814836, "-1.0814836"), (12345678.0, "12345678"), (-1e-20, "-1e-20")],
)  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert written(0, value) == f"0\ta\t{text}\n".encode()


def test_entries_are_formatted() -> None:
    assert written(-0.5, -0.25, (1, 2, 3)) == "-0.5\ta bc 日本\t-0.25\n".encode()
    assert written(-0.5, words=(4, 4)) == b"-0.5\t<s> <s>\n"


@pytest.mark.parametrize(
    ("text", "order", "entries"),
    [
        (b"-1.5\ta\n", 1, [(-1.5, [b"a"], 0.0)]),
        (b"-1.5\ta\t-2\n-3\tbc\t0.5\n", 1, [(-1.5, [b"a"], -2.0), (-3.0, [b"bc"], 0.5)]),
        ("-.5\t日本 a\t-1e-2\n".encode(), 2, [(-0.5, ["日本".encode(), b"a"], -0.01)]),
        (b"-15.e-1\ta -1 a-b\t+2E+0\n", 3, [(-1.5, [b"a", b"-1", b"a-b"], 2.0)]),
        (b"-1\ta\r\n-2\ta\t-3\r\n", 1, [(-1.0, [b"a"], 0.0), (-2.0, [b"a"], -3.0)]),
        (b"-0\ta\t-0.0\n", 1, [(0.0, [b"a"], 0.0)]),
    ],
)
def test_entries_are_parsed(text: bytes, order: int, entries: list[tuple[float, list[bytes], float]]) -> None:
    found = parsed(text, order)
    assert [words for _, words, _ in found] == [words for _, words, _ in entries]
    assert [entry[0] for entry in found] == pytest.approx([entry[0] for entry in entries])
    assert [entry[2] for entry in found] == pytest.approx([entry[2] for entry in entries])


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\\2-grams:", b"-1", b"-1\t", b"-1\ta", b"-1 a bc", b"-1\ta bc a", b"-1\ta\tbc", b"-1\ta  bc", b"-1\ta x",
        b"0.5\ta bc", b"nan\ta bc", b"-inf\ta bc", b"-\ta bc", b".\ta bc", b"-1.2.3\ta bc", b"-1e\ta bc", b"--1\ta bc",
        b"-1\ta bc\t", b"-1\ta bc\tx", b"-1\ta bc\t-1 ", b"-1\ta bc ", b"-1\ta bc\t-1\t", b"-1\ta bc\r\r", b"x\ta bc",
        b"-1\ta bc\tnan", b"-0000000000000000000000001\ta bc", b"-1e400\ta bc", b"-1\ta bc\t1e-400",
    ],
)  # fmt: skip
def test_irregular_entries_stop_the_kernel(line: bytes) -> None:
    good = b"-1\ta bc\t-2\n"
    assert len(parsed(good + line + b"\n" + good, 2)) == 1


def test_highest_order_has_no_backoff_and_capacity_holds() -> None:
    assert parsed(b"-1\ta\n-1\ta\t-2\n", 1, highest_order=True) == [(-1.0, [b"a"], 0.0)]
    assert len(parsed(b"-1\ta\n" * 5, 1, capacity=3)) == 3
    assert parsed(b"", 1) == []


fields = st.sampled_from([b"a", b"bc", b"-1", b"-1.5", b"0", b"2", b"nan", b"1e5", b"-2.5e-1", b"", b"zz"])
parts = st.sampled_from([b"\t", b" ", b"  ", b"\t\t", b""])


@given(st.integers(1, 3), st.booleans(), st.lists(st.tuples(fields, parts), max_size=6))
def test_kernel_agrees_with_the_python_parser(order: int, highest_order: bool, line: list[tuple[bytes, bytes]]) -> None:
    text = b"".join(field + part for field, part in line)
    found = parsed(text + b"\n", order, highest_order)
    try:
        log10, words, backoff = parse_entry(text, FormatError, order, highest_order, KNOWN)
    except FormatError:
        assert found == []
        return
    if found:  # the kernel may stop at an entry, but never parses one differently
        assert found == [(float(np.float32(log10)), words, float(np.float32(backoff)))]


@given(st.lists(st.binary(min_size=1, max_size=5), unique=True, min_size=1, max_size=300))
def test_hash_table_finds_every_word_and_no_other(words: list[bytes]) -> None:
    word_bytes, offsets, table = make_word_index(words)
    for index, word in enumerate(words):
        text = np.frombuffer(b"x" + word + b"x", dtype=np.uint8)
        assert find_word(text, 1, 1 + len(word), word_bytes, offsets, table) == index
        other = word + b"z"
        expected = words.index(other) if other in words else -1
        found = find_word(np.frombuffer(other, dtype=np.uint8), 0, len(other), word_bytes, offsets, table)
        assert found == expected


def test_format_entries_compiled_equals_python() -> None:
    words, log10, backoff = (
        np.array([[1, 2], [4, 3]], np.int32),
        np.array([-1.2345, 0], np.float32),
        np.array([-1e-9, 3], np.float32),
    )
    buffers = [np.zeros(200, dtype=np.uint8) for _ in range(2)]
    plain = format_entries.py_func(words, log10, backoff, *concatenate_words(WORDS), buffers[0])  # type: ignore[attr-defined]
    assert plain == format_entries(words, log10, backoff, *concatenate_words(WORDS), buffers[1])
    assert np.array_equal(buffers[0], buffers[1])
