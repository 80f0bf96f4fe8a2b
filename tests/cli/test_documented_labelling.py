"""The commands of docs/labelling.md run as they are typed, in their order, with training cut to two steps.

Of seven models, three taggers and a classifier, with the vectors and the language models of two taggers, are trained;
the others are estimated, and not used.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .conftest import Run

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "labelling.md"
SHORT_LM = ("--max-steps", "2", "--validate-every", "2", "--hidden", "8", "--embedding", "8")
SHORT = (*SHORT_LM, "--character-hidden", "8")
UNTRAINED = ("work/names", "work/writer")


def documented_lines() -> list[str]:
    """Lines of the code blocks that are commands: `rnnkit ...`, and loops of the shell."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(("rnnkit ", "for ")) and " | " not in line]


def expand(word: str) -> list[str]:
    """Expand the braces of a word, as shells do."""
    parts = [part.split(",") if index % 2 else [part] for index, part in enumerate(re.split(r"\{(.*?)\}", word))]
    return ["".join(choice) for choice in itertools.product(*parts)]


def words_of(line: str) -> Iterator[str]:
    """The words of a command line; redirected files become arguments."""
    words = shlex.split(line)[1:]
    for before, word in zip(["", *words], words, strict=False):
        if word not in "<>":
            yield from ["--output", word] if before == ">" else expand(word)


def test_expansion_and_redirection() -> None:
    assert list(words_of("rnnkit x {a,b}/{c,d} < in > out")) == [
        "x", "a/c", "a/d", "b/c", "b/d", "in", "--output", "out",
    ]  # fmt: skip


def test_all_commands_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sample_corpora").symlink_to(ROOT / "sample_corpora")
    lines = documented_lines()
    assert len(lines) > 20
    for line in lines:
        if line.startswith("for "):
            subprocess.run(["bash", "-c", line], check=True, cwd=tmp_path)
            continue
        words = list(words_of(line))
        is_trained = words[-1] not in UNTRAINED
        if "--tune-seconds" in words:
            words[words.index("--tune-seconds") + 1] = "0.01"
        if words[0] in ("train", "train-tagger"):
            words += SHORT if is_trained else ["--dry-run"]
        elif words[0] == "train-lm":
            words += SHORT_LM
        elif words[0] == "evaluate-labels":
            words += ["--bootstrap-samples", "0"]
        if words[0] in ("decode", "evaluate-labels") and "names" in line:
            continue
        outcome = run(*words)
        assert outcome.code == 0, f"{line}\n{outcome.err}"
    tagged = (tmp_path / "test.tagged.conllu").read_text(encoding="utf-8")
    assert tagged.count("\n") == (ROOT / "sample_corpora/labelled/pos/test.conllu").read_text().count("\n")


def test_train_takes_the_options_of_labellers(run: Run) -> None:
    """The data decides about the command, so `train` knows the options of all commands that it chooses from."""
    for option in (["--crf"], ["--class-weights", "balanced"], ["--characters", "cnn"], ["--pooling", "max"]):
        assert "no such option" not in run("train", *option).err
