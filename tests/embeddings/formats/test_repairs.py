"""`--repair`: what it reads and records; strict reading rejects the same files and suggests the option."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.embeddings.formats.imperfect_files import CUT, HOPELESS, OF, REPAIRABLE, THE, File, model, row
from tests.embeddings.samples import make_table
from tests.raising import raises

from rnnkit.embeddings import WordVectors, formats
from rnnkit.errors import DataError
from rnnkit.events import Event, WarningEvent

VALUES = {"the": THE, "of": OF}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "plain": bytes
}  # fmt: skip


def write(folder: Path, file: File, pack: Callable[[bytes], bytes] = bytes) -> Path:
    path = folder / file.name
    path.write_bytes(pack(file.content))
    return path


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("file", REPAIRABLE, ids=lambda file: file.name)
def test_an_imperfect_file_is_repaired(tmp_path: Path, file: File, pack: Callable[[bytes], bytes]) -> None:
    table = formats.load(write(tmp_path, file, pack), repair=True)
    assert tuple(table.words) == file.words
    assert table.repairs is not None
    assert table.repairs.counts == file.counts
    assert len(table.repairs.listed) == sum(file.counts.values())
    assert all(one.place.startswith(str(tmp_path / file.name)) and one.action for one in table.repairs.listed)
    assert np.isfinite(table.matrix_VD).all()
    if table.subwords is None:
        for word in {"the", "of"} & {*file.words}:
            found = table.vector(word)
            assert found is not None
            assert found.tolist() == list(VALUES[word])
    events: list[Event] = []
    table.repairs.warn(events.append)
    (warning,) = events
    assert isinstance(warning, WarningEvent)
    assert all(f"{kind} ({count:,})" in warning.text for kind, count in file.counts.items())


@pytest.mark.parametrize("file", REPAIRABLE, ids=lambda file: file.name)
def test_strict_reading_suggests_the_option(tmp_path: Path, file: File) -> None:
    with pytest.raises(DataError) as caught:
        formats.load(write(tmp_path, file))
    assert caught.value.hint is not None
    assert "--repair" in caught.value.hint


@pytest.mark.parametrize("file", HOPELESS, ids=lambda file: file.name)
@pytest.mark.parametrize("repair", [False, True])
def test_the_option_is_not_suggested_where_it_does_not_help(tmp_path: Path, file: File, repair: bool) -> None:
    with pytest.raises(DataError) as caught:
        formats.load(write(tmp_path, file), repair)
    assert "--repair" not in str(caught.value)


@pytest.mark.parametrize("file", [*REPAIRABLE, *HOPELESS], ids=lambda file: file.name)
@pytest.mark.parametrize("pack", ["plain", "gz"])
def test_no_hint_damages_a_file(tmp_path: Path, file: File, pack: str) -> None:
    """Shell commands are suggested for text only, and `iconv` only if nothing in the file is UTF-8."""
    with pytest.raises(DataError) as caught:
        formats.load(write(tmp_path, file, PACKERS[pack]))
    hint = caught.value.hint or ""
    if file.name == "utf-16":
        assert "iconv -f UTF-16" in hint
        return
    assert ("iconv" in hint) == (file.name == "latin1.txt" and pack == "plain")
    if pack == "gz" or not file.name.endswith((".txt", ".glove")):
        assert not any(f"`{command} " in hint for command in ("iconv", "echo", "tr"))


@pytest.mark.parametrize("file", [file for file in REPAIRABLE if file.gensim is not None], ids=lambda file: file.name)
def test_the_same_words_and_vectors_as_gensim(tmp_path: Path, file: File) -> None:
    keyed_vectors = pytest.importorskip("gensim.models").KeyedVectors
    path = write(tmp_path, file)
    options: dict[str, Any] = dict(file.gensim or {})
    keyed = keyed_vectors.load_word2vec_format(str(path), unicode_errors="replace", **options)
    table = formats.load(path, repair=True)
    assert list(table.words) == keyed.index_to_key[: len(table.words)]
    assert np.array_equal(np.array(table.matrix_VD), keyed.vectors[: len(table.words)])


@pytest.mark.parametrize("format", sorted(formats.WRITERS))
def test_whole_files_need_no_repair(tmp_path: Path, format: str) -> None:
    formats.WRITERS[format](tmp_path / "f", make_table(5))
    strict, repaired = formats.load(tmp_path / "f"), formats.load(tmp_path / "f", repair=True)
    assert strict.repairs is None
    assert repaired.repairs is not None
    assert not repaired.repairs.counts
    assert list(repaired.words) == list(strict.words)
    assert np.array_equal(repaired.matrix_VD, strict.matrix_VD)


def test_fasttext_models_with_invalid_utf8(tmp_path: Path) -> None:
    fasttext = pytest.importorskip("fasttext")
    gensim = pytest.importorskip("gensim.models.fasttext")
    chosen = random.Random(5)
    lines = [" ".join(chosen.choices(["stra\xdfe", "smile", "a", *"bcdef"], k=9)).encode() for _ in range(300)]
    spoilt = [line + b" \xed\xa0\xbd smil\xc3" * (number % 3 == 0) for number, line in enumerate(lines)]
    (tmp_path / "text").write_bytes(b"\n".join(spoilt) + b"\n")
    trained = fasttext.train_unsupervised(
        str(tmp_path / "text"), dim=7, epoch=1, minCount=1, bucket=100, minn=2, maxn=4, thread=11, t=1.0, verbose=0
    )
    path = str(tmp_path / "f.bin")
    trained.save_model(path)
    with raises(DataError, "UTF-8", "--repair", path=path):
        WordVectors.load(path)
    vectors = WordVectors.load(path, repair=True)
    keyed = gensim.load_facebook_vectors(path)
    assert len(vectors) == len(keyed.index_to_key)
    words = dict(zip(vectors.words, keyed.index_to_key, strict=True))
    assert {ours for ours, theirs in words.items() if ours != theirs} == {"\ufffd\ufffd\ufffd", "smil\ufffd"}
    for word in [word for word, theirs in words.items() if word == theirs] + ["unseen", "smiles"]:
        assert vectors[word] == pytest.approx(trained.get_word_vector(word), abs=1e-6)
        assert vectors[word] == pytest.approx(keyed[word], abs=1e-6)
    buckets = np.array(trained.get_input_matrix())[len(vectors) :]
    own = np.array(trained.get_input_matrix())[list(vectors.words).index("smil\ufffd")]
    assert vectors.table.subwords is not None
    _, rows = vectors.table.subwords.table([b"smil\xc3"])
    assert vectors["smil\ufffd"] == pytest.approx(np.mean([own, *buckets[rows]], axis=0), abs=1e-6), "fastText's bytes"


def test_such_models_have_the_same_vectors_as_in_gensim(tmp_path: Path) -> None:
    """Gensim respells invalid bytes differently, and composes such words of other n-grams."""
    gensim = pytest.importorskip("gensim.models.fasttext")
    random_rows = np.random.default_rng(3).normal(size=(14, 3)).astype(np.float32).tolist()
    words = [b"the", CUT, b"of", b"\xed\xa0\xbd"]
    (tmp_path / "f.bin").write_bytes(model(words, random_rows[:4], random_rows[4:]))
    vectors = WordVectors.load(tmp_path / "f.bin", repair=True)
    keyed = gensim.load_facebook_vectors(str(tmp_path / "f.bin"))
    assert list(vectors.words) == ["the", "日\ufffd", "of", "\ufffd" * 3]
    assert keyed.index_to_key == ["the", "日\\xe6\\x9c", "of", "\\xed\\xa0\\xbd"]
    assert np.array_equal(keyed.vectors_vocab, np.array(random_rows[:4], np.float32)), "the words' own rows"
    for word in ("the", "of", "unseen", "日本"):
        assert vectors[word] == pytest.approx(keyed[word], abs=1e-6)


def test_a_valid_word_precedes_a_repaired_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"2 3\n" + row(b"\xff", *OF) + b"\n" + row("\ufffd".encode(), *THE) + b"\n")
    table = formats.load(path, repair=True)
    assert list(table.words) == ["\ufffd"]
    assert table.matrix_VD.tolist() == [list(THE)]


def test_many_rows_are_skipped_in_place(tmp_path: Path) -> None:
    rows = [row(b"w%d" % (number // 3), number, number + 1) for number in range(30_000)]
    (tmp_path / "f").write_bytes(b"30000 2\n" + b"\n".join(rows) + b"\n")
    table = formats.load(tmp_path / "f", repair=True)
    assert list(table.words) == [f"w{number}" for number in range(10_000)]
    assert table.matrix_VD[:, 0].tolist() == list(range(0, 30_000, 3))
    assert table.repairs is not None
    assert table.repairs.counts == {"duplicate words": 20_000}
    assert len(table.repairs.listed) == 10_000


def test_faults_in_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnkit.embeddings.formats.vector_reader.BLOCK_BYTES", 64)
    good = {b"w%d" % number: (number, number / 2, -number) for number in range(200)}
    lines = [row(word, *numbers) for word, numbers in good.items()]
    for place in range(190, 0, -10):
        lines.insert(place, [b"", b"x 1 2", b"x\t1 nan 2", b"x 1 2 z"][place // 10 % 4])
    (tmp_path / "f").write_bytes(b"\n".join(lines))
    table = formats.load(tmp_path / "f", repair=True)
    assert list(table.words) == [word.decode() for word in good]
    assert table.matrix_VD.tolist() == [list(map(float, numbers)) for numbers in good.values()]
    assert table.repairs is not None
    blank = next(one.place for one in table.repairs.listed if one.kind == "blank lines")
    assert (tmp_path / "f").read_bytes().split(b"\n")[int(blank.rpartition(":")[2]) - 1] == b""


def test_no_row_left(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"2 2\nx nan 1\ny 1 inf\n")
    with raises(DataError, "2 rows with NaN or infinity", path=tmp_path / "f"):
        formats.load(tmp_path / "f", repair=True)


def test_a_directory_needs_no_repair(tmp_path: Path) -> None:
    from rnnkit.embeddings.formats import vectors_directory

    vectors_directory.write(tmp_path / "d", make_table(3))
    table = formats.load(tmp_path / "d", repair=True)
    assert table.repairs is not None
    assert not table.repairs.counts


def test_a_truncated_model_is_damaged_with_and_without_repair(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(model([b"the"], [THE])[:60])
    for repair in (False, True):
        with pytest.raises(DataError):
            formats.load(tmp_path / "f", repair)
