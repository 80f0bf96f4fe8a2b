"""`tokenize`: from text to token files and a tokenizer."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, RnnkitError, UsageError
from rnnkit.events import Event, Note, Progress, WarningEvent
from rnnkit.io import manifest
from rnnkit.options.declare import STDIN
from rnnkit.stages.text import detokenize
from rnnkit.stages.text.tokenize import is_filter, open_filter, run
from rnnkit.stages.text.tokenize_options import TokenizeOptions, TokenizeResult
from rnnkit.text.tokenizer_store import load_tokenizer, read_tokenizer_identity
from rnnkit.text.unicode import Normalizer

DE = ["Zwei Hunde spielen im Schnee.", "", "  Ein Mann  schläft\u00a0hier. ", "</s> ▁ ￭ <0x0A>", "Ja!"] * 8
EN = ["Two dogs play in the snow.", "", "A man sleeps here.", "<unk>", "Yes!"] * 8

Hear = list[Event]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the texts of three splits into the working directory."""
    monkeypatch.chdir(tmp_path)
    for split, lines in (("train", 40), ("valid", 10), ("test", 5)):
        Path(f"{split}.de").write_text("".join(f"{line}\n" for line in DE[:lines]), encoding="utf-8")
        Path(f"{split}.en").write_text("".join(f"{line}\n" for line in EN[:lines]), encoding="utf-8")
    return tmp_path


def options(*files: str, **others: object) -> TokenizeOptions:
    return replace(TokenizeOptions(files=[Path(file) for file in files]), **others)  # type: ignore[arg-type]


def tokens(name: str) -> list[str]:
    return Path(f"work/tokens/{name}.tok").read_text(encoding="utf-8").split("\n")[:-1]


def refused(
    kind: type[RnnkitError],
    wanted: TokenizeOptions,
    *values: object,
    path: str | None = None,
    option: str | None = None,
) -> None:
    """Check that the command fails with this error, whose message names the values."""
    with raises(kind, *values, path=path, option=option):
        run(wanted)


@pytest.mark.parametrize("kind", ["words", "spaces", "chars", "bytes", "unigram", "bpe"])
def test_round_trip_keeps_lines(corpus: Path, kind: str) -> None:
    result = run(options("train.de", "train.en", "valid.de", type=kind))
    assert result.learned
    assert [(file.path.name, file.lines) for file in result.files] == [
        ("train.de.tok", 40),
        ("train.en.tok", 40),
        ("valid.de.tok", 10),
    ]
    assert [bool(line) for line in tokens("train.de")] == [bool(line) for line in DE]
    assert result.files[0].tokens == sum(len(line.split()) for line in tokens("train.de"))
    back = detokenize.open_filter(detokenize.DetokenizeOptions(files=[Path("work/tokens/train.de.tok")]))
    assert list(back) == [Normalizer()(line) for line in DE]


def test_manifests_list_inputs(corpus: Path) -> None:
    run(options("train.de", "train.en"))
    meta = manifest.read(Path("work/tokens/train.de.tok"), "tokens", 1)
    assert meta.inputs == {
        "text": manifest.sha256(Path("train.de")),
        "tokenizer": read_tokenizer_identity(Path("work/tokenizer")),
    }
    assert meta.facts["lines"] == 40
    assert (meta.facts["split"], meta.facts["language"], meta.facts["samples"]) == ("train", "de", 0)
    assert manifest.find_mismatches(Path("work/tokens/train.de.tok")) == []
    learned = manifest.read(Path("work/tokenizer"), "tokenizer", 1)
    assert learned.inputs == {name: manifest.sha256(Path(name)) for name in ("train.de", "train.en")}


def test_the_same_command_gives_the_same_bytes(corpus: Path) -> None:
    for work, threads in (("a", 1), ("b", 2)):
        run(options("train.de", "train.en", "test.de", work=Path(work), threads=threads, samples=2))
    for path in (path.relative_to("a") for path in Path("a").rglob("*.tok")):
        assert (Path("a") / path).read_bytes() == (Path("b") / path).read_bytes()
    assert Path("a/tokenizer/meta.json").read_bytes() == Path("b/tokenizer/meta.json").read_bytes()


def test_a_later_file_reuses_the_tokenizer(corpus: Path) -> None:
    run(options("train.de", "train.en", type="bpe"))
    before = Path("work/tokenizer/model.spm").read_bytes()
    heard: Hear = []
    result = run(options("test.de"), heard.append)
    assert not result.learned
    assert heard[0] == Note(f"tokenizer work/tokenizer: {load_tokenizer(Path('work/tokenizer'))}")
    assert result.as_dict()["settings"]["type"] == "bpe"
    assert Path("work/tokenizer/model.spm").read_bytes() == before
    refused(ArtefactError, options("test.en", type="unigram"), "work/tokenizer", "--type bpe", "--type unigram")
    refused(ArtefactError, options("test.en", lowercase=True), "--lowercase true")
    refused(ArtefactError, options("test.en", normalize="nfkc"), "--normalize nfc", "--normalize nfkc")
    run(options("test.en", type="bpe", lowercase=False, normalize="nfc"))


def test_overwrite_warns_of_stale_files(corpus: Path) -> None:
    run(options("train.de", "valid.de", type="words"))
    taken = "work/tokens/train.de.tok"
    refused(ArtefactError, options("train.de", "valid.de", "test.de"), taken, "--overwrite", "--output", path=taken)
    assert not Path("work/tokens/test.de.tok").exists()
    heard: Hear = []
    assert run(options("train.de", type="chars", overwrite=True), heard.append).learned
    assert ["work/tokens/valid.de.tok" in event.text for event in heard if isinstance(event, WarningEvent)] == [True]
    assert tokens("train.de")[-1] == "J a !"
    assert not run(options("valid.de", overwrite=True)).learned  # without train files the tokenizer stays
    assert tokens("valid.de")[-1] == "J a !"


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_failed_file_leaves_the_workspace_unchanged(corpus: Path, kind: str) -> None:
    """An error in one file leaves the tokenizer and all token files as they were."""
    run(options("train.de", "valid.de", type="chars"))
    before = {path: path.read_bytes() for path in Path("work").rglob("*") if path.is_file()}
    Path("valid.en").write_bytes(b"caf\xe9\n")
    refused(DataError, options("train.de", "valid.en", type=kind, overwrite=True))
    assert {path: path.read_bytes() for path in Path("work").rglob("*") if path.is_file()} == before


def test_raw_lines_of_held_out_parts_are_kept(corpus: Path) -> None:
    run(options("train.de", "valid.de", "test.de", type="words"))
    assert sorted(path.name for path in Path("work/tokens").glob("*.raw")) == ["test.de.tok.raw", "valid.de.tok.raw"]
    assert Path("work/tokens/valid.de.tok.raw").read_bytes() == Path("valid.de").read_bytes()
    assert manifest.find_mismatches(Path("work/tokens/valid.de.tok")) == []
    Path("work/tokens/valid.de.tok.raw").write_text("other\n", encoding="utf-8")
    (mismatch,) = manifest.find_mismatches(Path("work/tokens/valid.de.tok"))
    assert all(value in mismatch for value in ("valid.de.tok.raw", "6 bytes", str(Path("valid.de").stat().st_size)))
    run(options("valid.de", overwrite=True))
    assert manifest.find_mismatches(Path("work/tokens/valid.de.tok")) == []
    Path("out").mkdir()
    Path("out/test.de.tok.raw").write_text("mine\n", encoding="utf-8")
    refused(ArtefactError, options("test.de", output=Path("out"), overwrite=True), "out/test.de.tok.raw")
    assert Path("out/test.de.tok.raw").read_text(encoding="utf-8") == "mine\n"


def test_white_space_is_kept_with_none(corpus: Path) -> None:
    line = "  Il dit\u00a0:  «\u202fnon\u202f»\t"
    Path("train.fr").write_text(f"{line}\n" * 9, encoding="utf-8")
    for kind in ("words", "chars", "bytes", "unigram", "bpe"):
        work = Path(f"work.{kind}")
        result = run(options("train.fr", type=kind, normalize="none", work=work))
        assert result.settings["exact"] is True
        found = detokenize.open_filter(detokenize.DetokenizeOptions([work / "tokens" / "train.fr.tok"], work=work))
        assert set(found) == {line}
    assert "exact" not in run(options("train.fr", type="spaces", normalize="none", work=Path("spaces"))).settings
    assert "exact" not in run(options("train.fr", type="words", work=Path("nfc"))).settings


def test_names_of_files(corpus: Path) -> None:
    Path("val.de.gz").write_bytes(gzip.compress(Path("valid.de").read_bytes()))
    Path("corpus.txt").write_text("ein Satz\n")
    Path("plain").write_text("ein Satz\n")
    result = run(options("val.de.gz", "corpus.txt", "plain", type="words", output=Path("out")))
    assert [str(file.path) for file in result.files] == ["out/val.de.tok", "out/corpus.txt.tok", "out/plain.text.tok"]
    assert manifest.read(Path("out/val.de.tok"), "tokens", 1).facts["split"] == "valid"
    assert (Path("out/val.de.tok")).read_text(encoding="utf-8").startswith("Zwei Hunde spielen im Schnee ￭.\n\n")
    refused(UsageError, options("train.de", "./train.de"), "work/tokens/train.de.tok", path="train.de")


def test_refuses_to_train_without_text(corpus: Path) -> None:
    refused(DataError, options("test.de"), "work/tokenizer", path="work/tokenizer", option="--learn-from")
    result = run(options("test.de", learn_from=[Path("train.de"), Path("train.en")], model=Path("tokenizer")))
    assert result.learned
    assert manifest.read(Path("tokenizer"), "tokenizer", 1).inputs.keys() == {"train.de", "train.en"}
    assert not run(options("test.en", model=Path("tokenizer"), work=Path("other"))).learned


def test_sizes(corpus: Path) -> None:
    heard: Hear = []
    size = run(options("train.de"), heard.append).settings["size"]
    assert any(str(size) in event.text and "8,000" in event.text for event in heard if isinstance(event, Note))
    refused(DataError, options("train.de", size=3000, work=Path("w")), "--size 3000")
    assert not Path("w/tokenizer").exists()
    assert run(options("train.de", size=size - 1, work=Path("w"))).settings["size"] == size - 1
    refused(UsageError, options("train.de", type="words", size=100, work=Path("v")), "words", option="--size")


def test_case_and_form(corpus: Path) -> None:
    Path("train.xx").write_text("ﬁN E\u0301\n", encoding="utf-8")
    result = run(options("train.xx", type="chars", lowercase=True, normalize="nfkc"))
    assert tokens("train.xx") == ["f i n ▁ é"]
    assert str(load_tokenizer(result.tokenizer)) == "chars, nfkc, lower case"


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_samples_stay_parallel(corpus: Path, kind: str) -> None:
    wanted = options("train.de", "train.en", "valid.de", type=kind, samples=3, alpha=0.3)
    result = run(wanted)
    assert [file.lines for file in result.files] == [120, 120, 10]
    tokenizer = load_tokenizer(result.tokenizer)
    for name, lines in (("train.de", DE), ("train.en", EN)):
        drawn = tokens(name)
        assert [tokenizer.detokenize(line.split()) for line in drawn] == [
            Normalizer()(line) for line in lines for _ in range(3)
        ]
        assert len(set(drawn)) > 2 * len(set(lines))
    assert manifest.read(Path("work/tokens/train.de.tok"), "tokens", 1).facts["samples"] == 3
    first = tokens("train.de")
    run(replace(wanted, overwrite=True, seed=2))
    assert tokens("train.de") != first
    run(replace(wanted, overwrite=True))
    assert tokens("train.de") == first


def test_samples_need_train_files_and_subwords(corpus: Path) -> None:
    refused(UsageError, options("train.de", type="words", samples=2), "words", option="--samples")
    refused(UsageError, options("valid.de", samples=2), "train", option="--samples")
    run(options("valid.de", type="words"))
    refused(UsageError, options("train.de", samples=2), "words", option="--samples")


def test_line_ends_and_byte_order_marks(corpus: Path) -> None:
    Path("train.xx").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n\r\n")
    run(options("train.xx", type="words"))
    assert tokens("train.xx") == ["one", "two", ""]


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"", ["{path}"]),
        (b"\n \n\t\r\n", ["{path}", "3"]),
        (b"gut\nsch\xf6n\n", ["{path}:2:4", "0xf6"]),
        (b"a\0b\n", ["{path}:1:2", "NUL"]),
        ("gut\n".encode("utf-16"), ["{path}", "UTF-16", "UTF-8"]),
        (b"a" * 50_000_000, ["{path}:1", "1,000,000"]),
    ],
    ids=["empty", "blank", "latin 1", "NUL", "UTF-16", "50 MB line"],
)
@pytest.mark.parametrize("name", ["train.xx", "test.xx"])
def test_refuses_bad_text(corpus: Path, name: str, content: bytes, values: list[str]) -> None:
    Path(name).write_bytes(content)
    refused(DataError, options("train.de", name), *(value.format(path=name) for value in values))
    assert not list(Path("work").rglob("*.tok"))


def test_refuses_missing_files_and_bad_outputs(corpus: Path) -> None:
    refused(DataError, options("train.de", "train.fr"), "train.fr")
    refused(DataError, options("."), "folder", path=".")
    refused(UsageError, options("train.de", "-"), "-")
    Path("taken").write_text("")
    refused(ArtefactError, options("train.de", output=Path("taken")), "taken")
    refused(ArtefactError, options("train.de", type="words", model=Path("taken/tokenizer")), "taken/tokenizer")


def test_progress_ends_with_the_last_line(corpus: Path) -> None:
    heard: Hear = []
    run(options("train.de", type="words"), heard.append)
    assert [event for event in heard if isinstance(event, Progress)][-1] == Progress(
        "tokenize train.de", 40, 40, finished=True
    )


def test_reports(corpus: Path) -> None:
    result = run(options("valid.de", type="chars"))
    assert isinstance(result, TokenizeResult)
    assert result.lines == ("work/tokens/valid.de.tok: 10 lines, 142 tokens",)
    assert json.loads(json.dumps(result.as_dict())) == {
        "tokenizer": "work/tokenizer",
        "settings": {"type": "chars", "normalise": "nfc", "lowercase": False},
        "learned": True,
        "files": [{"path": "work/tokens/valid.de.tok", "lines": 10, "tokens": 142}],
    }


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put text on standard input."""

    def put(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return put


def test_a_filter(corpus: Path, typed: Callable[[str], None]) -> None:
    assert is_filter(options())
    assert is_filter(TokenizeOptions(files=[STDIN]))
    assert not is_filter(options("train.de"))
    typed("Ja, gut\n\nx\n")
    assert list(open_filter(options(type="words"))) == ["Ja ￭, gut", "", "x"]
    assert not Path("work").exists()
    with raises(DataError, path="work/tokenizer", option="--model"):
        open_filter(options())
    run(options("train.de", type="chars"))
    typed("ab\n")
    assert list(open_filter(options())) == ["a b"]
    with raises(ArtefactError, "--type chars", "--type words"):
        open_filter(options(type="words"))
    with raises(UsageError, option="--samples"):
        open_filter(options(samples=2))


def test_features_are_kept_and_refused_by_line(corpus: Path, typed: Callable[[str], None]) -> None:
    Path("train.lemma").write_text("gehen\tV;PST\nAa\n\n\tV\n", encoding="utf-8")
    Path("train.form").write_text("ging\nAa\n\nx\n", encoding="utf-8")
    result = run(options("train.lemma", "train.form", type="chars", features=True))
    assert tokens("train.lemma") == ["␉V ␉PST g e h e n", "A a", "", "␉V"]
    assert tokens("train.form") == ["g i n g", "A a", "", "x"]
    assert result.files[0].tokens == 10
    assert manifest.read(Path("work/tokens/train.lemma.tok"), "tokens", 1).facts["features"] is True
    assert manifest.read(Path("work/tokenizer"), "tokenizer", 1).options["features"] is True
    typed("sehen\tV;\n")
    assert list(open_filter(options())) == ["␉V s e h e n"]
    Path("test.lemma").write_text("a\tV\nb\tV\tPST\n", encoding="utf-8")
    refused(DataError, options("test.lemma"), "test.lemma:2", "2 TABs")
    typed("a\na\tb␉\n")
    reading = open_filter(options())
    assert next(reading) == "a"
    with raises(DataError, "standard input:2", "'b␉'"):
        next(reading)
    refused(ArtefactError, options("test.lemma", features=False), "--features true", "--features false")
    back = detokenize.open_filter(detokenize.DetokenizeOptions(files=[Path("work/tokens/train.lemma.tok")]))
    assert list(back) == ["gehen", "Aa", "", ""]


def test_without_features_a_tab_is_white_space(corpus: Path, typed: Callable[[str], None]) -> None:
    Path("train.lemma").write_text("gehen\tV\tPST\n", encoding="utf-8")
    run(options("train.lemma", type="words", features=False))
    assert tokens("train.lemma") == ["gehen V PST"]
    assert manifest.read(Path("work/tokens/train.lemma.tok"), "tokens", 1).facts["features"] is False
    typed("a\tb\n")
    assert list(open_filter(options(type="words", features=True, work=Path("none")))) == ["␉b a"]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_subwords_ignore_features(corpus: Path, kind: str) -> None:
    Path("train.tags").write_text("".join(f"{line}\tqqq;PST\n" for line in DE), encoding="utf-8")
    run(options("train.de", type=kind, work=Path("plain")))
    run(options("train.tags", type=kind, features=True, samples=3, work=Path("tags")))
    assert Path("plain/tokenizer/model.spm").read_bytes() == Path("tags/tokenizer/model.spm").read_bytes()
    lines = Path("tags/tokens/train.tags.tok").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3 * len(DE)
    assert all(line.split()[:2] == ["␉qqq", "␉PST"] for line in lines)
    assert all("qqq" not in line.removeprefix("␉qqq") for line in lines)
