"""Aligning text with labels: what is found, written, reported and refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.raising import raises
from tests.workspaces import make_labelled_workspace, tag_of, write_labelled_text

from rnnkit.data.label_parsing import split_words
from rnnkit.data.labelled_data import UNSEEN, LabelledData
from rnnkit.errors import ArtefactError, DataError, FormatError, UsageError
from rnnkit.events import Event, WarningEvent
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.stages.text.align_labels import LabelledResult


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with tags."""
    return make_labelled_workspace(tmp_path_factory.mktemp("labelled"), "tags")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with texts, labels, and tokens and vocabulary in `work`."""
    write_labelled_text(tmp_path)
    monkeypatch.chdir(tmp_path)
    files = [Path("train.form"), Path("valid.form")]
    tokenize.run(tokenize_options.TokenizeOptions(files=files, type="spaces"))
    vocab.run(vocab.VocabOptions())
    return tmp_path


def aligned(*labels: str, listen: Callable[[Event], None] | None = None, **changes: Any) -> LabelledResult:
    options = align_options.AlignOptions(text="form", labels=list(labels), overwrite=True, **changes)
    result = align.run(options) if listen is None else align.run(options, listen)
    assert isinstance(result, LabelledResult)
    return result


def rewrite(path: str, change: Callable[[list[str]], list[str]]) -> None:
    lines = change(Path(path).read_text(encoding="utf-8").splitlines())
    Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize("kind", ["spaces", "words", "unigram", "chars"])
def test_every_word_keeps_its_tag(tmp_path: Path, kind: str) -> None:
    """However the tokenizer cuts words: the words are those of the text, and each has one tag."""
    work = make_labelled_workspace(tmp_path, "tags", kind=kind)
    data = LabelledData.open(work / "data")
    (column,) = data.columns
    assert (data.task, data.text, column.name, column.scheme) == ("tagging", "form", "tags", None)
    for split in ("train", "valid"):
        lines = (tmp_path / f"{split}.form").read_text(encoding="utf-8").splitlines()
        text, tags = data.side(split, "form"), data.side(split, "tags")
        assert len(text) == len(lines)
        for index, line in enumerate(lines):
            words = [data.table.words[row] for row in text[index]]
            assert words == [*split_words(line), "</s>"]
            assert [column.labels[tag - 1] for tag in tags[index]] == list(map(tag_of, words[:-1]))
    assert data.table.one_token_each == (kind in ("spaces", "words")) or kind == "words"
    counts = data.token_counts()
    assert counts.sum() == data.meta.facts["splits"]["train"]["tokens"]["form"]


def test_labels_of_lines(folder: Path) -> None:
    result = aligned("long")
    data = LabelledData.open(result.data)
    assert (result.task, data.columns[0].labels) == ("classification", tuple(sorted(data.columns[0].labels)))
    assert set(data.columns[0].labels) == {"long text", "short"}
    expected = Path("train.long").read_text(encoding="utf-8").splitlines()
    labels = data.side("train", "long")
    assert [data.columns[0].labels[labels[index][0] - 1] for index in range(len(labels))] == expected


def test_several_columns_spans_and_weights(folder: Path) -> None:
    data = LabelledData.open(aligned("tags", "spans", weights="weight").data)
    assert [(column.name, column.scheme) for column in data.columns] == [("tags", None), ("spans", "bio")]
    weights = data.weights("train")
    assert weights is not None
    expected = [float(line) for line in Path("train.weight").read_text(encoding="utf-8").splitlines()]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert data.shares("train", "tags") is None


def test_many_and_soft_labels(folder: Path) -> None:
    many = LabelledData.open(aligned("many", multi_label=True).data)
    assert many.columns[0].many
    assert many.side("train", "many").lengths().max() > 1
    soft = LabelledData.open(aligned("soft", soft_labels=True).data)
    shares = soft.shares("train", "soft")
    assert shares is not None
    sums = np.add.reduceat(np.asarray(shares), np.asarray(soft.side("train", "soft").offsets[:-1]))
    np.testing.assert_allclose(sums, 1, rtol=1e-6)


def test_labels_elsewhere_and_compressed(folder: Path) -> None:
    import gzip

    (folder / "other").mkdir()
    for split in ("train", "valid"):
        text = Path(f"{split}.tags").read_bytes()
        (folder / "other" / f"{split}.tags").write_bytes(text)
        Path(f"{split}.tags.gz").write_bytes(gzip.compress(text))
        Path(f"{split}.tags").unlink()
    beside = aligned("tags").as_dict()
    named = aligned("tags", label_files=[folder / "other" / f"{split}.tags" for split in ("train", "valid")])
    assert named.as_dict()["labels"] == beside["labels"]


def test_reports(folder: Path) -> None:
    """Duplicates between splits, labels that train lacks, a single label, tags that break the scheme."""
    for name in ("form", "tags", "spans"):
        first = Path(f"train.{name}").read_text(encoding="utf-8").splitlines()[0]
        rewrite(f"valid.{name}", lambda lines, first=first: [first, *lines[1:]])  # type: ignore[misc]
    rewrite("valid.tags", lambda lines: [*lines[:-1], lines[-1].replace("WORD", "NEW")])
    rewrite("train.spans", lambda lines: [lines[0].replace("O", "I-NP", 1), *lines[1:]])
    tokenize.run(tokenize_options.TokenizeOptions(files=[Path("valid.form")], type="spaces", overwrite=True))
    events: list[Event] = []
    result = aligned("tags", "spans", listen=events.append)
    warnings = " | ".join(event.text for event in events if isinstance(event, WarningEvent))
    for value in ("1 of", "occur in train", "valid.tags", "NEW", "train.spans", "line 1", "I-NP"):
        assert value in warnings, value
    data = LabelledData.open(result.data)
    assert UNSEEN in data.side("valid", "tags").ids
    assert UNSEEN not in data.side("train", "tags").ids
    assert result.as_dict()["splits"]["valid"]["unseen"].keys() == {"tags"}
    rewrite("train.long", lambda lines: ["same"] * len(lines))
    rewrite("valid.long", lambda lines: ["same"] * len(lines))
    events.clear()
    aligned("long", listen=events.append)
    assert any("single label" in event.text for event in events if isinstance(event, WarningEvent))


def test_filters(folder: Path) -> None:
    first = Path("train.form").read_text(encoding="utf-8").splitlines()[0]
    tags = Path("train.tags").read_text(encoding="utf-8").splitlines()[0]
    for name, line in (("form", first), ("tags", tags)):
        rewrite(f"train.{name}", lambda lines, line=line: [*lines, line])  # type: ignore[misc]
        rewrite(f"valid.{name}", lambda lines, line=line: [*lines, line])  # type: ignore[misc]
    files = [Path("train.form"), Path("valid.form")]
    tokenize.run(tokenize_options.TokenizeOptions(files=files, type="spaces", overwrite=True))
    total = len(Path("train.form").read_text(encoding="utf-8").splitlines())
    kept = {
        name: aligned("tags", **changes).splits["train"]
        for name, changes in (
            ("all", {}),
            ("distinct", {"drop_duplicates": True}),
            ("not leaked", {"drop_leaked": True}),
            ("truncated", {"max_length": 3}),
            ("dropped", {"max_length": 3, "long": "drop"}),
        )
        if name != "dropped"
    }
    assert kept["all"].sentences == total
    assert kept["distinct"].dropped == {"duplicate": 1}
    assert kept["not leaked"].dropped["in valid or test"] >= 2
    assert (kept["truncated"].sentences, kept["truncated"].longest) == (total, 4)
    with raises(DataError, "train"):
        aligned("tags", max_length=1, long="drop")


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"labels": ["tags"], "source": "form", "target": "x", "text": None}, "--labels"),
        ({"labels": ["tags"], "shard": "1/2"}, "--shard"),
        ({"labels": ["tags"], "length": 5}, "--length"),
        ({"labels": ["tags", "tags"]}, "--labels"),
        ({"labels": ["form"]}, "--labels"),
        ({"labels": ["many"], "multi_label": True, "soft_labels": True}, "--multi-label"),
        ({"labels": ["many"], "multi_label": True, "label_level": "word"}, "--label-level"),
        ({"labels": [], "weights": "weight"}, "--weights"),
        ({"labels": ["tags"], "label_files": [Path("train.other")]}, "--label-files"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(folder: Path, changes: dict[str, Any], option: str) -> None:
    with raises(UsageError, option=option):
        align.run(align_options.AlignOptions(**{"text": "form", "overwrite": True, **changes}))


@pytest.mark.parametrize(
    ("column", "change", "line"),
    [
        ("tags", lambda lines: [lines[0], "X", *lines[2:]], 2),
        ("tags", lambda lines: [*lines[:3], f"{lines[3]} X", *lines[4:]], 4),
        ("tags", lambda lines: lines[:-1], None),
        ("tags", lambda lines: [*lines, "X"], None),
        ("long", lambda lines: [*lines[:5], "", *lines[6:]], 6),
    ],
)
def test_labels_that_do_not_fit_the_text(
    folder: Path, column: str, change: Callable[[list[str]], list[str]], line: int | None
) -> None:
    rewrite(f"train.{column}", change)
    with raises(DataError, f"train.{column}", line=line):
        aligned(column)
    assert not Path("work/data").exists()


def test_missing_and_changed_files(folder: Path) -> None:
    with raises(DataError, "train.absent", path=Path("train.absent")):
        aligned("absent")
    with Path("train.form").open("a", encoding="utf-8") as file:
        file.write("new\n")
    with raises(ArtefactError, path=Path("train.form")):
        aligned("tags")
    Path("train.form").unlink()
    with raises(DataError, "train.form"):
        aligned("tags")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("words.txt", lambda data: data[: len(data) // 2]),
        ("labels.tags.tsv", lambda data: data.replace(b"\t", b" ", 1)),
        ("labels.tags.tsv", lambda data: data + data),
        ("train.tags.ids.npy", lambda data: data[:-4] + b"\xff\x7f\0\0"),
        ("train.tags.offsets.npy", lambda data: data[:-8]),
        ("words.form.ids.npy", lambda data: data[:-2]),
    ],
)
def test_damaged_data_is_named(made: Path, tmp_path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    shutil.copytree(made / "data", tmp_path / "data")
    path = tmp_path / "data" / name
    path.write_bytes(damage(path.read_bytes()))
    with raises(FormatError, tmp_path / "data"):
        LabelledData.open(tmp_path / "data")
