"""`--quiet` and `--json` hide no result, in any command that reports one; a command added later needs a row here."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests import tiny_models
from tests.word_vectors import write_vectors
from tests.workspaces import make_labelled_workspace, make_text_workspace, make_workspace

from rnnkit.cli import commands
from rnnkit.cli.command import make
from rnnkit.cli.commands import COMMANDS
from rnnkit.cli.console import Console
from rnnkit.stages.demo import DemoResult as Demo
from rnnkit.stages.text import align, align_options

from .conftest import Run

ONE_THREAD = ("--threads", "1")
SMALL = ("--hidden", "8", "--embedding", "8", *ONE_THREAD)
Figures = Callable[[list[Any]], list[str]]


@dataclass(frozen=True)
class Row:
    """A command that reports.

    Attributes:
        words: The command line.
        figures: From the objects that it prints with `--json` to what must be seen with `--quiet`.
        stdin: What stands on standard input.
        aside: Whether the figures are on standard error, because standard output has a line for each line.
    """

    words: tuple[str, ...]
    figures: Figures
    stdin: str = ""
    aside: bool = False


def perplexities(documents: list[Any]) -> list[str]:
    found = documents[-1]["summary"]
    names = ("bits_per_character", "bits_per_byte", "nats_per_token")
    return [f"{found['perplexity']:,.2f}", *(f"{found[name]:.4f}" for name in names)]


def compared(documents: list[Any]) -> list[str]:
    [found] = documents[0]["comparisons"]
    return [*(str(found[side]["score"]) for side in ("baseline", "system")), f"p = {found['p_value']:.4f}"]


ROWS = [
    Row(("score", "text", "--model", "lm", *ONE_THREAD), perplexities, aside=True),
    Row(("score", "--model", "lm", "--tokens", *ONE_THREAD), perplexities, "the king sat\n", aside=True),
    Row(("score", "text", "text", "--model", "mt", *ONE_THREAD), perplexities, aside=True),
    Row(("score", "text", "--model", "lm", "--output", "scores", "--overwrite", *ONE_THREAD), perplexities, aside=True),
    Row(("score", "text", "--model", "lm", "--summary", *ONE_THREAD), perplexities),
    Row(
        ("bleu", "text", "--hypotheses", "other", "--metric", "bleu", "--metric", "chrf", "--metric", "ter"),
        lambda found: [str(score["score"]) for score in found[0]["scores"]],
    ),
    Row(("bleu", "text", "--hypotheses", "other", "--baseline", "text", "--bootstrap-samples", "9"), compared),
    Row(("bleu", "text", "--sentence"), lambda found: [str(s["score"]) for s in found[0]["scores"]], "a\nb c\n"),
    Row(
        ("bleu", "text", "--hypotheses", "other", "--method", "textbook"),
        lambda found: [f"{found[0]['scores'][0]['score']:.4f}"],
    ),
    Row(
        ("error-rate", "text", "--hypotheses", "other"),
        lambda found: [f"{rate['percent']:.2f}" for rate in found[0]["rates"]],
    ),
    Row(
        ("evaluate-labels", "text", "--hypotheses", "other", "--baseline", "text", "--bootstrap-samples", "9"),
        lambda found: [
            *(f"{score['score']:.4f}" for score in found[0]["scores"]),
            *(f"p = {each['p_value']:.4f}" for each in found[0]["comparison"]["differences"]),
        ],
    ),
    Row(
        ("evaluate-labels", "tags", "--hypotheses", "tags.jsonl", "--bootstrap-samples", "9"),
        lambda found: [f"{found[0]['calibration']['expected_calibration_error']:.4f}"],
    ),
    Row(
        ("evaluate-embeddings", "analogies", "pairs", "--vectors", "vectors.txt"),
        lambda found: [f"{100 * found[0]['scores'][0]['total']['accuracy']:.2f} %", "1.0000"],
    ),
    Row(("similarity", "king", "queen", "--vectors", "vectors.txt"), lambda found: [f"{found[0]['similarity']:.4f}"]),
    Row(
        ("neighbors", "king", "--vectors", "vectors.txt"),
        lambda found: [f"{each['similarity']:.4f}" for each in found[0]["neighbors"]],
    ),
    Row(("analogy", "king - man + woman", "--vectors", "vectors.txt"), lambda f: [f[0]["answers"][0]["word"]]),
    Row(("odd-one-out", "one", "two", "king", "--vectors", "vectors.txt"), lambda found: [found[0]["odd_one_out"]]),
    Row(("decode", "text", "--model", "lm", *ONE_THREAD), lambda found: [each["outputs"][0]["text"] for each in found]),
    Row(("inspect", "lm"), lambda found: [found[0]["artefacts"][0]["kind"]]),
    Row(("verify", "lm"), lambda found: [f"{found[0]['files']} files verified"]),
    Row(("diagnose", "lm", "--text", "long", *ONE_THREAD), lambda found: ["lm"]),
    Row(("train-lm", "--arch", "ngram", "--work", "one", "--dry-run"), lambda found: [f"{found[0]['tokens']:,}"]),
    Row(("train", "--work", "one", "--dry-run", *SMALL), lambda found: [f"{found[0]['parameters']:,}"]),
    Row(("train-seq2seq", "--work", "two", "--dry-run", *SMALL), lambda found: [f"{found[0]['parameters']:,}"]),
    Row(("train-tagger", "--work", "tagged", "--dry-run", *SMALL), lambda found: [f"{found[0]['parameters']:,}"]),
    Row(
        ("train-classifier", "--work", "tagged", "--data", "tagged/long", "--dry-run", *SMALL),
        lambda found: [f"{found[0]['parameters']:,}"],
    ),
    Row(("train-embeddings", "text", "--dry-run", "--min-count", "1"), lambda found: [f"{found[0]['words']:,}, from"]),
    Row(
        ("align-words", "text", "other", "--compare", "gold", "--output", "links", "--overwrite", *ONE_THREAD),
        lambda found: [f"error rate {found[0]['agreement']['error_rate']:.4f}"],
    ),
    Row(("tokenize", "--work", "one"), lambda found: ["the king sat"], "the king sat\n"),
    Row(("detokenize", "--work", "one"), lambda found: ["the king sat"], "the king sat\n"),
]
WITHOUT_JSON = {"tokenize", "detokenize"}
"""As filters these write text and nothing else."""


def test_every_command_that_reports_has_a_row() -> None:
    files = {make, commands.convert, commands.stream}
    reporting = {name for name, command in COMMANDS.items() if command.act not in files and name != "toy"}
    assert reporting - {row.words[0] for row in ROWS} == {"demo"}, "the demo takes minutes; it has a test of its own"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, vectors, workspaces and text for all rows."""
    root = tmp_path_factory.mktemp("quiet")
    for name in ("c", "d", "e"):
        (root / name).mkdir()
    for name, folder in (
        ("lm", tiny_models.speaker_folder(root / "a", tiny_models.speaker(), "spaces")),
        ("mt", tiny_models.translator_folder(root / "b", tiny_models.translator(), "spaces")),
        ("one", make_text_workspace(root / "c")),
        ("two", make_workspace(root / "d")),
        ("tagged", make_labelled_workspace(root / "e", "tags")),
    ):
        shutil.move(folder, root / name)
    options = align_options.AlignOptions(
        text="form", labels=["long"], work=root / "tagged", output=root / "tagged" / "long",
        label_files=[root / "e" / f"{split}.long" for split in ("train", "valid")],
    )  # fmt: skip
    align.run(options)
    write_vectors(root / "vectors.txt")
    texts = {
        "text": "the king sat on the mat\nthe queen ran\n",
        "other": "the king sat on a mat\na queen ran\n",
        "long": "the king sat on the mat\n" * 300,
        "analogies": ": family\nman king woman queen\none two king man\n",
        "pairs": "king\tqueen\t8\none\ttwo\t9\nman\tone\t1\n",
        "gold": "0-0 1-1\n0-0\n",
        "tags.jsonl": '{"tags": ["a", "b"], "probabilities": [0.9, 0.4]}\n{"tags": ["a"], "probabilities": [0.7]}\n',
        "tags": "a a\na\n",
    }
    for name, content in texts.items():
        (root / name).write_text(content, encoding="utf-8")
    return root


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.words))
def test_quiet_and_json_hide_no_result(run: Run, made: Path, monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    monkeypatch.chdir(made)

    def call(*more: str) -> Any:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(row.stdin.encode())))
        outcome = run(*row.words, *more)
        assert outcome.code == 0, outcome.err
        return outcome

    name = row.words[0]
    documents: list[Any] = []
    if name not in WITHOUT_JSON:
        printed = call("--json", "--quiet")
        lines = Path("scores").read_text(encoding="utf-8") if "scores" in row.words else printed.out
        documents = [json.loads(line) for line in lines.splitlines()]
        assert documents
        assert printed.err == ""
    wanted = row.figures(documents)
    quiet = call("--quiet")
    seen, silent = (quiet.err, quiet.out) if row.aside else (quiet.out, quiet.err)
    assert wanted
    assert [figure for figure in wanted if figure not in seen] == []
    if row.aside:
        plain = call()
        assert silent == plain.out, "standard output is the same with and without --quiet"
    else:
        assert silent == ""


@pytest.mark.parametrize("json_too", [False, True])
def test_the_demo_hides_no_result(capsys: pytest.CaptureFixture[str], json_too: bool) -> None:
    result = Demo(
        93.84, "nrefs:1", [("ein Hund", "a dog", "a dog")], Path("curve.png"), 60.0, {"x": "queen"}, 0.5, "a/DET", 0.98
    )
    stage: Any = SimpleNamespace(run=lambda options, listen: result)
    commands.demo(stage, None, Console(quiet=True, json=json_too))
    captured = capsys.readouterr()
    assert captured.err == ""
    assert all(figure in captured.out for figure in ("93.8", "nrefs:1", "queen", "a/DET", "98"))
