"""Compile the kernels into the cache before the tests start: `python -m tests.compile_kernels`.

Otherwise several workers of pytest, and the commands that they start, compile the same kernels at the same time. The
kernels are compiled as the commands need them; those that only a few tests need are compiled there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.workspaces import SMALL, make_labelled_workspace, make_text_workspace, make_workspace

from rnnkit.cli import app
from rnnkit.stages.text import align, align_options

FEW = ["--max-steps", "1", "--validate-every", "1"]
LABELS = ["--work", "tags/work", "--data", "tags/work/long"]
NGRAMS = ["--word-ngrams", "2", "--min-characters", "3", "--max-characters", "4", "--epochs", "1", "--embedding", "8"]
VECTORS = ["--dimension", "8", "--min-count", "1", "--epochs", "1", "--threads", "1"]
MODELS = {arch: ["train", "--arch", arch, *SMALL, *FEW, "--output", arch] for arch in ("rnn", "gru", "lstm", "mingru")}

CHAINS: list[list[list[str]]] = [
    [
        ["train-embeddings", "text/train.en", *VECTORS, "--output", "skip-gram"],
        ["train-embeddings", "text/train.en", *VECTORS, "--method", "cbow", "--output", "cbow"],
        ["train-embeddings", "text/train.en", *VECTORS, "--subwords", "--output", "subwords"],
        ["train-tagger", "--work", "tags/work", "--hidden", "8", *FEW, "--output", "tagger"],
        ["decode", "valid.de", "--model", "tagger", "--threads", "1", "--output", "tags.hyp"],
        ["train-classifier", "--arch", "linear", *LABELS, *NGRAMS, "--output", "linear"],
        ["decode", "valid.de", "--model", "linear", "--threads", "1", "--output", "labels.hyp"],
    ],
    [
        *MODELS.values(),
        *(["decode", "valid.de", "--model", arch, "--threads", "1", "--output", f"{arch}.hyp"] for arch in MODELS),
        ["align-words", "--threads", "1"],
        ["align-words", "--threads", "1", "--model", "diagonal", "--output", "diagonal"],
        ["train-lm", "--work", "text/work", "--arch", "ngram", "--output", "counts"],
        ["convert-ngrams", "counts.arpa", "--model", "counts"],
        ["convert-ngrams", "converted", "--model", "counts.arpa"],
        ["score", "text/valid.en", "--model", "counts", "--output", "scores"],
    ],
]
"""Command lines that two processes run at the same time."""


def compile_chain(number: int) -> None:
    """Run the commands of a chain in this process, in the current folder."""
    for words in CHAINS[number]:
        code = app.run([*words, "--quiet"])
        if code:
            sys.exit(f"{' '.join(words)}: exit code {code}")


def main() -> None:
    """Make the workspaces, and run the chains."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_workspace(folder)
        (folder / "text").mkdir()
        make_text_workspace(folder / "text")
        (folder / "tags").mkdir()
        work = make_labelled_workspace(folder / "tags", "spans")
        align.run(align_options.AlignOptions(text="form", labels=["long"], work=work, output=work / "long"))
        program = f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); from tests import compile_kernels as it; "
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", f"{program}it.compile_chain({number})"], cwd=folder, stdout=subprocess.DEVNULL
            )
            for number in range(len(CHAINS))
        ]
        codes = [process.wait() for process in processes]
        if any(codes):
            sys.exit(1)


if __name__ == "__main__":
    main()
