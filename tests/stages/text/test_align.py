"""`align`: from token files and a vocabulary to encoded data."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.data.aligned_data import AlignedData
from rnnkit.errors import ArtefactError, DataError, RnnkitError, UsageError
from rnnkit.events import Event, Note, Progress, WarningEvent, null_listener
from rnnkit.io import manifest
from rnnkit.stages.text import tokenize, tokenize_options, vocab
from rnnkit.stages.text.align import run
from rnnkit.stages.text.align_options import AlignOptions
from rnnkit.text.special_tokens import EOS, PAD, UNK
from rnnkit.text.tokenizer_store import read_tokenizer_identity
from rnnkit.text.vocabulary import Vocabulary

TEXTS = {
    "train.de": "ein Hund\n\nein Mann und ein Hund\nja\nein Hund\nnein\n",
    "train.en": "a dog\na cat\na man and a dog\n\na dog\nno\n",
    "valid.de": "nein\n\nein Kater\n",
    "valid.en": "no\nx\na cat\n",
    "test_2016.de": "ein\n\nein Mann und ein Hund\n",
    "test_2016.en": "a\nb\na man and\n",
}
PAIR = AlignOptions(source="de", target="en")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a workspace with tokens and a joint vocabulary, and change to its parent."""
    monkeypatch.chdir(tmp_path)
    for name, text in TEXTS.items():
        Path(name).write_text(text, encoding="utf-8")
    tokenize.run(tokenize_options.TokenizeOptions(files=[Path(name) for name in TEXTS], type="words"))
    vocab.run(vocab.VocabOptions())
    return tmp_path / "work"


def aligned(options: AlignOptions = PAIR, heard: list[Event] | None = None) -> AlignedData:
    return AlignedData.open(
        run(replace(options, overwrite=True), null_listener if heard is None else heard.append).data
    )


def test_keep_empty(work: Path) -> None:
    data = aligned(AlignOptions(text="de", keep_empty=True))
    assert words(data, "train", "de")[:3] == ["ein Hund </s>", "</s>", "ein Mann und ein Hund </s>"]
    assert (dropped(data), dropped(data, "valid")) == ({}, {})
    with raises(UsageError, option="--keep-empty"):
        aligned(replace(PAIR, keep_empty=True))


def test_warns_of_blank_lines(work: Path) -> None:
    def warned(options: AlignOptions) -> list[str]:
        heard: list[Event] = []
        aligned(options, heard)
        return [
            event.text for event in heard if isinstance(event, WarningEvent) and event.text.startswith("blank lines")
        ]

    (warning,) = warned(AlignOptions(text="de"))
    assert all(value in warning for value in ("train (1), valid (1)", "test_2016 (1)", "--keep-empty"))
    assert warned(AlignOptions(text="de", keep_empty=True)) == [], "all splits alike"
    assert warned(PAIR) == [], "sentence pairs are not language model data"
    Path("work/tokens/test_2016.de.tok").unlink()
    Path("work/tokens/test_2016.de.tok.meta.json").unlink()
    assert warned(AlignOptions(text="de")) == [], "train and valid are alike"


def test_merge_warns_of_blank_lines(work: Path) -> None:
    heard: list[Event] = []
    for number in (1, 2):
        run(AlignOptions(text="de", shard=f"{number}/2"), heard.append)
    assert not [event for event in heard if isinstance(event, WarningEvent) and event.text.startswith("blank lines")]
    run(AlignOptions(merge=True), heard.append)
    (warning,) = (
        event.text for event in heard if isinstance(event, WarningEvent) and event.text.startswith("blank lines")
    )
    assert "train (1), valid (1)" in warning


def words(data: AlignedData, split: str, side: str) -> list[str]:
    """Decode the sentences, with EOS and PAD."""
    sentences = data.side(split, side)
    separate = Path(f"work/vocab.{side}.tsv")
    vocabulary = Vocabulary.load(separate if separate.exists() else Path("work/vocab.tsv"))
    rows = [sentences.ids[sentences.offsets[row] : sentences.offsets[row + 1]] for row in range(len(sentences))]
    return [" ".join(vocabulary.decode(row.tolist())) for row in rows]


def dropped(data: AlignedData, split: str = "train") -> dict[str, int]:
    counts: dict[str, int] = data.meta.facts["splits"][split]["dropped"]
    return counts


def refused(
    kind: type[RnnkitError],
    wanted: AlignOptions,
    *values: object,
    path: str | None = None,
    option: str | None = None,
) -> None:
    """Check that the command fails with this error, whose message names the values."""
    with raises(kind, *values, path=path, option=option):
        run(wanted)


def test_two_sides(work: Path) -> None:
    data = aligned()
    assert (data.task, data.sides, data.splits) == ("parallel", ("de", "en"), ("train", "valid", "test_2016"))
    assert words(data, "train", "de") == ["ein Hund </s>", "ein Mann und ein Hund </s>", "ein Hund </s>", "nein </s>"]
    assert words(data, "train", "en") == ["a dog </s>", "a man and a dog </s>", "a dog </s>", "no </s>"]
    assert words(data, "valid", "de") == ["nein </s>", "ein <unk> </s>"]
    assert dropped(data) == {"empty": 2}
    assert dropped(data, "valid") == {"empty": 1}
    assert data.meta.facts["splits"]["valid"]["unknown"] == {"de": 1, "en": 0}


def test_test_split_keeps_every_line(work: Path) -> None:
    data = aligned(replace(PAIR, max_length=3))
    assert words(data, "test_2016", "de") == ["ein </s>", "</s>", "ein Mann </s>"]
    assert words(data, "test_2016", "en") == ["a </s>", "<unk> </s>", "a man </s>"]
    assert dropped(data, "test_2016") == {}
    assert data.meta.facts["splits"]["test_2016"]["truncated"] == 1


def test_other_direction_and_one_side(work: Path) -> None:
    assert aligned(AlignOptions(source="en", target="de")).sides == ("en", "de")
    data = aligned(AlignOptions(text="de"))
    assert (data.task, data.sides) == ("text", ("de",))
    assert words(data, "train", "de")[2:4] == ["ja </s>", "ein Hund </s>"]
    for path in Path("work/tokens").glob("*.en.tok*"):
        path.unlink()
    assert aligned(AlignOptions()).sides == ("de",)


def test_separate_vocabulary_for_each_side(work: Path) -> None:
    vocab.run(vocab.VocabOptions(separate=True))
    refused(ArtefactError, PAIR, "work/vocab.tsv", "work/vocab.de.tsv", option="--vocab")
    Path("work/vocab.tsv").unlink()
    data = aligned()
    assert words(data, "train", "en")[0] == "a dog </s>"
    assert data.vocabulary_size("de") == len(Vocabulary.load(Path("work/vocab.de.tsv")))
    names = ("vocabulary.de", "vocabulary.en")
    digests = [manifest.sha256(Path(f"work/vocab.{side}.tsv")) for side in ("de", "en")]
    assert [data.meta.inputs[name] for name in names] == digests
    named = replace(PAIR, vocab=[Path("work/vocab.de.tsv"), Path("work/vocab.en.tsv")])
    assert aligned(named).meta.inputs == data.meta.inputs
    Path("work/vocab.en.tsv").unlink()
    refused(DataError, replace(PAIR, overwrite=True), "`rnnkit vocab`", path="work/vocab.en.tsv")


def test_manifest_lists_inputs(work: Path) -> None:
    inputs = aligned().meta.inputs
    assert inputs["vocabulary"] == manifest.sha256(Path("work/vocab.tsv"))
    assert inputs["tokenizer"] == read_tokenizer_identity(Path("work/tokenizer"))
    assert inputs["train.de"] == manifest.sha256(Path("work/tokens/train.de.tok"))
    assert inputs["test_2016.en"] == manifest.sha256(Path("work/tokens/test_2016.en.tok"))
    assert manifest.find_mismatches(Path("work/data")) == []


def test_the_same_command_gives_the_same_bytes(work: Path) -> None:
    for name in ("a", "b"):
        run(replace(PAIR, output=Path(name)))
    for path in Path("a").glob("*.npy"):
        assert path.read_bytes() == (Path("b") / path.name).read_bytes()


def test_lengths(work: Path) -> None:
    heard: list[Event] = []
    data = aligned(replace(PAIR, max_length=4), heard)
    assert dropped(data) == {"empty": 2, "too long": 1}
    warnings = [event.text for event in heard if isinstance(event, WarningEvent)]
    train, test = (next(text for text in warnings if text.startswith(name)) for name in ("train", "test_2016"))
    assert all(value in train for value in ("3 of 6 lines", "2 empty, 1 too long"))
    assert "1 lines" in test
    data = aligned(replace(PAIR, max_length=4, long="truncate"))
    assert words(data, "train", "de")[1] == "ein Mann und </s>"
    assert (dropped(data), data.meta.facts["splits"]["train"]["truncated"]) == ({"empty": 2}, 1)
    data = aligned(replace(PAIR, max_length=4, long="truncate", truncate_side="left"))
    assert words(data, "train", "en")[1] == "and a dog </s>"


@pytest.mark.parametrize(
    ("pad", "cut", "rows"),
    [
        ("right", "right", ["ein Hund </s>", "ein Mann </s>", "nein </s> <pad>"]),
        ("left", "left", ["ein Hund </s>", "ein Hund </s>", "<pad> nein </s>"]),
    ],
)
def test_fixed_length(work: Path, pad: str, cut: str, rows: list[str]) -> None:
    data = aligned(replace(PAIR, length=3, pad_side=pad, truncate_side=cut))
    assert words(data, "train", "de") == [rows[0], rows[1], rows[0], rows[2]]
    sentences = data.side("train", "de")
    assert PAD not in sentences[3]
    assert sentences.lengths().tolist() == [3, 3, 3, 2]
    assert data.meta.facts["padding"] == {"length": 3, "side": pad}
    assert data.meta.facts["splits"]["train"]["tokens"] == {"de": 11, "en": 11}


def test_filters_apply_to_train_only(work: Path) -> None:
    heard: list[Event] = []
    data = aligned(replace(PAIR, drop_duplicates=True, drop_leaked=True), heard)
    assert dropped(data) == {"empty": 2, "duplicate": 1, "in valid or test": 1}
    assert words(data, "train", "de") == ["ein Hund </s>", "ein Mann und ein Hund </s>"]
    assert len(data.side("valid", "de")) == 2
    Path("train.de").write_text("a b c\na b\n" + "x\n" * 20)
    Path("train.en").write_text("a\na\n" + "x\n" * 20)
    tokenize.run(
        tokenize_options.TokenizeOptions(files=[Path("train.de"), Path("train.en")], type="words", overwrite=True)
    )
    data = aligned(replace(PAIR, max_ratio=2), heard)
    assert dropped(data) == {"length ratio": 1}
    assert heard[-1] == Progress("align test_2016", 3, 3, finished=True)
    assert Note("train: dropped 1 length ratio") in heard


def test_refuses_filters_that_do_not_apply(work: Path) -> None:
    refused(UsageError, AlignOptions(text="de", max_ratio=2), option="--max-ratio")
    train = [Path("work/tokens/train.de.tok"), Path("work/tokens/train.en.tok")]
    refused(UsageError, AlignOptions(train=train, drop_leaked=True), option="--drop-leaked")


def test_sampled_segmentations(work: Path) -> None:
    files = [Path(name) for name in TEXTS]
    tokenize.run(tokenize_options.TokenizeOptions(files=files, type="unigram", samples=4, alpha=0.2, overwrite=True))
    vocab.run(vocab.VocabOptions(overwrite=True))
    data = aligned(replace(PAIR, drop_leaked=True))
    assert dropped(data) == {"empty": 8, "in valid or test": 4}
    wanted = replace(PAIR, overwrite=True, drop_duplicates=True)
    refused(UsageError, wanted, "4", "--samples", option="--drop-duplicates")


def test_files_by_name(work: Path) -> None:
    tokens = Path("work/tokens")
    train, valid = ([tokens / f"{split}.{side}.tok" for side in ("de", "en")] for split in ("train", "valid"))
    options = AlignOptions(train=train, valid=valid, vocab=[Path("work/vocab.tsv")], output=Path("out/data"))
    data = aligned(options)
    assert (data.folder, data.sides, data.splits) == (Path("out/data"), ("de", "en"), ("train", "valid"))
    assert not Path("work/data").exists()
    assert aligned(replace(options, train=train[:1], valid=valid[:1])).task == "text"
    assert aligned(replace(options, source="deu", target="eng")).sides == ("deu", "eng")
    assert aligned(replace(options, train=[train[0], train[0]])).sides == ("source", "target")
    new = replace(options, output=Path("new"))
    refused(UsageError, replace(new, valid=valid[:1]), "--train has 2", "--valid has 1")
    refused(UsageError, replace(new, text="de"), "2 token files", "de")
    refused(UsageError, replace(new, vocab=[Path("work/vocab.tsv")] * 3), "3 files", "2 sides", option="--vocab")


def test_tokens_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ptb.txt").write_text("the <unk> </s>\nN N\n")
    Vocabulary.from_counts(Counter({"the": 2, "</s>": 1})).save(Path("vocab.tsv"))
    heard: list[Event] = []
    data = aligned(AlignOptions(train=[Path("ptb.txt")], vocab=[Path("vocab.tsv")]), heard)
    assert [data.side("train", "txt")[row].tolist() for row in (0, 1)] == [[4, UNK, 5, EOS], [UNK, UNK, EOS]]
    assert "tokenizer" not in data.meta.inputs
    assert any("validation" in event.text for event in heard if isinstance(event, WarningEvent))


def test_a_vocabulary_of_other_tokens(work: Path) -> None:
    tokenize.run(tokenize_options.TokenizeOptions(files=[Path(name) for name in TEXTS], type="chars", overwrite=True))
    made_by = f"work/tokens/train.de.tok: tokenizer {read_tokenizer_identity(Path('work/tokenizer'))[:12]}"
    refused(ArtefactError, PAIR, "work/vocab.tsv: tokenizer ", made_by, "`rnnkit vocab --overwrite`")
    tokenize.run(tokenize_options.TokenizeOptions(files=[Path("valid.de")], type="words", overwrite=True))
    refused(ArtefactError, PAIR, "valid.de.tok")


def test_different_numbers_of_lines(work: Path) -> None:
    Path("train.en").write_text("a\n", encoding="utf-8")
    tokenize.run(tokenize_options.TokenizeOptions(files=[Path("train.en")], type="words", overwrite=True))
    refused(DataError, PAIR, "work/tokens/train.de.tok has 6 lines", "work/tokens/train.en.tok has 1", "line 1")
    assert sorted(path.name for path in Path("work").iterdir()) == [
        "tokenizer",
        "tokens",
        "vocab.tsv",
        "vocab.tsv.meta.json",
    ]


def test_refuses_empty_splits(work: Path) -> None:
    wanted = replace(PAIR, max_length=2, max_ratio=1, drop_leaked=True)
    reasons = "6 lines, dropped: 2 empty, 3 too long, 1 in valid or test"
    refused(DataError, wanted, "train.en.tok", reasons, "--max-length", path="work/tokens/train.de.tok")
    Path("empty.tok").write_text("")
    Vocabulary.from_counts({}).save(Path("vocab.tsv"))
    refused(DataError, AlignOptions(train=[Path("empty.tok")], vocab=[Path("vocab.tsv")]), "0 lines", path="empty.tok")


def test_refuses_ambiguous_languages(work: Path) -> None:
    refused(UsageError, AlignOptions(), "de, en", "--source", "--target", "--text", path="work/tokens")
    refused(UsageError, AlignOptions(source="de"), "--source", "--target", "--text")
    refused(UsageError, AlignOptions(source="de", target="en", text="de"), "--source", "--target", "--text")
    refused(UsageError, AlignOptions(source="de", target="de"), "--source", "--target", "de")
    refused(DataError, AlignOptions(source="de", target="fr"), "*.fr.tok", "de, en", path="work/tokens")


def test_refuses_missing_inputs(work: Path) -> None:
    refused(DataError, AlignOptions(work=Path("none")), "`rnnkit tokenize FILE…`", path="none/tokens")
    Path("work/vocab.tsv").unlink()
    refused(DataError, PAIR, path="work/vocab.tsv")
    Path("other.de").write_text("x\n")
    tokenize.run(tokenize_options.TokenizeOptions(files=[Path("other.de")], type="words", work=Path("new")))
    refused(DataError, AlignOptions(work=Path("new")), "other.de.tok", "--train", path="new/tokens")


def test_skips_test_files_without_references(work: Path) -> None:
    Path("work/tokens/test_2016.en.tok").unlink()
    heard: list[Event] = []
    assert aligned(PAIR, heard).splits == ("train", "valid")
    assert isinstance(heard[0], WarningEvent)
    assert all(value in heard[0].text for value in ("test_2016", "en"))


def test_errors_keep_the_old_data(work: Path) -> None:
    before = aligned().meta
    refused(ArtefactError, PAIR, "--overwrite", "--output", path="work/data")
    Path("train.de").write_text("x\n" * 6, encoding="utf-8")
    Path("train.en").write_text("x\n" * 5, encoding="utf-8")
    tokenize.run(
        tokenize_options.TokenizeOptions(files=[Path("train.de"), Path("train.en")], type="words", overwrite=True)
    )
    refused(DataError, replace(PAIR, overwrite=True), "6 lines", "has 5")
    assert AlignedData.open(Path("work/data")).meta == before
    Path("taken").write_text("")
    refused(ArtefactError, replace(PAIR, output=Path("taken/data")), "taken")
    here = Path("work/data/..")
    refused(ArtefactError, replace(PAIR, output=here, overwrite=True), here)


def test_reports(work: Path) -> None:
    result = run(PAIR)
    assert result.lines[0] == (
        "work/data train: 4 of 6 lines; de 14 tokens (0.00% unknown, longest 6); "
        "en 14 tokens (0.00% unknown, longest 6); dropped 2 empty"
    )
    assert json.loads(json.dumps(result.as_dict()))["splits"]["train"]["tokens"] == {"de": 14, "en": 14}


def test_features_count_for_lengths_and_not_for_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.lemma").write_text("ab\tV;PST;2;SG\nab c\t3\n\tV\n", encoding="utf-8")
    Path("train.form").write_text("ba\nb\nab\n", encoding="utf-8")
    files = [Path("train.lemma"), Path("train.form")]
    tokenize.run(tokenize_options.TokenizeOptions(files=files, type="chars", features=True))
    vocab.run(vocab.VocabOptions())
    sides = AlignOptions(source="lemma", target="form")
    assert words(aligned(sides), "train", "lemma") == ["␉V ␉PST ␉2 ␉SG a b </s>", "␉3 a b ▁ c </s>", "␉V </s>"]
    data = aligned(replace(sides, max_ratio=2))
    assert words(data, "train", "lemma") == ["␉V ␉PST ␉2 ␉SG a b </s>"]
    assert dropped(data) == {"length ratio": 2}
    assert dropped(aligned(replace(sides, max_length=6))) == {"too long": 1}
    cut = words(aligned(replace(sides, length=4)), "train", "lemma")
    assert cut[1] == "␉3 a b </s>", "a line that is cut keeps its features"
