"""Every option that is a path, given as something that cannot be right: an ordinary error, and nothing is harmed."""

from __future__ import annotations

import io
import typing
from dataclasses import MISSING
from pathlib import Path

import pytest
from tests import tiny_models
from tests.covering import parametrize
from tests.workspaces import SMALL, make_workspace

from rnnkit.cli.commands import COMMANDS

from .conftest import Run

PATHS = {
    "here": ".", "above": "..", "root": "/", "empty": "", "folder": "a_folder", "file": "a_file", "below": "a_file/x",
    "long": "x" * 300, "slash": "new/", "gone": "gone/../gone", "device": "/dev/null/x", "loop": "loop",
}  # fmt: skip
"""By kind; `folder` where a file is expected, `file` where a folder is expected, and so on for each option."""

BESIDE = {
    "convert-embeddings": ["--vectors", "vectors.txt", "--to", "glove"],
    "convert-ngrams": ["--model", "lm/model"],
    "decode": ["--model", "mt/model", "--threads", "1"],
    "score": ["--model", "lm/model"],
    "bleu": ["--hypotheses", "a_file"],
    "error-rate": ["--hypotheses", "a_file"],
    "evaluate-labels": ["--hypotheses", "a_file"],
    "evaluate-embeddings": ["--vectors", "vectors.txt"],
    "neighbors": ["--vectors", "vectors.txt"],
    "similarity": ["--vectors", "vectors.txt"],
    "analogy": ["--vectors", "vectors.txt"],
    "odd-one-out": ["--vectors", "vectors.txt"],
    "extract": ["--columns=x=1", "--split=test=1", "--format=tsv", "--overwrite"],
    "tokenize": ["--type", "words"],
    "align": ["--source", "de", "--target", "en"],
    "represent": ["--side", "de"],
    "train": [*SMALL, "--max-steps", "1"],
    "train-seq2seq": [*SMALL, "--max-steps", "1"],
    "train-lm": ["--arch", "ngram"],
    "train-embeddings": ["--epochs", "1", "--dimension", "4"],
}
"""What lets a command come as far as it can before the path stops it."""

ARGUMENTS = {
    "extract": ["a_file"],
    "neighbors": ["king"], "similarity": ["king", "queen"], "analogy": ["king", "-", "queen", "+", "king"],
    "odd-one-out": ["king", "queen", "dog"], "score": ["a_file"], "decode": ["a_file"], "detokenize": ["a_file"],
    "phrases": ["a_file"], "tokenize": ["train.de"], "vocab": ["work/tokens/train.de.tok"], "average": ["mt/model"],
    "train-embeddings": ["a_file"], "inspect": ["a_file"], "verify": ["lm/model"], "diagnose": ["lm/model"],
    "plot": ["mt/model"], "bleu": ["a_file"], "error-rate": ["a_file"], "evaluate-embeddings": ["analogies.txt"],
    "evaluate-labels": ["a_file"], "convert-embeddings": ["new.vec"], "convert-ngrams": ["new.arpa"],
}  # fmt: skip


def fields() -> list[tuple[str, str]]:
    found = []
    for command in COMMANDS.values():
        for each in command.parameters:
            if (typing.get_args(each.kind)[0] if each.is_list else each.kind) is Path:
                found.append((command.name, each.name))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("above") / "paths"
    folder.mkdir()
    make_workspace(folder)
    tiny_models.counts_folder(folder / "lm", tiny_models.counts())
    tiny_models.translator_folder(folder / "mt", tiny_models.translator())
    (folder / "mt/model/metrics.jsonl").write_text('{"step": 1, "nll": 3.0}\n')
    (folder / "vectors.txt").write_text("3 2\nking 1 2\nqueen 2 1\ndog 3 5\n")
    (folder / "analogies.txt").write_text(": a\nking queen king dog\n")
    (folder / "a_folder").mkdir()
    (folder / "a_folder" / "kept").write_text("kept")
    (folder / "a_file").write_text("the king sat\n")
    return folder


FIELDS = {f"{name}-{option}": (name, option) for name, option in fields()}
PARTS = {str(part): list(PATHS)[part::4] for part in range(4)}


@parametrize(1, field=FIELDS, kinds=PARTS)
def test_paths(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, field: tuple[str, str], kinds: list[str]
) -> None:
    monkeypatch.chdir(folder)
    (name, option), found = field, []
    for kind in kinds:
        path = PATHS[kind]
        if (name, kind) == ("verify", "root"):
            continue  # it would compare whatever has a checksum on this machine
        Path("loop").unlink(missing_ok=True)
        Path("loop").symlink_to("loop")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
        outcome = run(name, *line(name, option, path))
        if outcome.code not in (0, 1, 2) or "defect" in outcome.err or "Traceback" in outcome.err:
            found.append((kind, outcome.code, outcome.err))
        assert (folder / "a_folder" / "kept").read_text() == "kept"
        assert (folder / "a_file").read_text() == "the king sat\n"
    assert found == []


def line(name: str, option: str, path: str) -> list[str]:
    """A command line in which this option is this path, and the others are what lets the command begin."""
    flags, arguments = list(BESIDE.get(name, [])), list(ARGUMENTS.get(name, []))
    for each in COMMANDS[name].parameters:
        flag = each.spelling
        if each.name == option and each.declared.argument:
            arguments = [path]
        elif each.name == option:
            if flag in flags:
                del flags[flags.index(flag) : flags.index(flag) + 2]
            flags.append(f"{flag}={path}")
        elif each.default is MISSING and not each.declared.argument:
            flags.append(f"{flag}=de")
    return [*flags, "--", *arguments]
