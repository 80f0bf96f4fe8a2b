"""From lemmas with tags to scored forms, by the commands that anybody types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run

LEMMAS = ("aba", "bab", "aab", "abb", "baa", "bba")
TAGS = {"PST": "x", "PRS": "y"}
"""What a form begins with; the tag alone decides."""


@pytest.fixture
def corpus(run: Run) -> Path:
    """Lemmas with tags and their forms, in the folder where `run` works."""
    pairs = [(f"{lemma}\tV;{tag}", begin + lemma) for lemma in LEMMAS for tag, begin in TAGS.items()]
    for split, times in (("train", 4), ("valid", 1), ("test", 1)):
        Path(f"{split}.lemma").write_text("".join(f"{source}\n" for source, _ in pairs * times), encoding="utf-8")
        Path(f"{split}.form").write_text("".join(f"{target}\n" for _, target in pairs * times), encoding="utf-8")
    return Path.cwd()


def succeed(run: Run, *words: str) -> str:
    outcome = run(*words)
    assert outcome.code == 0, outcome.err
    return outcome.out


def prepare(run: Run) -> None:
    files = [f"{split}.{side}" for split in ("train", "valid") for side in ("lemma", "form")]
    succeed(run, "tokenize", *files, "--type", "chars", "--features")
    succeed(run, "vocab")
    succeed(run, "align", "--source", "lemma", "--target", "form", "--max-ratio", "1.5")


SIZES = {
    "arch": "gru", "hidden": 24, "embedding": 16, "dropout": 0, "batch-tokens": 200, "learning-rate": 0.02, "warmup": 5,
    "max-steps": 60, "validate-every": 30, "mean-decay": 0, "threads": 1, "precision": "fp32",
}  # fmt: skip


def train(run: Run) -> None:
    sizes = [word for name, value in SIZES.items() for word in (f"--{name}", str(value))]
    succeed(run, "train", "--copy", *sizes, "--quiet")


def counts(vocabulary: str) -> dict[str, str]:
    lines = Path(vocabulary).read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def test_tags_decide_about_forms(run: Run, corpus: Path) -> None:
    prepare(run)
    counted = counts("work/vocab.tsv")
    assert {token: counted[token] for token in counted if "␉" in token} == {"␉V": "48", "␉PRS": "24", "␉PST": "24"}
    facts = json.loads(Path("work/data/meta.json").read_text(encoding="utf-8"))["facts"]["splits"]
    assert facts["train"]["sentences"] == 48, "tags make no pair of a lemma and its form too unlike"
    train(run)
    assert json.loads(Path("work/model/tokenizer/meta.json").read_bytes())["options"]["features"] is True

    forms = succeed(run, "decode", "test.lemma", "--beam", "5", "--threads", "1", "--alignments", "links").splitlines()
    assert [form[0] for form in forms] == ["x", "y"] * len(LEMMAS)
    assert not any("␉" in form for form in forms)
    Path("test.hyp").write_text("".join(f"{form}\n" for form in forms), encoding="utf-8")
    rates = json.loads(succeed(run, "error-rate", "test.form", "--hypotheses", "test.hyp", "--json"))
    wanted = [begin + lemma for lemma in LEMMAS for begin in TAGS.values()]
    wrong = [form != right for form, right in zip(forms, wanted, strict=True)]
    assert rates["rates"][0]["errors"] == sum(wrong)
    first = json.loads(succeed(run, "decode", "test.lemma", "--threads", "1", "--json").splitlines()[0])
    assert first["source_tokens"] == ["␉V", "␉PST", "a", "b", "a"]
    places = [
        int(link.split("-")[0])
        for line in Path("links").read_text(encoding="utf-8").splitlines()
        for link in line.split()
    ]
    assert set(places) <= set(range(5))

    wrong_tags = Path("test.lemma").read_text(encoding="utf-8").replace("PST", "P").replace("PRS", "PST")
    Path("wrong.lemma").write_text(wrong_tags, encoding="utf-8")
    right, wronged = (
        json.loads(succeed(run, "score", source, "test.form", "--summary", "--json").splitlines()[-1])["summary"]
        for source in ("test.lemma", "wrong.lemma")
    )
    assert right["perplexity"] < wronged["perplexity"], "what the tags say is what the model has learned"

    Path("bad.lemma").write_text("aba\tV;PST\nbab\tV\tPST\n", encoding="utf-8")
    for words in (("decode", "bad.lemma"), ("score", "bad.lemma", "bad.lemma"), ("tokenize", "bad.lemma")):
        outcome = run(*words)
        assert outcome.code == 1
        assert "error: bad.lemma:2: the line has 2 TABs\n" in outcome.err


def test_separate_vocabularies_know_features_where_they_are(run: Run, corpus: Path) -> None:
    files = [f"train.{side}" for side in ("lemma", "form")]
    succeed(run, "tokenize", *files, "--type", "words", "--features")
    succeed(run, "vocab", "--separate")
    assert counts("work/vocab.lemma.tsv")["␉V"] == "48"
    assert not any("␉" in token for token in counts("work/vocab.form.tsv"))
