"""`rnnkit demo`: all steps from text to scores on the sample corpora, and the commands that run them."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import DataError, RnnkitError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import option
from rnnkit.stages import shared_options as shared
from rnnkit.system import interpreter

EXAMPLE = """\
rnnkit demo
rnnkit demo --corpora path/to/sample_corpora --work /tmp/demo"""

TRAIN = (
    "--arch lstm --attention additive --hidden 128 --embedding 128 --joint-embeddings --dropout 0.1 --batch-tokens 512 "
    "--learning-rate 4e-3 --epochs 9 --validate-lines 100 --samples 1"
)
"""A small network with small batches, which trains in about a minute."""

VECTORS = "--subwords --sample 0 --learning-rate 0.05 --epochs 30"
"""No subsampling and many epochs, because the text is small."""

TAGGER = (
    "--preset fast --characters lstm --character-hidden 32 --hidden 64 --batch-tokens 100 --epochs 5 "
    "--learning-rate 8e-3 --warmup 40 --validate-every 1000"
)
"""A small tagger with small batches and a single validation, which trains in seconds."""

ANALOGIES = ("king - man + woman", "Paris - France + Italy", "dogs - dog + horse")
SAMPLE_COUNT = 5

MONOLINGUAL = ("monolingual/train.txt", "monolingual/analogies.txt")
"""Training text of the word vectors, and their test set."""

TAGGED = tuple(f"labelled/pos/{split}.conllu" for split in ("train", "valid", "test"))
"""Sentences with parts of speech."""


@dataclass(frozen=True)
class DemoOptions(shared.ThreadOptions):
    """Run all steps on the sample corpora.

    Tokenizes a German-English corpus, trains a translation model, decodes and scores; then trains word vectors and
    solves analogies, and trains and tests a tagger.
    """

    corpora: Path = option(Path("sample_corpora"), help="Directory of the sample corpora.", panel="Data")
    work: Path = option(
        Path("work/demo"), help="Working directory of the demo; it is replaced.", panel="Data", variable="DEMO_WORK"
    )


@dataclass(frozen=True)
class DemoResult:
    """Scores and samples.

    Attributes:
        bleu: BLEU on the test set.
        signature: sacreBLEU's signature of the score.
        samples: Source, output and reference of some test lines.
        curve: Figure of the learning curve.
        train_seconds: Duration of the training command.
        analogies: Answers of the word vectors, by query.
        analogy_accuracy: Accuracy on the analogies of the sample corpus.
        tagged: A test sentence with the tags of the tagger.
        tag_accuracy: Accuracy of the tagger on its test set.
    """

    bleu: float
    signature: str
    samples: list[tuple[str, str, str]]
    curve: Path
    train_seconds: float
    analogies: dict[str, str]
    analogy_accuracy: float
    tagged: str
    tag_accuracy: float

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {
            "bleu": self.bleu,
            "signature": self.signature,
            "samples": [dict(zip(("source", "output", "reference"), one, strict=True)) for one in self.samples],
            "curve": str(self.curve),
            "train_seconds": round(self.train_seconds, 1),
            "analogies": self.analogies,
            "analogy_accuracy": self.analogy_accuracy,
            "tagged": self.tagged,
            "tag_accuracy": self.tag_accuracy,
        }


def run(options: DemoOptions, listen: Listener = null_listener) -> DemoResult:
    """Run the steps as commands in processes of their own, as a user would type them.

    Raises:
        DataError: The sample corpora are missing.
        RnnkitError: A command failed; its own message precedes the error.
    """
    _check_corpora(options.corpora)
    call = _CommandRunner(listen)
    score, seconds = _translate(options, call)
    analogies, accuracy = _train_vectors(options, call)
    tagged, tag_accuracy = _train_tagger(options, call)
    folder = options.corpora / "parallel"
    return DemoResult(
        bleu=score["score"],
        signature=score["signature"],
        samples=_read_samples(folder / "test.de", options.work / "test.hyp", folder / "test.en"),
        curve=options.work / "model" / "curve.png",
        train_seconds=seconds,
        analogies=analogies,
        analogy_accuracy=accuracy,
        tagged=tagged,
        tag_accuracy=tag_accuracy,
    )


def _check_corpora(folder: Path) -> None:
    names = [f"parallel/{split}.{side}" for split in ("train", "valid", "test") for side in ("de", "en")]
    missing = next((name for name in [*names, *MONOLINGUAL, *TAGGED] if not (folder / name).exists()), None)
    if missing:
        raise DataError(
            f"the sample corpora are not in {folder}: {folder / missing} is missing",
            hint="run the demo in a clone of the repository, or name the directory with --corpora",
            path=folder / missing,
            option="--corpora",
        )


def _translate(options: DemoOptions, call: _CommandRunner) -> tuple[JsonObject, float]:
    """Train and test a translation model. Returns the test score and the training time in seconds."""
    folder, work = options.corpora / "parallel", ["--work", str(options.work)]
    texts = [str(folder / f"{split}.{side}") for split in ("train", "valid") for side in ("de", "en")]
    hypotheses = options.work / "test.hyp"
    call("tokenize", *texts, "--type", "words", *work, "--overwrite")
    call("vocab", *work, "--overwrite")
    call("align", "--source", "de", "--target", "en", *work, "--overwrite")
    start = time.monotonic()
    call("train", *TRAIN.split(), *work, "--threads", str(options.threads), "--overwrite")
    seconds = time.monotonic() - start
    call("decode", "--beam", "5", str(folder / "test.de"), *work, "--output", str(hypotheses), "--overwrite")
    scored = call("bleu", str(folder / "test.en"), "--hypotheses", str(hypotheses), "--json")
    return json.loads(scored)["scores"][0], seconds


def _train_vectors(options: DemoOptions, call: _CommandRunner) -> tuple[dict[str, str], float]:
    """Train word vectors. Returns the answers to `ANALOGIES`, and the accuracy on those of the sample corpus."""
    text, test_set = (str(options.corpora / name) for name in MONOLINGUAL)
    work = ["--work", str(options.work / "words")]
    call("tokenize", text, "--type", "words", *work, "--overwrite")
    call("train-embeddings", *VECTORS.split(), *work, "--threads", str(options.threads), "--overwrite")
    answers = {
        query: json.loads(call("analogy", *query.split(), "--count", "1", *work, "--json"))["answers"][0]["word"]
        for query in ANALOGIES
    }
    tested = json.loads(call("evaluate-embeddings", test_set, *work, "--json"))
    return answers, tested["scores"][0]["total"]["accuracy"]


def _train_tagger(options: DemoOptions, call: _CommandRunner) -> tuple[str, float]:
    """Train and test a tagger. Returns a test sentence with its tags, and the accuracy on the test set."""
    from rnnkit.text.lines import read_lines

    folder, corpora = options.work / "tags", [str(options.corpora / name) for name in TAGGED]
    work = ["--work", str(folder)]
    texts = [str(folder / f"{split}.form") for split in ("train", "valid")]
    test, reference, hypotheses = (str(folder / name) for name in ("test.form", "test.upos", "test.hyp"))
    call("extract", *corpora, "--columns", "form,upos", "--output", str(folder), "--overwrite")
    call("tokenize", *texts, "--type", "words", *work, "--overwrite")
    call("vocab", *work, "--overwrite")
    call("align", "--text", "form", "--labels", "upos", *work, "--overwrite")
    call("train", *TAGGER.split(), *work, "--threads", str(options.threads), "--overwrite")
    call("decode", test, *work, "--output", hypotheses, "--overwrite")
    scored = json.loads(call("evaluate-labels", reference, "--hypotheses", hypotheses, "--json"))
    words, tags = (next(read_lines(Path(path))).split(" ") for path in (test, hypotheses))
    return " ".join(map("/".join, zip(words, tags, strict=True))), scored["scores"][0]["score"]


class _CommandRunner:
    """Runs rnnkit commands, each preceded by a note with its command line."""

    def __init__(self, listen: Listener) -> None:
        self._listen = listen

    def __call__(self, *words: str) -> str:
        """Run a command and return its standard output. Its standard error, with the progress, is not redirected."""
        self._listen(Note(f"$ rnnkit {shlex.join(words)}"))
        line = interpreter.interpreter_command("-m", "rnnkit", *words)
        done = subprocess.run(line, stdout=subprocess.PIPE, env=interpreter.child_environment(), check=False)
        if done.returncode:
            raise RnnkitError(f"`rnnkit {words[0]}` failed with exit code {done.returncode}", "see its message above")
        return done.stdout.decode("utf-8")


def _read_samples(source: Path, hypotheses: Path, reference: Path) -> list[tuple[str, str, str]]:
    from rnnkit.text.lines import read_lines

    lines = list(zip(read_lines(source), read_lines(hypotheses), read_lines(reference), strict=True))
    return [lines[index * len(lines) // SAMPLE_COUNT] for index in range(SAMPLE_COUNT)]
