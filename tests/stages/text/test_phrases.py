"""`phrases`: from text to text with joined phrases, and their list."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, FormatError, RnnkitError, UsageError
from rnnkit.events import Event, Note, WarningEvent
from rnnkit.io import manifest
from rnnkit.stages.text.phrases import PhrasesOptions, open_filter, run

TEXT = "new york city is big\n\nnew york city\na big york\nnew york city is new\n"
SMALL: dict[str, Any] = {"min_count": 2, "threshold": 1.0, "discount": 0.0}


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("train.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path


def options(**changes: Any) -> PhrasesOptions:
    return PhrasesOptions(**{"files": [Path("train.txt")], "output": Path("out.txt"), **SMALL, **changes})


def refused(
    kind: type[RnnkitError], *values: object, path: str | None = None, option: str | None = None, **changes: Any
) -> None:
    """Check that the command with changed options fails with this error, whose message names the values."""
    with raises(kind, *values, path=path, option=option):
        run(options(**changes))


def rows(path: str = "out.txt.phrases.tsv") -> list[list[str]]:
    return [line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_one_pass(corpus: Path) -> None:
    result = run(options())
    # 16 words; york city 3 / (4 * 3), city is 2 / (3 * 2), new york 3 / (4 * 4)
    assert rows() == [
        ["city_is", "2", "5.33333", "1", "city is"],
        ["york_city", "3", "4", "1", "york city"],
        ["new_york", "3", "3", "1", "new york"],
    ]
    assert Path("out.txt").read_text() == "new_york city_is big\n\nnew_york city\na big york\nnew_york city_is new\n"
    assert result.lines == ("out.txt: 5 lines, 16 words joined to 11", "out.txt.phrases.tsv: 3 phrases")
    assert json.loads(json.dumps(result.as_dict())) == {
        "output": "out.txt", "lines": 5, "words_before": 16, "words_after": 11,
        "list": "out.txt.phrases.tsv", "phrases": 3,
    }  # fmt: skip
    meta = manifest.read(Path("out.txt.phrases.tsv"), "phrases", 1)
    assert meta.facts == {"phrases": 3, "words": 16}
    assert meta.inputs.keys() == {"train.txt"}
    assert manifest.find_mismatches(Path("out.txt.phrases.tsv")) == []


def test_passes_files_and_delimiter(corpus: Path) -> None:
    Path("more.txt").write_text("new york city\n", encoding="utf-8")
    heard: list[Event] = []
    run(options(files=[Path("train.txt"), Path("more.txt")], passes=3, delimiter="~", threshold=4.0), heard.append)
    assert Path("out.txt").read_text() == (
        "new york city~is big\n\nnew york city\na big york\nnew york city~is new\nnew york city\n"
    )
    assert [event.text for event in heard if isinstance(event, Note)] == [
        "pass 1: 1 phrases in 19 words",
        "pass 2: 0 phrases in 17 words",
    ], "a pass that finds nothing is the last"
    run(options(passes=3, threshold=2.5, overwrite=True))
    assert Path("out.txt").read_text().splitlines()[0] == "new_york_city_is big"
    assert [row[3:] for row in rows()] == [
        ["1", "city is"], ["1", "york city"], ["1", "new york"], ["2", "new_york city_is"],
    ]  # fmt: skip


def test_npmi(corpus: Path) -> None:
    run(options(scoring="npmi", threshold=0.7, discount=None))
    assert [row[0] for row in rows()] == ["york_city", "city_is"]
    refused(UsageError, "npmi", -1, 1, option="--threshold", scoring="npmi", threshold=1.0)
    refused(UsageError, "npmi", option="--discount", scoring="npmi", threshold=0.0)


def test_list_applies_to_other_text(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(options(passes=2, threshold=2.5))
    found = Path("out.txt.phrases.tsv")
    again = run(options(phrases=found, output=Path("again.txt")))
    assert Path("again.txt").read_bytes() == Path("out.txt").read_bytes()
    assert not Path("again.txt.phrases.tsv").exists(), "a list exists already"
    assert again.list == found
    assert list(open_filter(PhrasesOptions(files=[Path("train.txt")], phrases=found))) == TEXT_JOINED
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert list(open_filter(PhrasesOptions(phrases=found))) == TEXT_JOINED
    heard: list[Event] = []
    found.write_text("".join(found.read_text().splitlines(keepends=True)[1:]))
    list(open_filter(PhrasesOptions(files=[Path("train.txt")], phrases=found), heard.append))
    (warning,) = heard
    assert isinstance(warning, WarningEvent)
    assert "out.txt.phrases.tsv" in warning.text


TEXT_JOINED = ["new_york_city_is big", "", "new_york city", "a big york", "new_york_city_is new"]


def test_warns_of_pruning_and_high_threshold(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnkit.text.phrase_detection.BUFFER_WORDS", 4)
    heard: list[Event] = []
    run(options(max_pairs=2), heard.append)
    pruned = next(event.text for event in heard if isinstance(event, WarningEvent))
    assert all(value in pruned for value in ("more than 2", "by 1 or more", "--max-pairs"))
    run(options(threshold=1e6, overwrite=True), heard.append)
    assert Path("out.txt").read_text() == TEXT, "nothing is joined"
    assert any(
        "1e+06" in event.text and "--threshold" in event.text for event in heard if isinstance(event, WarningEvent)
    )


def test_keeps_existing_outputs_and_inputs(corpus: Path) -> None:
    run(options())
    refused(ArtefactError, "--overwrite", path="out.txt")
    Path("out.txt").unlink()
    refused(ArtefactError, path="out.txt.phrases.tsv")
    refused(ArtefactError, "train.txt", "--output", path="train.txt", output=Path("./train.txt"), overwrite=True)
    assert Path("train.txt").read_text() == TEXT


def test_refuses_invalid_options_and_files(corpus: Path) -> None:
    refused(UsageError, "standard input", option="--output", files=[])
    for delimiter in ("", " ", "a b"):
        refused(UsageError, repr(delimiter), option="--delimiter", delimiter=delimiter)
    refused(DataError, "none.txt", files=[Path("none.txt")])
    Path("empty.txt").write_text("\n \n")
    refused(DataError, path="empty.txt", files=[Path("empty.txt")])
    Path("bad.txt").write_bytes(b"a\nb\xff\n")
    refused(DataError, "bad.txt:2:2", "0xff", files=[Path("bad.txt")])
    assert not Path("out.txt").exists()
    refused(FormatError, "train.txt:1", phrases=Path("train.txt"))
    with raises(UsageError, "--phrases", option="--output"):
        open_filter(PhrasesOptions(files=[Path("train.txt")]))
    with raises(DataError, path="none.txt"):
        run(options())
        open_filter(PhrasesOptions(files=[Path("none.txt")], phrases=Path("out.txt.phrases.tsv")))
