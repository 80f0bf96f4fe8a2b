"""`rnnkit demo`: the whole chain on the sample corpora, with the commands it runs."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import option
from rnnkit.errors import DataError, RnnkitError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.stages import usual_options as usual
from rnnkit.system import interpreter

EXAMPLE = """\
rnnkit demo
rnnkit demo --corpora path/to/sample_corpora --work /tmp/demo"""

TRAIN = (
    "--arch lstm --attention additive --hidden 128 --embedding 128 --joint-embeddings --dropout 0.1 --batch-tokens 512 "
    "--learning-rate 4e-3 --epochs 9 --validate-lines 100 --samples 1"
)
"""A small network on small batches learns the small corpus in about a minute."""

VECTORS = "--subwords --sample 0 --learning-rate 0.05 --epochs 30"
"""A small text has no words to spare, and is read often."""

QUESTIONS = ("king - man + woman", "Paris - France + Italy", "dogs - dog + horse")
SHOWN = 5

WORDS = ("monolingual/train.txt", "monolingual/analogies.txt")
"""What word vectors are learned from, and tested on."""


@dataclass(frozen=True)
class DemoOptions:
    """Run the whole chain on the sample corpora.

    German to English is tokenized, trained, decoded and scored; word vectors are learned and asked.
    """

    corpora: Path = option(Path("sample_corpora"), help="Folder of the sample corpora.", panel="Data")
    work: Path = option(Path("work/demo"), help="Workspace of the demo; replaced.", panel="Data")
    threads: int = usual.threads()


@dataclass(frozen=True)
class DemoResult:
    """What came out.

    Attributes:
        bleu: On the test part.
        signature: sacreBLEU's.
        samples: Source, output and reference of some test lines.
        curve: The picture of the learning curve.
        train_seconds: Time that the training command took.
        analogies: Questions to the word vectors, and the answer to each.
        analogy_accuracy: Share of the sample corpus' questions that they answer right.
    """

    bleu: float
    signature: str
    samples: list[tuple[str, str, str]]
    curve: Path
    train_seconds: float
    analogies: dict[str, str]
    analogy_accuracy: float

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "bleu": self.bleu,
            "signature": self.signature,
            "samples": [dict(zip(("source", "output", "reference"), one, strict=True)) for one in self.samples],
            "curve": str(self.curve),
            "train_seconds": round(self.train_seconds, 1),
            "analogies": self.analogies,
            "analogy_accuracy": self.analogy_accuracy,
        }


def run(options: DemoOptions, listen: Listener = null_listener) -> DemoResult:
    """Run the chain as commands of their own, as a user would type them.

    Raises:
        DataError: The sample corpora are not there.
        RnnkitError: A command of the chain failed; it has said why.
    """
    _check_corpora(options.corpora)
    call = _Caller(listen)
    score, seconds = _translate(options, call)
    analogies, accuracy = _learn_words(options, call)
    folder = options.corpora / "parallel"
    return DemoResult(
        bleu=score["score"],
        signature=score["signature"],
        samples=_samples(folder / "test.de", options.work / "test.hyp", folder / "test.en"),
        curve=options.work / "model" / "curve.png",
        train_seconds=seconds,
        analogies=analogies,
        analogy_accuracy=accuracy,
    )


def _check_corpora(folder: Path) -> None:
    names = [f"parallel/{split}.{side}" for split in ("train", "valid", "test") for side in ("de", "en")]
    missing = next((name for name in [*names, *WORDS] if not (folder / name).exists()), None)
    if missing:
        raise DataError(
            f"the sample corpora are not in {folder}: {folder / missing} is missing",
            hint="run the demo in a clone of the repository, or name the folder with --corpora",
        )


def _translate(options: DemoOptions, call: _Caller) -> tuple[dict[str, Any], float]:
    """Learn to translate; returns the score on the test part, and the seconds of training."""
    folder, work = options.corpora / "parallel", ["--work", str(options.work)]
    texts = [str(folder / f"{split}.{side}") for split in ("train", "valid") for side in ("de", "en")]
    hypotheses = options.work / "test.hyp"
    call("tokenize", *texts, "--type", "words", *work, "--overwrite")
    call("vocab", *work, "--overwrite")
    call("align", "--source", "de", "--target", "en", *work, "--overwrite")
    began = time.monotonic()
    call("train", *TRAIN.split(), *work, "--threads", str(options.threads), "--overwrite")
    seconds = time.monotonic() - began
    call("decode", "--beam", "5", str(folder / "test.de"), *work, "--output", str(hypotheses), "--overwrite")
    scored = call("bleu", str(folder / "test.en"), "--hypotheses", str(hypotheses), "--json")
    return json.loads(scored)["scores"][0], seconds


def _learn_words(options: DemoOptions, call: _Caller) -> tuple[dict[str, str], float]:
    """Learn word vectors; returns the answers to the questions, and the share of the corpus' own answered right."""
    text, questions = (str(options.corpora / name) for name in WORDS)
    work = ["--work", str(options.work / "words")]
    call("tokenize", text, "--type", "words", *work, "--overwrite")
    call("train-embeddings", *VECTORS.split(), *work, "--threads", str(options.threads), "--overwrite")
    answers = {
        question: json.loads(call("analogy", *question.split(), "--count", "1", *work, "--json"))["answers"][0]["word"]
        for question in QUESTIONS
    }
    tested = json.loads(call("evaluate-embeddings", questions, *work, "--json"))
    return answers, tested["scores"][0]["total"]["accuracy"]


class _Caller:
    """Runs commands of this rnnkit and says which."""

    def __init__(self, listen: Listener) -> None:
        self._listen = listen

    def __call__(self, *words: str) -> str:
        """Run one; returns what it wrote to stdout. Its stderr, with its progress, goes to the user's."""
        self._listen(Note(f"$ rnnkit {shlex.join(words)}"))
        line = interpreter.interpreter_command("-m", "rnnkit", *words)
        done = subprocess.run(line, stdout=subprocess.PIPE, env=interpreter.child_environment(), check=False)
        if done.returncode:
            raise RnnkitError(f"`rnnkit {words[0]}` failed with exit code {done.returncode}", "its message is above")
        return done.stdout.decode("utf-8")


def _samples(source: Path, hypotheses: Path, reference: Path) -> list[tuple[str, str, str]]:
    from rnnkit.text.lines import read_lines

    rows = list(zip(read_lines(source), read_lines(hypotheses), read_lines(reference), strict=True))
    return [rows[index * len(rows) // SHOWN] for index in range(SHOWN)]
