"""One output line per input line: no command writes a line end that tokens spell."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from tests.byte_models import KINDS, LINE_END, RETURN, filling, make, parts, speaking, translating

from rnnkit.data.aligned_data import AlignedData
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.evaluation.validation import ValidationSettings, make_seq2seq_validation
from rnnkit.events import Event, Listener, WarningEvent
from rnnkit.models import store
from rnnkit.stages.evaluation import score, score_options
from rnnkit.stages.inference import decode, decode_options
from rnnkit.stages.text import align, align_options, detokenize, tokenize, tokenize_options
from rnnkit.text.lines import replace_line_ends
from rnnkit.text.tokenizer import FeaturedTokenizer, Tokenizer
from rnnkit.text.tokenizer_store import RULE_BASED_TOKENIZERS, SUBWORD_KINDS
from rnnkit.training.signals import StopRequest

TEXT = ["a", "a a", "", "a a a"]


def decoded(model: Path, listen: Listener, lines: list[str] | None = None, **options: object) -> list[str]:
    source = model.parent / "source"
    source.write_text("".join(f"{line}\n" for line in lines or TEXT), encoding="utf-8")
    return list(decode.run(decode_options.DecodeOptions([source], model=[model], threads=1, **options), listen))  # type: ignore[arg-type]


def from_detokenize(folder: Path, kind: str, listen: Listener) -> Iterator[tuple[int, list[str]]]:
    tokenizer, _ = parts(folder, kind)
    tokens = folder / "x.tok"
    tokens.write_text(f"a {LINE_END} a\n{RETURN}\n\n", encoding="utf-8")
    yield 3, list(detokenize.open_filter(detokenize.DetokenizeOptions([tokens], model=tokenizer), listen))


def from_translation(folder: Path, kind: str, listen: Listener) -> Iterator[tuple[int, list[str]]]:
    model = translating(folder, kind)
    yield 4, decoded(model, listen, beam=1, min_length=3)
    yield 8, decoded(model, listen, beam=3, nbest=2, min_length=3)
    yield 8, decoded(model, listen, sample=True, nbest=2, min_length=3)
    yield 4, decoded(model, listen, beam=2, replace_unknown=True, min_length=3)
    yield 4, decoded(model, listen, json=True, beam=1, min_length=3)
    yield 4, decoded(translating(folder / "backward", kind, right_to_left=True), listen, beam=2, min_length=3)


def from_continuation(folder: Path, kind: str, listen: Listener) -> Iterator[tuple[int, list[str]]]:
    model = speaking(folder, kind)
    yield 4, decoded(model, listen, max_length=6, min_length=3)
    yield 8, decoded(model, listen, max_length=6, beam=2, nbest=2, min_length=3, prompt=True)
    yield 4, decoded(model, listen, max_length=6, sample=True, min_length=3)


def from_filling(folder: Path, kind: str, listen: Listener) -> Iterator[tuple[int, list[str]]]:
    model = filling(folder, kind)
    yield 4, decoded(model, listen, ["___ a", "a ___"], fill=True, nbest=2)
    yield 1, decoded(model, listen, ["___ ___"], fill=True)


def from_scoring(folder: Path, kind: str, listen: Listener) -> Iterator[tuple[int, list[str]]]:
    model = speaking(folder, kind)
    text = folder / "text"
    text.write_text("a\x0ba\ra\n", encoding="utf-8")
    found = list(score.run(score_options.ScoreOptions([text], model=model, tokens=True, threads=1), listen))
    lines = [line for one in found if isinstance(one, score.LineScore) for line in one.lines]
    yield len(lines), lines
    listen(WarningEvent("␊ (LF) or ␍ (CR): tokens are shown as they are"))


def from_validation(folder: Path, kind: str, listen: Listener) -> Iterator[tuple[int, list[str]]]:
    model = store.load_seq2seq(translating(folder, kind), "best", torch.device("cpu"))
    for name in ("train.de", "train.en", "valid.de", "valid.en"):
        (folder / name).write_text("a\na a\n", encoding="utf-8")
    splits, sides = ("train", "valid"), ("de", "en")
    files = [folder / f"{split}.{side}" for split in splits for side in sides]
    tokenize.run(
        tokenize_options.TokenizeOptions(
            files, model=folder / "tokenizer", output=folder / "tokens", work=folder / "other"
        )
    )
    named = {
        split: [folder / "tokens" / f"{split}.{side}.tok" for side in ("de", "en")] for split in ("train", "valid")
    }
    table = [folder / "vocab.tsv"]
    data = align.run(align_options.AlignOptions(**named, vocab=table, output=folder / "data")).data  # type: ignore[arg-type]
    what = ValidationSettings(2, "chrf", 2, SearchOptions(beam=1, min_length=3), 100)
    found = make_seq2seq_validation(model, AlignedData.open(data), what, nullcontext, listen)(StopRequest())
    assert found is not None
    yield 2, list(found.lines)


COMMANDS: dict[str, Callable[[Path, str, Listener], Iterator[tuple[int, list[str]]]]] = {
    "detokenize": from_detokenize,
    "decode: translate": from_translation,
    "decode: continue": from_continuation,
    "decode --fill": from_filling,
    "score --tokens": from_scoring,
    "train: validation": from_validation,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_line_stays_one_line(tmp_path: Path, name: str, kind: str) -> None:
    heard: list[Event] = []
    written = ""
    for count, lines in COMMANDS[name](tmp_path, kind, heard.append):
        assert len(lines) == count
        for line in lines:
            assert "\n" not in line and "\r" not in line
            written += "".join(one["text"] for one in json.loads(line)["outputs"]) if line[:1] == "{" else line
    assert "\n" not in written and "\r" not in written
    warned = [event.text for event in heard if isinstance(event, WarningEvent) and "␊ (LF)" in event.text]
    if kind in ("bytes", *SUBWORD_KINDS):
        assert "␊" in written or "␍" in written or name == "score --tokens"
        assert warned


def test_all_tokenizers_share_detokenize() -> None:
    for kind in (*RULE_BASED_TOKENIZERS, *SUBWORD_KINDS):
        for tokenizer in (make(kind), FeaturedTokenizer(make(kind))):
            assert type(tokenizer).detokenize is Tokenizer.detokenize
            assert tokenizer.detokenize(["a\nb"]) in ("a␊b", "␊b")
    source = Path(__file__).parents[3] / "src" / "rnnkit"
    others = [path for path in source.rglob("*.py") if path.name != "tokenizer.py"]
    assert not [path for path in others if "tokenizer.join_tokens(" in path.read_text(encoding="utf-8")]


def test_replacement_characters() -> None:
    assert replace_line_ends("a\r\nb") == "a␍␊b"
    assert replace_line_ends("a\u2028\x85\x0b") == "a\u2028\x85\x0b", "which end no line"


def test_the_warning_counts_lines_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, _ = parts(tmp_path, "bytes")
    typed = f"{LINE_END} {LINE_END}\n<0x61>\n{RETURN}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
    heard: list[Event] = []
    lines = detokenize.open_filter(detokenize.DetokenizeOptions(model=tokenizer), heard.append)
    assert [next(lines), heard] == ["␊␊", []]
    assert list(lines) == ["a", "␍"]
    assert heard == [
        WarningEvent(
            "2 lines have tokens that spell a line end; ␊ (LF) or ␍ (CR) replaces it, so that each stays one line"
        )
    ]
