"""`rnnkit train-embeddings`: text in, word vectors out."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit import kernel_cache, machine
from rnnkit.errors import Interrupted, UsageError
from rnnkit.events import Listener, Note, Warned, ignore
from rnnkit.files import lock
from rnnkit.files.workspace import Workspace
from rnnkit.machine import available_cores, peak_memory
from rnnkit.stages import embedding_start, embedding_text, run_folder
from rnnkit.stages.embedding_options import Options, default_rate

if TYPE_CHECKING:
    from rnnkit.embeddings.corpus import Corpus
    from rnnkit.embeddings.model import EmbeddingModel
    from rnnkit.training.embeddings import EmbeddingTask, Slab
    from rnnkit.training.loop import Counters, Loop

EXAMPLE = """\
rnnkit train-embeddings wiki.txt
rnnkit train-embeddings wiki.txt --method cbow --dimension 300 --epochs 10 --output work/cbow
rnnkit train-embeddings wiki.txt --subwords --overwrite
rnnkit train-embeddings more.txt --init-from work/embeddings --output work/more"""

REPORT_EVERY = 20
"""Steps from one line of metrics to the next."""


@dataclass(frozen=True)
class Result:
    """What a training run came to.

    Attributes:
        output: The vectors directory.
        words: Words that have a vector.
        dimension: Numbers in a vector.
        tokens: Words of running text in one pass.
        epochs: Passes.
        loss: Mean of what was optimised in the last pass, in nats a prediction.
        seconds: Time of training, over all resumptions.
        words_per_second: Words of running text, rare ones counted, by the time of training.
        memory_bytes: Most memory that the process has held.
    """

    output: Path
    words: int
    dimension: int
    tokens: int
    epochs: int
    loss: float
    seconds: float
    words_per_second: float
    memory_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {**dataclasses.asdict(self), "output": str(self.output)}

    @property
    def lines(self) -> list[str]:
        """The result for people."""
        return [
            f"{self.output}: {self.words:,} vectors of {self.dimension} numbers",
            f"loss {self.loss:.4f} in the last pass; {self.words_per_second:,.0f} words/s",
        ]


@dataclass(frozen=True)
class Cost:
    """What a run would take.

    Attributes:
        words: Words that get a vector.
        tokens: Words of running text in one pass.
        memory_bytes: Of the matrices that are learned.
        disk_bytes: Of the vectors directory at most, while the run goes on.
    """

    words: int
    tokens: int
    memory_bytes: int
    disk_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The cost as JSON."""
        return dataclasses.asdict(self)

    @property
    def lines(self) -> list[str]:
        """The cost for people."""
        return [
            f"words   {self.words:,} of {self.tokens:,} in the text",
            f"memory  {self.memory_bytes / 1e6:,.0f} MB for what is learned",
            f"disk    {self.disk_bytes / 1e6:,.0f} MB at most",
        ]


def run(options: Options, listen: Listener = ignore) -> Result | Cost:
    """Train, or with `dry_run` say what it would cost.

    Raises:
        DataError: The text cannot be read, or has too few words.
        ConfigError: `init_from` does not fit the options, or the matrices do not fit the memory.
        ArtefactError: The output is there already or in use.
        Interrupted: A signal came; everything is saved, and the vectors as they were are written.
    """
    _check(options)
    folder = options.output or Workspace(options.work).embeddings
    if options.dry_run:
        return _estimate(options, listen)
    if not options.resume:
        paths = embedding_text.find_text(options)
        run_folder.refuse_taken(folder, options.overwrite)
    with lock.hold(folder):
        _load_kernels(listen)
        if options.resume:
            options = run_folder.saved_options(folder, options, "vectors")
            model, corpus = embedding_start.reopen(options, folder, listen)
        else:
            model, corpus = embedding_start.begin(options, paths, folder, listen)
        return _train(options, model, corpus, folder, listen)


def _check(options: Options) -> None:
    if options.min_ngram > options.max_ngram:
        raise UsageError(f"--min-ngram {options.min_ngram} is longer than --max-ngram {options.max_ngram}")
    if options.text and options.resume:
        raise UsageError("--resume has its text already", "the run keeps it as numbers", hint="leave out the text")


def _train(options: Options, model: EmbeddingModel, corpus: Corpus, folder: Path, listen: Listener) -> Result:
    from rnnkit.embeddings import run_directory
    from rnnkit.training import checkpoint, metrics

    loop, task = _make_loop(options, model, corpus, folder, listen)
    if options.resume and checkpoint.exists(folder / "last"):
        loop.resume()
        listen(Note(f"going on from step {loop.counters.step:,}"))
    elif options.resume:
        metrics.drop_after(folder / metrics.NAME, 0)
        listen(Note(f"{folder} has no checkpoint yet: training starts from the beginning"))
    try:
        counters = loop.run()
    except Interrupted:
        run_directory.update(folder, model.table(), {"finished": False})
        listen(Note(f"the vectors as they are now are in {folder}"))
        raise
    if not counters.tokens:
        listen(Warned("nothing was learned: no line has two words that are kept; --sample 0 keeps all with vectors"))
    facts = {"finished": True, "tokens": corpus.tokens, "epochs": options.epochs, "loss": task.loss}
    run_directory.update(folder, model.table(), facts)
    checkpoint.remove(folder / "last")
    shutil.rmtree(folder / embedding_start.TEXT)
    return _result(options, model, corpus, counters, task.loss, folder)


def _make_loop(
    options: Options, model: EmbeddingModel, corpus: Corpus, folder: Path, listen: Listener
) -> tuple[Loop[Slab], EmbeddingTask]:
    from rnnkit.embeddings.learner import Learner
    from rnnkit.training.embeddings import EmbeddingTask, Slabs
    from rnnkit.training.loop import Loop, Plan
    from rnnkit.training.schedules import Schedule

    threads = options.threads or available_cores()
    task = EmbeddingTask(corpus, Learner(embedding_start.make_lesson(options, model, corpus), threads))
    slabs = Slabs(corpus, options.epochs)
    steps = options.epochs * slabs.per_epoch
    plan = Plan(steps, steps, report_every=REPORT_EVERY, save_seconds=options.save_every, keep_last=False)
    rate = options.learning_rate or default_rate(options)
    listen(
        Note(
            f"{options.method}{' with n-grams' if options.subwords else ''}, {options.loss} loss, "
            f"learning rate {rate:g}, {threads} {'thread' if threads == 1 else 'threads'}, seed {options.seed}"
        )
    )
    return Loop(task, slabs, Schedule("linear", rate, 0, steps), plan, folder, None, listen), task


def _load_kernels(listen: Listener) -> None:
    """Load or compile what is needed, and say what the wait is for, where it is one.

    It comes first, so that the compiler's memory is given back before the matrices take theirs.
    """
    with kernel_cache.tell(listen):
        from rnnkit.embeddings import kernels

        kernels.prepare()


def _result(
    options: Options, model: EmbeddingModel, corpus: Corpus, counters: Counters, loss: float, folder: Path
) -> Result:
    return Result(
        output=folder,
        words=len(model.lexicon.words),
        dimension=options.dimension,
        tokens=corpus.tokens,
        epochs=options.epochs,
        loss=loss,
        seconds=counters.seconds,
        words_per_second=counters.words / max(1e-9, counters.seconds),
        memory_bytes=peak_memory(),
    )


def _estimate(options: Options, listen: Listener) -> Cost:
    """Count the words, in a folder that is gone afterwards."""
    from rnnkit.embeddings.corpus import open_text, write_rows

    with tempfile.TemporaryDirectory() as name:
        text = Path(name)
        found = embedding_text.write_numbers(options, embedding_text.find_text(options), text, listen)
        _, lexicon, row_of = embedding_start.choose_words(options, found)
        write_rows(text, found.rows(row_of))
        tokens = open_text(text).tokens
        numbers = sum(path.stat().st_size for path in text.iterdir())
    matrices = lexicon.memory_bytes(options.dimension)
    machine.announce(matrices, listen)
    return Cost(len(lexicon.words), tokens, matrices, 2 * matrices + numbers)
