"""Imperfect files of word vectors, like those that are published, with what `--repair` keeps of them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

THE, OF = (0.5, 0.5, 0.125), (0.125, 0.5, 0.25)
"""Vectors of two words in every file, with the same bits in text and binary."""


def entry(word: bytes, *numbers: float) -> bytes:
    """An entry in word2vec's binary format."""
    return word + b" " + struct.pack(f"<{len(numbers)}f", *numbers)


def row(word: bytes, *numbers: float, blank: bytes = b" ") -> bytes:
    """A row of text."""
    return blank.join([word, *(str(number).encode() for number in numbers)])


def model(words: Sequence[bytes], rows: Sequence[Sequence[float]], buckets: Sequence[Sequence[float]] = ()) -> bytes:
    """A fastText model file, with n-grams of two and three characters if there are buckets."""
    cut = (len(buckets), 2, 3) if buckets else (0, 0, 0)
    parts = [struct.pack("<2i", 793712314, 12), struct.pack("<12id", 3, 5, 5, 1, 5, 1, 2, 2, *cut, 100, 1e-4)]
    parts.append(struct.pack("<3i2q", len(words), len(words), 0, 99, -1))
    parts += [word + b"\0" + struct.pack("<qb", 7 + number, 0) for number, word in enumerate(words)]
    parts.append(struct.pack("<?2q", False, len(rows) + len(buckets), 3))
    parts += [struct.pack("<3f", *numbers) for numbers in [*rows, *buckets]]
    parts.append(struct.pack("<?2q", False, 1, 3) + bytes(12))
    return b"".join(parts)


@dataclass(frozen=True)
class File:
    """An imperfect file.

    Attributes:
        name: Its name, which says what is wrong.
        content: Its bytes.
        words: What is kept, in order.
        counts: The repairs by kind; none where even `--repair` cannot read it.
        gensim: Whether gensim reads it, and how: options of `load_word2vec_format`; None where it does not, or reads
            less or NaN.
    """

    name: str
    content: bytes
    words: tuple[str, ...] = ("the", "of")
    counts: Mapping[str, int] = field(default_factory=dict)
    gensim: Mapping[str, object] | None = None


NAN, INF = float("nan"), float("inf")
CUT = b"\xe6\x97\xa5\xe6\x9c"
"""Two characters, the second one truncated."""

_the, _of = row(b"the", *THE), row(b"of", *OF)
_the_entry, _of_entry = entry(b"the", *THE), entry(b"of", *OF)
_NOT_UTF8 = {"words that are not UTF-8": 1}
_NAN = {"rows with NaN or infinity": 1}
_STRAY = {"headers with stray blanks": 1}
_SPACE = {"words with a space": 1}
_CONTROLS = {"words with control characters": 1}
_BINARY = {"binary": True}


def _text(count: int, *rows: bytes) -> bytes:
    return b"\n".join([b"%d 3" % count, *rows, b""])


TEXTS = (
    File("not-utf8.txt", _text(3, _the, row(CUT, *OF), _of), ("the", "日\ufffd", "of"), _NOT_UTF8, {}),
    File("latin1.txt", _text(2, _the, row(b"stra\xdfe", *OF)), ("the", "stra\ufffde"), _NOT_UTF8, {}),
    File("surrogate.txt", _text(2, _the, row(b"\xed\xa0\xbd", *OF)), ("the", "\ufffd" * 3), _NOT_UTF8, {}),
    File(
        "collision.txt", _text(4, row(b"a\xff", *THE), row(b"a\xfe", *OF), row("a\ufffd".encode(), *OF), _the),
        ("a\ufffd", "the"), {"duplicate words": 2},
    ),
    File("duplicate.txt", _text(3, _the, _of, row(b"the", *OF)), counts={"duplicate words": 1}, gensim={}),
    File("count-too-great.txt", _text(5, _the, _of), counts={"wrong header counts": 1}),
    File("count-too-small.txt", _text(1, _the, _of), counts={"wrong header counts": 1}),
    File("wrong-dimension.txt", b"2 4\n" + _the + b"\n" + _of + b"\n", counts={"wrong header dimensions": 1}),
    File("no-newline.txt", _text(2, _the, _of)[:-1], counts={"missing final newlines": 1}, gensim={}),
    File("blank-line.txt", _text(2, _the, _of, b""), counts={"blank lines": 1}, gensim={}),
    File("blank-lines-inside.txt", _text(2, _the, b"", b" ", _of), counts={"blank lines": 2}),
    File("header-blanks.txt", b"  2   3\n" + _text(2, _the, _of)[4:], counts=_STRAY, gensim={}),
    File("header-tab.txt", b"2 3 \t\n" + _text(2, _the, _of)[4:], counts=_STRAY, gensim={}),
    File("nan.txt", _text(3, _the, row(b"x", 1, NAN, 2), _of), counts=_NAN),
    File("infinity.txt", _text(3, _the, b"x 1 -inf 2", _of), counts=_NAN),
    File("too-large.txt", _text(3, _the, b"x 1 1e99 2", _of), counts=_NAN),
    File(
        "tabs.txt", _text(2, row(b"the", *THE, blank=b"\t"), row(b"of", *OF, blank=b"\t")),
        counts={"rows with tabs": 2},
    ),
    File("two-blanks.txt", _text(2, row(b"the", *THE, blank=b"  "), _of), counts={"rows with stray blanks": 1}),
    File("space.txt", _text(3, row(b"new york", *THE), _the, _of), ("new york", "the", "of"), _SPACE),
    File("no-word.txt", _text(3, b" 1 2 3", _the, _of), counts={"rows without a word": 1}),
    File("cut-row.txt", _text(3, _the, _of, b"x 1 2")[:-1],
         counts={"missing final newlines": 1, "rows with too few numbers": 1}),
    File("no-number.txt", _text(3, _the, b"x 1 2 y", _of), counts={"rows with a field that is not a number": 1}),
    File("merged-rows.txt", _text(3, _the, b"x 1 2 3y 4 5 6 7 8 9", _of), counts={"rows with too many numbers": 1}),
    File("nul.txt", _text(2, _the, row(b"o\0f", *OF)), ("the", "o\ufffdf"), _CONTROLS),
)  # fmt: skip

GLOVES = (
    File("not-utf8.glove", b"\n".join([_the, row(CUT, *OF), _of, b""]), ("the", "日\ufffd", "of"), _NOT_UTF8,
         {"no_header": True}),
    File("duplicate.glove", b"\n".join([_the, _of, _the, b""]), counts={"duplicate words": 1}),
    File("no-newline.glove", b"\n".join([_the, _of]), counts={"missing final newlines": 1}),
    File("blank-line.glove", b"\n".join([_the, _of, b"", b""]), counts={"blank lines": 1}),
    File("blank-first-line.glove", b"\n".join([b"", _the, _of, b""]), counts={"blank lines": 1}),
    File("nan.glove", b"\n".join([row(b"x", 1, NAN, 2), _the, _of, b""]), counts=_NAN),
    File("tabs.glove", b"\n".join([row(b"the", *THE, blank=b"\t"), row(b"of", *OF, blank=b"\t"), b""]),
         counts={"rows with tabs": 2}),
    File("dots.glove", b"\n".join([row(b". . .", *THE), _the, _of, b""]), (". . .", "the", "of"),
         {"words with a space": 1}),
    File("space.glove", b"\n".join([row(b"new york", *THE), _the, _of, b""]), ("new york", "the", "of"),
         {"words with a space": 1}),
)  # fmt: skip

BINARIES = (
    File("not-utf8.bin", b"3 3\n" + _the_entry + entry(CUT, *OF) + _of_entry, ("the", "日\ufffd", "of"),
         _NOT_UTF8, _BINARY),
    File("not-utf8-lines.bin", b"2 3\n" + _the_entry + b"\n" + entry(b"\xed\xa0\xbd", *OF) + b"\n",
         ("the", "\ufffd" * 3), _NOT_UTF8, _BINARY),
    File("duplicate.bin", b"3 3\n" + _the_entry + _of_entry + entry(b"the", *OF), counts={"duplicate words": 1},
         gensim=_BINARY),
    File("count-too-great.bin", b"5 3\n" + _the_entry + _of_entry, counts={"wrong header counts": 1}),
    File("count-too-small.bin", b"1 3\n" + _the_entry + _of_entry, counts={"wrong header counts": 1}),
    File("header-blanks.bin", b" 2\t3\n" + _the_entry + _of_entry, counts=_STRAY, gensim=_BINARY),
    File("nan.bin", b"3 3\n" + entry(b"x", 1, NAN, 2) + _the_entry + _of_entry, counts=_NAN),
    File("cut.bin", b"3 3\n" + _the_entry + _of_entry + _of_entry[:-3],
         counts={"entries cut off at the end": 1, "wrong header counts": 1}),
    File("trailing.bin", b"2 3\n" + _the_entry + _of_entry + b"\0\1\2\3",
         counts={"trailing bytes that are not entries": 1}),
    File("no-word.bin", b"3 3\n" + entry(b"", *OF) + _the_entry + _of_entry, counts={"rows without a word": 1}),
    File("tab.bin", b"2 3\n" + _the_entry + entry(b"o\tf", *OF), ("the", "o\ufffdf"), _CONTROLS),
)  # fmt: skip

_BUCKETS = [(0.25, 0.5, 1.0), (1.0, 0.25, 0.5)]

MODELS = (
    File("not-utf8.ft", model([b"the", CUT, b"of"], [THE, OF, OF]), ("the", "日\ufffd", "of"), _NOT_UTF8),
    File("not-utf8-grams.ft", model([b"the", b"\xed\xa0\xbd", b"of"], [THE, OF, OF], _BUCKETS),
         ("the", "\ufffd" * 3, "of"), _NOT_UTF8),
    File("duplicate.ft", model([b"the", b"of", b"the"], [THE, OF, OF], _BUCKETS), counts={"duplicate words": 1}),
    File("nan.ft", model([b"the", b"x", b"of"], [THE, (1, NAN, 2), OF]), counts=_NAN),
    File("nan-grams.ft", model([b"the", b"of"], [THE, OF], [(INF, 0, 0), *_BUCKETS]),
         counts={"n-gram rows with NaN or infinity": 1}),
    File("cut-output.ft", model([b"the", b"of"], [THE, OF], _BUCKETS)[:-5], counts={"output matrices cut off": 1}),
)  # fmt: skip

REPAIRABLE = (*TEXTS, *GLOVES, *BINARIES, *MODELS)

HOPELESS = (
    File("empty", b""),
    File("prose", b"Zwei Hunde laufen.\nEin Mann steht in 1984 12.\n"),
    File("counts", b"the 1061396\nof 593677\n"),
    File("nothing", b"0 3\n"),
    File("header-only", b"2 3\n"),
    File("pickle", b"\x80\x04\x95rest"),
    File("utf-16", "2 3\na 1 2 3\nb 1 2 3\n".encode("utf-16")),
    File("cut.ft", MODELS[0].content[:-40]),
    File("spaces.bin", b"3 3\n" + _the_entry + entry(b"new york", *OF) + _of_entry),
    File("spaces-last.bin", b"2 3\n" + _the_entry + entry(b"new york", *OF)),
    File("long-spaces.bin", b"3 3\n" + entry(b"at name@example.com", *OF) + _the_entry + _of_entry),
)
"""Files that cannot be read even with `--repair`; no message suggests it."""
