"""Byte fallback: no token of any text is unknown to the vocabulary."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.data.aligned_data import AlignedData
from rnnkit.errors import ArtefactError
from rnnkit.events import Event, WarningEvent
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.text import special_tokens
from rnnkit.text.special_tokens import BYTE_TOKENS
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.tokenizer_store import load_tokenizer
from rnnkit.text.vocabulary import Vocabulary, read_vocabulary_manifest

KINDS = ("bytes", "unigram", "bpe")
DE = ["ein Mann sitzt im Garten", "zwei Hunde spielen im Schnee", "der Mann liest ein Buch", ""] * 6
EN = ["a man sits in the garden", "two dogs play in the snow", "the man reads a book", "so"] * 6
STRANGE = "Łódź 日本 🙂 Klick <b>hier</b>: https://a.example/x?y=1"
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.lists(st.sampled_from([*DE[0], "Mann", "spielen", "the", " ", "▁", "␛", "<0x41>", "<unk>", "日"])).map("".join),
)


@cache
def workspace(kind: str, separate: bool = False, features: bool = False) -> Path:
    """Token files and vocabularies of two languages."""
    root = Path(mkdtemp(prefix="rnnkit-byte-rows-"))
    for split, count in (("train", 24), ("valid", 3)):
        for side, lines in (("de", DE), ("en", EN)):
            text = "".join(f"{line}\n" for line in lines[:count])
            (root / f"{split}.{side}").write_text(text, encoding="utf-8")
    (root / "test.de").write_text(f"{STRANGE}\n", encoding="utf-8")
    (root / "test.en").write_text(f"{STRANGE}\n", encoding="utf-8")
    files = [root / f"{split}.{side}" for split in ("train", "valid", "test") for side in ("de", "en")]
    tokenize.run(tokenize_options.TokenizeOptions(files, type=kind, work=root / "work", features=features))
    vocab.run(vocab.VocabOptions(work=root / "work", separate=separate))
    return root / "work"


def opened(kind: str, separate: bool, features: bool = False) -> tuple[Tokenizer, list[Vocabulary]]:
    work = workspace(kind, separate, features)
    return load_tokenizer(work / "tokenizer"), [Vocabulary.load(path) for path in sorted(work.glob("vocab*.tsv"))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("separate", [False, True])
@settings(max_examples=60)
@given(text=TEXTS)
def test_byte_fallback_leaves_no_token_unknown(kind: str, separate: bool, text: str) -> None:
    tokenizer, vocabularies = opened(kind, separate)
    assert len(vocabularies) == 1 + separate
    for vocabulary in vocabularies:
        tokens = tokenizer.tokenize(text)
        ids = vocabulary.encode(tokens)
        assert special_tokens.UNK not in ids
        assert tokenizer.detokenize(vocabulary.decode(ids)) == tokenizer.normalizer(text)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(text=TEXTS.map(lambda text: text.replace("\t", "")))
def test_byte_fallback_with_features(kind: str, text: str) -> None:
    tokenizer, (vocabulary,) = opened(kind, False, features=True)
    assert special_tokens.UNK not in vocabulary.encode(tokenizer.tokenize(text))


@pytest.mark.parametrize("kind", KINDS)
def test_aligned_text_has_no_unknown_token(kind: str) -> None:
    work = workspace(kind)
    data = AlignedData.open(
        align.run(align_options.AlignOptions(source="de", target="en", work=work, overwrite=True)).data
    )
    facts = data.meta.facts["splits"]
    assert {name: sum(facts[name]["unknown"].values()) for name in facts} == {"train": 0, "valid": 0, "test": 0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limits", [{"min_count": 3}, {"max_size": 300}, {"min_count": 1}, {"max_size": 10}])
def test_limits_never_drop_a_byte(tmp_path: Path, kind: str, limits: dict[str, int]) -> None:
    work, output = workspace(kind), tmp_path / "vocab.tsv"
    heard: list[Event] = []
    vocab.run(vocab.VocabOptions(work=work, output=output, **limits), heard.append)  # type: ignore[arg-type]
    vocabulary = Vocabulary.load(output)
    assert set(BYTE_TOKENS) <= set(vocabulary.tokens)
    counts = dict(zip(vocabulary.tokens, vocabulary.counts, strict=True))
    whole = Vocabulary.load(work / "vocab.tsv")
    assert all(count == whole.counts[whole.tokens.index(token)] for token, count in counts.items())
    others = [token for token in vocabulary.tokens[4:] if token not in BYTE_TOKENS]
    assert all(counts[token] >= limits.get("min_count", 0) for token in others)
    if size := limits.get("max_size"):
        assert len(vocabulary) == max(260, min(size, len(whole)))
        assert bool([event for event in heard if isinstance(event, WarningEvent)]) == (size == 10)
    assert vocabulary.tokens[4:] == tuple(sorted(vocabulary.tokens[4:], key=lambda token: (-counts[token], token)))


@pytest.mark.parametrize("kind", ["words", "chars", "spaces"])
def test_other_tokenizers_have_no_byte_entries(kind: str) -> None:
    assert not set(BYTE_TOKENS) & set(Vocabulary.load(workspace(kind) / "vocab.tsv").tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_shards_make_the_same(tmp_path: Path, kind: str) -> None:
    work = workspace(kind)
    for number in (1, 2):
        vocab.run(vocab.VocabOptions(work=work, shard=f"{number}/2", output=tmp_path / "vocab.tsv"))
    vocab.run(vocab.VocabOptions(merge=True, output=tmp_path / "vocab.tsv"))
    assert (tmp_path / "vocab.tsv").read_bytes() == (work / "vocab.tsv").read_bytes()
    assert read_vocabulary_manifest(tmp_path / "vocab.tsv").facts == read_vocabulary_manifest(work / "vocab.tsv").facts


@pytest.mark.parametrize("kind", KINDS)
def test_token_files_without_their_tokenizer(tmp_path: Path, kind: str) -> None:
    work = workspace(kind)
    heard: list[Event] = []
    files = [work / "tokens" / f"train.{side}.tok" for side in ("de", "en")]
    elsewhere = vocab.VocabOptions(files, work=tmp_path, output=tmp_path / "vocab.tsv")
    vocab.run(elsewhere, heard.append)
    assert set(BYTE_TOKENS) <= set(Vocabulary.load(tmp_path / "vocab.tsv").tokens)
    warned = [event.text for event in heard if isinstance(event, WarningEvent)]
    assert len(warned) == 1
    assert warned[0].startswith(f"the tokenizer of the token files is not at {tmp_path / 'tokenizer'}")
    other = load_other(tmp_path)
    with raises(ArtefactError, "other", "train.de.tok", option="--tokenizer"):
        vocab.run(vocab.VocabOptions(files, work=tmp_path, output=tmp_path / "b.tsv", tokenizer=other))
    vocab.run(vocab.VocabOptions(files, work=tmp_path, output=tmp_path / "c.tsv", tokenizer=work / "tokenizer"))
    assert (tmp_path / "c.tsv").read_bytes() == (work / "vocab.tsv").read_bytes()


def load_other(folder: Path) -> Path:
    from rnnkit.text.rule_based_tokenizers import WordTokenizer
    from rnnkit.text.tokenizer_store import save_tokenizer
    from rnnkit.text.unicode import Normalizer

    save_tokenizer(WordTokenizer(Normalizer()), folder / "other")
    return folder / "other"
