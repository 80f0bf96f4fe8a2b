"""`rnnkit demo`: the whole chain on the sample corpora, with the commands it runs."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import option
from rnnkit.errors import DataError, RnnkitError
from rnnkit.events import Listener, Note, ignore

EXAMPLE = """\
rnnkit demo
rnnkit demo --corpora path/to/sample_corpora --work /tmp/demo"""

TRAIN = (
    "--arch lstm --attention additive --hidden 128 --embedding 128 --joint-embeddings --dropout 0.1 --batch-tokens 512 "
    "--learning-rate 4e-3 --epochs 9 --validate-lines 100 --samples 1"
)
"""A small network on small batches learns the small corpus in about a minute."""
SHOWN = 5


@dataclass(frozen=True)
class Options:
    """Run the whole chain on the parallel sample corpus: German to English, tokenized, trained, decoded, scored."""

    corpora: Path = option(Path("sample_corpora"), help="Folder of the sample corpora.", panel="Data")
    work: Path = option(Path("work/demo"), help="Workspace of the demo; replaced.", panel="Data")
    threads: int = option(0, help="CPU threads; 0: all cores.", panel="Optimisation", minimum=0)


@dataclass(frozen=True)
class Result:
    """What came out.

    Attributes:
        bleu: On the test part.
        signature: sacreBLEU's.
        samples: Source, output and reference of some test lines.
        curve: The picture of the learning curve.
        train_seconds: Time that the training command took.
    """

    bleu: float
    signature: str
    samples: list[tuple[str, str, str]]
    curve: Path
    train_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "bleu": self.bleu,
            "signature": self.signature,
            "samples": [dict(zip(("source", "output", "reference"), one, strict=True)) for one in self.samples],
            "curve": str(self.curve),
            "train_seconds": round(self.train_seconds, 1),
        }


def run(options: Options, listen: Listener = ignore) -> Result:
    """Run the chain as commands of their own, as a user would type them.

    Raises:
        DataError: The sample corpora are not there.
        RnnkitError: A command of the chain failed; it has said why.
    """
    import json

    folder = options.corpora / "parallel"
    names = [f"{split}.{side}" for split in ("train", "valid", "test") for side in ("de", "en")]
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise DataError(
            f"the sample corpora are not in {options.corpora}: {folder / missing[0]} is missing",
            hint="run the demo in a clone of the repository, or name the folder with --corpora",
        )
    work = ["--work", str(options.work)]
    texts = [str(folder / name) for name in names[:4]]
    hypotheses = options.work / "test.hyp"
    call = _Caller(listen)
    call("tokenize", *texts, "--type", "words", *work, "--overwrite")
    call("vocab", *work, "--overwrite")
    call("align", "--source", "de", "--target", "en", *work, "--overwrite")
    began = time.monotonic()
    call("train", *TRAIN.split(), *work, "--threads", str(options.threads), "--overwrite")
    seconds = time.monotonic() - began
    call("decode", "--beam", "5", str(folder / "test.de"), *work, "--output", str(hypotheses), "--overwrite")
    scored = call("bleu", str(folder / "test.en"), "--hypotheses", str(hypotheses), "--json")
    score = json.loads(scored)["scores"][0]
    return Result(
        bleu=score["score"],
        signature=score["signature"],
        samples=_samples(folder / "test.de", hypotheses, folder / "test.en"),
        curve=options.work / "model" / "curve.png",
        train_seconds=seconds,
    )


class _Caller:
    """Runs commands of this rnnkit and says which."""

    def __init__(self, listen: Listener) -> None:
        self._listen = listen

    def __call__(self, *words: str) -> str:
        """Run one; returns what it wrote to stdout. Its stderr, with its progress, goes to the user's."""
        self._listen(Note(f"$ rnnkit {shlex.join(words)}"))
        done = subprocess.run([sys.executable, "-m", "rnnkit", *words], stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise RnnkitError(f"`rnnkit {words[0]}` failed with exit code {done.returncode}", "its message is above")
        return done.stdout.decode("utf-8")


def _samples(source: Path, hypotheses: Path, reference: Path) -> list[tuple[str, str, str]]:
    from rnnkit.text.lines import read_lines

    rows = list(zip(read_lines(source), read_lines(hypotheses), read_lines(reference), strict=True))
    return [rows[index * len(rows) // SHOWN] for index in range(SHOWN)]
