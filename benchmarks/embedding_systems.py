"""The systems that train word vectors: one job for all of them, and one run of it, timed from outside."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from embedding_texts import Text, write_beginning
from meter import Meter
from rivals import TAIL_LINES, BenchmarkError

RNNKIT = "rnnkit"
NAMES = {"gensim": "gensim", "fasttext": "fastText", RNNKIT: "rnnkit"}
METHODS = {"skipgram": "skip-gram", "cbow": "CBOW"}

RIVALS_SCRIPT = Path(__file__).with_name("embedding_rivals.py")
CORPUS, ANALOGIES, PAIRS = (
    Path("wikipedia-en-2015", "wiki.az.txt.gz"),
    Path("word-analogy", "questions-words.txt"),
    Path("word-similarity", "wordsim353.tsv"),
)
WARM_UP_BYTES = 300_000
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in."""


@dataclass(frozen=True)
class Settings:
    """What every run of a benchmark shares."""

    corpora: Path
    work: Path
    python: Path  # the rivals'
    systems: tuple[str, ...]
    size: int | None  # bytes of the text that are taken; None: all
    epochs: int
    rounds: int
    threads: int
    seed: int  # of the first round
    limit: int  # bytes of private memory, for the text that is larger

    def write_text(self) -> Text:
        """The text that all systems read."""
        return write_beginning(self.corpora / CORPUS, self.work / "text.txt", self.size)


@dataclass(frozen=True)
class Job:
    """What a system is asked to train; what is not named here stays at the system's default."""

    text: Text
    method: str
    epochs: int
    threads: int
    seed: int
    subwords: bool = False
    min_count: int = 5
    dimension: int = 100
    window: int = 5
    negatives: int = 5
    sample: float = 1e-3
    min_ngram: int = 3
    max_ngram: int = 6

    @property
    def tokens(self) -> int:
        """Raw tokens of all passes, those of rare words and those that are sampled away included."""
        return self.text.tokens * self.epochs


@dataclass(frozen=True)
class Ended:
    """A command that has ended well.

    Attributes:
        output: Its standard output.
        seconds: From the start of the process to its end.
        peak_bytes: Greatest resident memory. What this process holds itself when it starts another is the least that
            can come out, so it holds little.
        processor: Seconds of processor time.
    """

    output: str
    seconds: float
    peak_bytes: int
    processor: float


@dataclass(frozen=True)
class Run:
    """One run of one system.

    Attributes:
        system: Who.
        job: What.
        model: What was written.
        speed: Raw tokens a second in the training phase.
        ended: The whole command.
        report: What the command said of itself.
        others: Share of the machine's cores that other processes took meanwhile; None: not known.
    """

    system: str
    job: Job
    model: Path
    speed: float
    ended: Ended
    report: dict[str, Any]
    others: float | None

    @property
    def whole_speed(self) -> float:
        """Raw tokens a second of the whole command: start, vocabulary, training, writing."""
        return self.job.tokens / self.ended.seconds

    @property
    def name(self) -> str:
        """The run in a few words."""
        threads = "1 thread" if self.job.threads == 1 else f"{self.job.threads} threads"
        return f"{NAMES[self.system]} {METHODS[self.job.method]}, {threads}, seed {self.job.seed}"


def make_job(settings: Settings, text: Text, method: str) -> Job:
    """The job of the first round."""
    return Job(text, method, settings.epochs, settings.threads, settings.seed)


def train(system: str, job: Job, settings: Settings, **outputs: Any) -> Run:
    """Let a system do a job, and say on standard error how it went.

    Args:
        system: Who.
        job: What.
        settings: Where.
        outputs: `format` and `queries` for a rival's script; rnnkit has commands of its own for these.
    """
    folder = clean(settings.work / system)
    model = folder / "model"
    if system == RNNKIT:
        command = rnnkit_command(job, model)
    else:
        command = rival_command(system, job, model, settings.python, outputs)
    meter = Meter()
    ended = run_command(command, folder, threads=job.threads, numba_cache=settings.work / "numba")
    report = json.loads(ended.output.splitlines()[-1])
    speed = report["words_per_second"] if system == RNNKIT else job.tokens / report["seconds"]
    run = Run(system, job, model, float(speed), ended, report, meter.others())
    print(f"{run.name}: {run.speed:,.0f} words/s in training, {run.whole_speed:,.0f} in all", file=sys.stderr)
    return run


def rounds(systems: Sequence[str], job: Job, settings: Settings) -> list[Run]:
    """Let the systems run in turn, several rounds, because machines are noisy; the seed moves on with the round."""
    if RNNKIT in systems:
        warm_up(job, settings)
    return [
        train(system, replace(job, seed=settings.seed + number), settings)
        for number in range(settings.rounds)
        for system in systems
    ]


def warm_up(job: Job, settings: Settings) -> None:
    """Let rnnkit compile its kernels for this kind of job, on a little text, so that they are found on disk later."""
    text = write_beginning(settings.corpora / CORPUS, settings.work / "warm_up.txt", WARM_UP_BYTES)
    time_rnnkit(replace(job, text=text, epochs=1, min_count=5), settings, settings.work / "numba")


def time_rnnkit(job: Job, settings: Settings, numba_cache: Path, limit: int | None = None) -> Ended:
    """Run rnnkit's command for nothing but its time and memory; for the limit see `run_command`."""
    folder = settings.work / "timed"
    command = rnnkit_command(job, folder / "model")
    return run_command(command, clean(folder), threads=job.threads, numba_cache=numba_cache, limit=limit)


def clean(folder: Path) -> Path:
    """Make a folder, or empty it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def rnnkit_command(job: Job, output: Path) -> list[str]:
    """The command line of `rnnkit train-embeddings`."""
    options: dict[str, object] = {
        "output": output,
        "method": job.method,
        "dimension": job.dimension,
        "window": job.window,
        "negatives": job.negatives,
        "sample": job.sample,
        "min-count": job.min_count,
        "epochs": job.epochs,
        "threads": job.threads,
        "seed": job.seed,
    }
    if job.subwords:
        options |= {"min-ngram": job.min_ngram, "max-ngram": job.max_ngram}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return rnnkit("train-embeddings", job.text.path, *words, *(["--subwords"] if job.subwords else []), "--json")


def rnnkit(*words: object) -> list[str]:
    """A command line of the rnnkit beside this Python."""
    return [str(Path(sys.executable).with_name("rnnkit")), *map(str, words)]


def rival_command(system: str, job: Job, output: Path, python: Path, outputs: dict[str, Any]) -> list[str]:
    """The command line that lets a rival do the job."""
    wanted = {"output": str(output), "format": "native", "queries": [], **outputs}
    return [str(python), str(RIVALS_SCRIPT), system, json.dumps({**asdict(job), "text": str(job.text.path), **wanted})]


def run_command(
    command: Sequence[str], folder: Path, *, threads: int, numba_cache: Path, limit: int | None = None
) -> Ended:
    """Run a command to its end; what it says is kept in files in `folder`.

    Args:
        command: Its words.
        folder: Where `output` and `log` are written.
        threads: Threads for the libraries that read this from the environment.
        numba_cache: Where numba keeps compiled kernels.
        limit: Bytes that the process may have as private memory (RLIMIT_DATA), where there is a limit.

    Raises:
        BenchmarkError: It cannot be started or fails.
    """
    variables = {"OMP_NUM_THREADS": str(threads), "NUMBA_CACHE_DIR": str(numba_cache), "CUDA_VISIBLE_DEVICES": ""}

    def hold() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    with (folder / "output").open("wb") as output, (folder / "log").open("wb") as log:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(
                command, env=os.environ | variables, stdout=output, stderr=log, preexec_fn=hold if limit else None
            )
        except FileNotFoundError as error:
            raise BenchmarkError(f"`{command[0]}` is not there: install rnnkit with its command line") from error
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = (folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        lines = "\n".join(f"  {line}" for line in said)
        raise BenchmarkError(f"`{' '.join(command)[:300]}` ended with status {process.returncode}\n{lines}")
    output_text = (folder / "output").read_text(encoding="utf-8")
    return Ended(output_text, seconds, usage.ru_maxrss * MAXRSS_BYTES, usage.ru_utime + usage.ru_stime)
