"""What is said of two artefacts that are not the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tests.raising import raises

from rnnkit.errors import FormatError
from rnnkit.stages.files.inspect import InspectOptions, run
from rnnkit.text import special_tokens
from rnnkit.text.vocabulary import Vocabulary


def told(first: Path, second: Path) -> list[str]:
    differences = run(InspectOptions([first, second])).differences
    assert differences is not None
    return [difference.line() for difference in differences]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_run(folder: Path, losses: list[float], rate: float, **weights: NDArray[np.float32]) -> Path:
    folder.mkdir()
    facts = {"kind": "model", "version": 1, "facts": {"steps": len(losses)}, "options": {"learning-rate": rate}}
    save_file(weights, folder / "best.safetensors")
    write(
        folder / "metrics.jsonl", "".join(json.dumps({"step": 5 * i, "loss": x}) + "\n" for i, x in enumerate(losses))
    )
    files = {
        name: {"size": (folder / name).stat().st_size, "sha256": ""} for name in ("best.safetensors", "metrics.jsonl")
    }
    write(folder / "meta.json", json.dumps({**facts, "inputs": {}, "files": files}))
    return folder


def test_two_trainings(tmp_path: Path) -> None:
    same, moved = np.ones((3, 5), np.float32), np.ones((2, 2), np.float32)
    first = write_run(tmp_path / "a", [3.0, 2.0, 1.5], 0.1, same=same, moved=moved, old=same)
    moved = moved.copy()
    moved[1, 0] = 3
    second = write_run(tmp_path / "b", [3.0, 2.0, 1.25, 1.0], 0.2, same=same, moved=moved)
    assert told(first, second) == [
        "steps: 3 | 4",
        "options.learning-rate: 0.1 | 0.2",
        "best.safetensors: old: there | -",
        "best.safetensors: moved[1, 0], the first of 1 that differ (100% apart in all): 1 | 3",
        "metrics.jsonl: loss at step 10, equal before: 1.5 | 1.25",
        "metrics.jsonl: last step measured: 10 | 15",
    ]


def test_an_artefact_and_itself(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [1.0], 0.1, w=np.zeros(3, np.float32))
    result = run(InspectOptions([folder, folder]))
    assert result.lines[-1] == "no differences"
    assert result.as_dict()["differences"] == []


def test_only_two_are_held_against_each_other(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "x\n")
    for count in (1, 3):
        result = run(InspectOptions([path] * count))
        assert result.differences is None
        assert "differences" not in result.as_dict()


def test_those_that_moved_the_most_come_first(tmp_path: Path) -> None:
    ones = {f"w{i}": np.ones(7, np.float32) for i in range(8)}
    others = {name: value * (1 + 0.1 * i) for i, (name, value) in enumerate(ones.items())}
    save_file(ones, tmp_path / "a.safetensors")
    save_file({name: value.astype(np.float32) for name, value in others.items()}, tmp_path / "b.safetensors")
    found = told(tmp_path / "a.safetensors", tmp_path / "b.safetensors")[-6:]
    assert [line[:2] for line in found[:5]] == ["w7", "w6", "w5", "w4", "w3"]
    assert found[5] == "other tensors that differ: 2 more of 8 | 2 more of 8"


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    np.save(tmp_path / "b.npy", np.array([0, 1, 2, 7, 8]))
    np.save(tmp_path / "c.npy", np.arange(7, dtype=np.float32))
    assert told(tmp_path / "a.npy", tmp_path / "b.npy")[-1].startswith("values[3], the first of 2 that differ")
    assert told(tmp_path / "a.npy", tmp_path / "c.npy")[-1] == "values: int64 5 | float32 7"


def test_texts_and_vocabularies(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", "one\ntwo\nthree\n"), write(tmp_path / "b", "one\n2\nthree\nfour\n")
    assert told(first, second)[-1] == "line 2, the first of 2 that differ: two | 2"
    write(tmp_path / "long", "x" * 100 + "\n")
    assert told(first, tmp_path / "long")[-1].endswith(f"| {'x' * 59}…")
    for name, tokens in (("v.tsv", ["a", "b"]), ("w.tsv", ["a", "c"])):
        Vocabulary((*special_tokens.NAMES, *tokens), (0,) * len(special_tokens.NAMES) + (2, 1)).save(tmp_path / name)
    assert told(tmp_path / "v.tsv", tmp_path / "w.tsv")[-1].startswith("line 6, the first of 1 that differ: b\t1 | c")


def test_kinds(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    assert told(tmp_path / "a.npy", write(tmp_path / "b", "text\n")) == ["kind: array | text"]


def test_damage_is_named(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", [1.0], 0.1, w=np.zeros(3, np.float32))
    second = write_run(tmp_path / "b", [1.0], 0.1, w=np.zeros(3, np.float32))
    (second / "metrics.jsonl").write_text('{"step": 0, "lo\n{}\n')
    with raises(FormatError, path=second / "metrics.jsonl", line=1):
        told(first, second)
