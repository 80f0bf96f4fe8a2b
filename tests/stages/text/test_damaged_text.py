"""Damaged tokenizers and vocabularies: every command that reads one reports an error with the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.byte_models import speaking, translating

from rnnkit.errors import RnnkitError
from rnnkit.io import manifest
from rnnkit.stages.evaluation import score, score_options
from rnnkit.stages.files import inspect, verify
from rnnkit.stages.inference import decode, decode_options
from rnnkit.stages.text import align, align_options, detokenize, tokenize, tokenize_options, vocab

Command = Callable[[Path], Any]


def text(folder: Path) -> Path:
    path = folder / "text.de"
    path.write_text("a a\n", encoding="utf-8")
    return path


def listed(found: Iterable[object]) -> list[object]:
    return list(found)


READERS: dict[str, Command] = {
    "decode, translation": lambda root: listed(
        decode.run(decode_options.DecodeOptions([text(root)], model=[root / "translating" / "model"], threads=1))
    ),
    "decode, continuation": lambda root: listed(
        decode.run(decode_options.DecodeOptions([text(root)], model=[root / "speaking" / "model"], threads=1))
    ),
    "score": lambda root: listed(
        score.run(score_options.ScoreOptions([text(root)], model=root / "speaking" / "model", threads=1))
    ),
    "inspect": lambda root: inspect.run(inspect.InspectOptions([root / "speaking" / "model"])),
}
OF_TOKENIZERS: dict[str, Command] = {
    "tokenize": lambda root: tokenize.run(
        tokenize_options.TokenizeOptions([text(root)], model=root / "speaking" / "tokenizer", work=root / "work")
    ),
    "detokenize": lambda root: listed(
        detokenize.open_filter(detokenize.DetokenizeOptions([text(root)], model=root / "speaking" / "tokenizer"))
    ),
    "inspect the tokenizer": lambda root: inspect.run(inspect.InspectOptions([root / "speaking" / "tokenizer"])),
}
OF_VOCABULARIES: dict[str, Command] = {
    "verify": lambda root: verify.run(verify.VerifyOptions([root / "speaking" / "model"])),
    "align": lambda root: align.run(
        align_options.AlignOptions(train=[text(root)], vocab=[root / "speaking" / "vocab.tsv"], output=root / "data")
    ),
    "vocab --merge": lambda root: vocab.run(
        vocab.VocabOptions([root / "speaking" / "vocab.tsv"], merge=True, output=root / "merged.tsv")
    ),
    "inspect the vocabulary": lambda root: inspect.run(inspect.InspectOptions([root / "speaking" / "vocab.tsv"])),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    translating(tmp_path / "translating", "unigram")
    speaking(tmp_path / "speaking", "unigram")
    return tmp_path


def seal(folder: Path, name: str) -> None:
    """Update the checksum of a file in the manifest."""
    place = folder / manifest.NAME
    document = json.loads(place.read_text(encoding="utf-8"))
    content = (folder / name).read_bytes()
    document["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    facts = {key: value for key, value in document.items() if key != manifest.CHECKSUM}
    own = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    facts[manifest.CHECKSUM] = hashlib.sha256(own.encode()).hexdigest()
    place.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", [*READERS, *OF_TOKENIZERS])
@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_damaged_model_with_valid_checksum(root: Path, name: str, damage: str) -> None:
    for path in list(root.rglob("model.spm")):
        content = path.read_bytes()
        path.write_bytes({"cut": content[:-300], "empty": b"", "noise": b"\x07" * 40 + content[40:]}[damage])
        seal(path.parent, "model.spm")
        if (path.parents[1] / manifest.NAME).exists():
            for inner in ("tokenizer/model.spm", "tokenizer/meta.json"):
                seal(path.parents[1], inner)
    command = {**READERS, **OF_TOKENIZERS}[name]
    with pytest.raises(RnnkitError) as caught:
        command(root)
    assert "model.spm" in str(caught.value)


@pytest.mark.parametrize("name", [*READERS, *OF_VOCABULARIES])
def test_vocabulary_that_links_to_itself(root: Path, name: str) -> None:
    for path in list(root.rglob("vocab.tsv")):
        path.unlink()
        path.symlink_to(path.name)
    with pytest.raises(RnnkitError) as caught:
        {**READERS, **OF_VOCABULARIES}[name](root)
    assert "vocab.tsv" in str(caught.value)
