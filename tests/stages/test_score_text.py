"""Bits per character and byte count the text that the tokens reproduce, whatever cuts it and whatever predicts it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests import tiny_models

from rnnkit.events import Event, WarningEvent
from rnnkit.stages.evaluation import score
from rnnkit.stages.evaluation.score import Summary
from rnnkit.stages.evaluation.score_options import ScoreOptions
from rnnkit.stages.text import align, align_options, detokenize, tokenize, tokenize_options, vocab
from rnnkit.stages.training import train_lm, train_lm_options
from rnnkit.text.lines import read_lines
from rnnkit.text.tokenizer_store import load_tokenizer

TRAIN = ["the king sat on the mat", "a small dog ran over it", "the queen, you know, is in Köln", "it ran"] * 12
TEST = ["the dog sat on the mat", "a queen ran over the king", "the small king is in Köln"] * 3
TYPES = ("words", "spaces", "chars", "bytes", "unigram", "bpe")


def spread(line: str) -> str:
    """What `sed 's/ /    /g; s/^/   /; s/$/   /'` makes of a line."""
    return f"   {line.replace(' ', '    ')}   "


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=TYPES)
def work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with trigrams of lowercased text, for each tokenizer."""
    root = tmp_path_factory.mktemp(request.param)
    files = [write(root / "train.en", TRAIN), write(root / "valid.en", TEST)]
    work = root / "work"
    tokenize.run(tokenize_options.TokenizeOptions(files=files, type=request.param, lowercase=True, work=work))
    vocab.run(vocab.VocabOptions(work=work))
    align.run(align_options.AlignOptions(text="en", work=work))
    train_lm.run(train_lm_options.TrainLMOptions(work=work, arch="ngram", order=3))
    return work


def scored(options: ScoreOptions) -> tuple[Summary, list[str]]:
    heard: list[Event] = []
    *_, summary = score.run(options, heard.append)
    assert isinstance(summary, Summary)
    return summary, [event.text for event in heard if isinstance(event, WarningEvent)]


def rows(summary: Summary) -> dict[str, str]:
    pairs = (line.rsplit(maxsplit=1) for line in summary.lines)
    return {name.strip(): figure for name, figure in pairs}


def options(work: Path, text: Path) -> ScoreOptions:
    return ScoreOptions(files=[text], work=work, summary=True, threads=1, device="cpu")


def test_reversible_text_has_one_figure(work: Path, tmp_path: Path) -> None:
    lines = [line.lower() for line in TEST]
    summary, warnings = scored(options(work, write(tmp_path / "test.en", lines)))
    text = "".join(f"{line}\n" for line in lines)
    bits = -summary.score.log_p / math.log(2)
    found = summary.as_dict()["summary"]
    assert warnings == []
    assert not any("raw" in name for name in rows(summary))
    for prefix in ("", "raw_"):
        assert (found[f"{prefix}characters"], found[f"{prefix}bytes"]) == (len(text), len(text.encode()))
        assert found[f"{prefix}bits_per_character"] == pytest.approx(bits / len(text))
        assert found[f"{prefix}bits_per_byte"] == pytest.approx(bits / len(text.encode()))
    assert (found["changed_lines"], found["changes"], found["cautions"]) == (0, [], [])


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (spread, ["white space"]),
        (str.upper, ["case"]),
        (lambda line: line.replace("ö", "o\u0308"), ["Unicode form"]),
        (lambda line: spread(line.replace("ö", "o\u0308").upper()), ["white space", "case", "Unicode form"]),
    ],
)
def test_normalization_affects_only_the_raw_figures(
    work: Path, tmp_path: Path, change: object, kinds: list[str]
) -> None:
    assert callable(change)
    lines = [line.lower() for line in TEST]
    changed = [change(line) for line in lines]
    plain, _ = scored(options(work, write(tmp_path / "plain.en", lines)))
    summary, [warning] = scored(options(work, write(tmp_path / "changed.en", changed)))
    assert {name: figure for name, figure in rows(summary).items() if "raw" not in name} == rows(plain)
    found, before = (each.as_dict()["summary"] for each in (summary, plain))
    assert all(found[name] == before[name] for name in plain.score.as_dict())
    differing = sum(one != other for one, other in zip(lines, changed, strict=True))
    assert (found["changed_lines"], found["changes"]) == (differing, kinds)
    text = "".join(f"{line}\n" for line in changed)
    bits = -summary.score.log_p / math.log(2)
    assert found["raw_bits_per_character"] == pytest.approx(bits / len(text))
    assert found["raw_bits_per_byte"] == pytest.approx(bits / len(text.encode()))
    assert rows(summary)["bits per character of the raw text"] == f"{bits / len(text):.4f}"
    assert rows(summary)["bits per byte of the raw text"] == f"{bits / len(text.encode()):.4f}"
    assert warning.startswith(f"normalization changed {differing} of 9 lines ({', '.join(kinds)}): ")
    assert f"{bits / len(text):.4f} and {bits / len(text.encode()):.4f}" in warning
    assert found["cautions"] == [warning]


def test_the_text_counted_is_what_detokenize_gives_back(work: Path, tmp_path: Path) -> None:
    lines = [spread("The  KING, you know"), "", "\u00a0Ko\u0308ln\u3000is\tin", "it ran ."]
    path = write(tmp_path / "raw.en", lines)
    tokens = write(tmp_path / "tokens", list(map(" ".join, load_tokenizer(work / "tokenizer").tokenize_batch(lines))))
    back = list(detokenize.open_filter(detokenize.DetokenizeOptions(files=[tokens], work=work)))
    summary, _ = scored(options(work, path))
    assert summary.score.characters == sum(len(line) + 1 for line in back)
    assert summary.score.bytes == sum(len(line.encode()) + 1 for line in back)
    assert summary.score.raw_characters == sum(len(line) + 1 for line in read_lines(path))


UNKNOWN = [*TEST[:3], "zebra zebra zebra", "the dog sat"]


@pytest.mark.parametrize("extra", [{}, {"cache": True, "cache_weight": 0.1, "cache_flatness": 0.5}, {"dynamic": True}])
def test_many_unknown_tokens_are_named_beside_the_raw_figure(tmp_path: Path, extra: dict[str, object]) -> None:
    model = tiny_models.speaker_folder(tmp_path, tiny_models.speaker(), "spaces")
    text = ["the king sat on the mat"] * 4 + ["a zebra ran"]
    chosen = ScoreOptions(files=[write(tmp_path / "few", text)], model=model, threads=1, device="cpu", **extra)  # type: ignore[arg-type]
    summary, warnings = scored(chosen)
    assert (summary.score.unknown, summary.score.tokens, warnings) == (1, 32, [])
    chosen = replace(chosen, files=[write(tmp_path / "many", [*text, "the zebra ran"])])
    summary, [warning] = scored(chosen)
    assert warning.startswith("2 of 36 tokens (5.6 %) are unknown and scored as <unk>: ")
    assert rows(summary)["bits per character of the raw text"] == rows(summary)["bits per character"]
    assert summary.as_dict()["summary"]["cautions"] == [warning]


def test_translations_and_mixtures_are_counted_alike(tmp_path: Path) -> None:
    write(tmp_path / "plain", ["the king sat", "a dog ran"])
    write(tmp_path / "spread", ["  the   king sat", "a dog ran"])
    folder = tiny_models.translator_folder(tmp_path / "both", tiny_models.translator(), "spaces")
    counts = tiny_models.counts_folder(tmp_path / "counts", tiny_models.counts(), "spaces")
    network = tiny_models.speaker_folder(tmp_path / "network", tiny_models.speaker(), "spaces")
    translating = ScoreOptions(model=folder, threads=1, device="cpu", summary=True)
    mixing = replace(translating, model=network, interpolate=[f"{counts}:0.4"])
    for chosen, names in ((translating, ["plain"]), (mixing, [])):
        found = {
            text: scored(replace(chosen, files=[tmp_path / name for name in [*names, text]]))
            for text in ("plain", "spread")
        }
        (before, silence), (after, [warning]) = found["plain"], found["spread"]
        assert silence == []
        assert after.score.bits_per_character == pytest.approx(before.score.bits_per_character)
        assert after.score.raw_bits_per_character < before.score.raw_bits_per_character
        assert warning.startswith("normalization changed 1 of 2 lines (white space)")
