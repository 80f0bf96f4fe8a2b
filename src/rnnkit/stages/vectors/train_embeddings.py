"""`rnnkit train-embeddings`: text in, word vectors out."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.errors import Interrupted, UsageError
from rnnkit.events import Listener, Note, WarningEvent, null_listener
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.io.safe_reading import Repairs
from rnnkit.io.workspace import Workspace
from rnnkit.kernels import kernel_cache
from rnnkit.stages import outputs
from rnnkit.stages.training.setup import run_folder
from rnnkit.stages.vectors import embedding_start, embedding_text
from rnnkit.stages.vectors.embedding_options import TrainEmbeddingsOptions, default_rate, dimension
from rnnkit.system import machine
from rnnkit.system.machine import available_cores, peak_memory

if TYPE_CHECKING:
    from rnnkit.embeddings.train.corpus import Corpus
    from rnnkit.embeddings.train.embedding_model import EmbeddingModel
    from rnnkit.training.trainer import Trainer, TrainingCounters
    from rnnkit.training.word_vector_task import TokenBatch, WordVectorTask

EXAMPLE = """\
rnnkit train-embeddings wiki.txt
rnnkit train-embeddings wiki.txt --method cbow --dimension 300 --epochs 10 --output work/cbow
rnnkit train-embeddings wiki.txt --subwords --overwrite
rnnkit train-embeddings more.txt --init-from work/embeddings --output work/more"""

KIND = "vectors"
REPORT_EVERY = 20
"""Steps from one line of metrics to the next."""


@dataclass(frozen=True)
class TrainEmbeddingsResult:
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
        repairs: What was repaired in the vectors that training started from; None where they were read strictly.
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
    repairs: Repairs | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        known = {**dataclasses.asdict(dataclasses.replace(self, repairs=None)), "output": str(self.output)}
        del known["repairs"]
        return known if self.repairs is None else {**known, "repairs": self.repairs.as_dict()}

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


def run(options: TrainEmbeddingsOptions, listen: Listener = null_listener) -> TrainEmbeddingsResult | Cost:
    """Train, or with `dry_run` say what it would cost.

    Raises:
        DataError: The text cannot be read, or has too few words.
        ConfigError: `init_from` does not fit the options, or the matrices do not fit the memory.
        ArtefactError: The output already exists or is in use.
        Interrupted: A signal came; everything is saved, and the vectors as they were are written.
    """
    _check(options)
    folder = options.output or Workspace(options.work).embeddings
    if options.dry_run:
        return _estimate(options, listen)
    if options.resume:
        return _resume(options, folder, listen)
    paths = embedding_text.find_text(options)
    outputs.refuse_inputs(folder, [*outputs.input_paths(options), *paths])
    run_folder.check_replaceable(folder, options.overwrite, KIND)
    _load_kernels(listen)
    options, known = embedding_start.open_vectors(_with_threads(options), listen)
    with run_folder.begin(folder, options.overwrite, KIND) as place:
        model, corpus = embedding_start.begin(options, known, paths, place, listen)
        repairs, known = known.repairs if known else None, None  # the model has the vectors from here on
        if not place.replaces:
            place.commit()
        return dataclasses.replace(_train(options, model, corpus, place, listen), repairs=repairs)


def _resume(options: TrainEmbeddingsOptions, folder: Path, listen: Listener) -> TrainEmbeddingsResult:
    with run_folder.resume(folder) as place:
        _load_kernels(listen)
        options = _with_threads(run_folder.saved_options(folder, options, KIND))
        run_folder.warn_of_threads(folder, options.threads, listen)
        return _train(options, *embedding_start.reopen(options, folder, listen), place, listen)


def _check(options: TrainEmbeddingsOptions) -> None:
    if options.text and options.resume:
        raise UsageError("--resume has its text already", "the run keeps it as numbers", hint="leave out the text")


def _with_threads(options: TrainEmbeddingsOptions) -> TrainEmbeddingsOptions:
    """The options with the number of threads that is used, which the run is recorded with."""
    return dataclasses.replace(options, threads=options.threads or available_cores())


def _train(
    options: TrainEmbeddingsOptions, model: EmbeddingModel, corpus: Corpus, folder: RunDirectory, listen: Listener
) -> TrainEmbeddingsResult:
    from rnnkit.embeddings.formats import vectors_directory
    from rnnkit.training import checkpoint, metrics

    loop, task = _make_loop(options, model, corpus, folder, listen)
    if options.resume and checkpoint.exists(folder / "last"):
        loop.resume()
        listen(Note(f"going on from step {loop.counters.step:,}"))
    elif options.resume:
        metrics.truncate_after(folder / metrics.METRICS_FILE, 0)
        listen(Note(f"{folder} has no checkpoint yet: training starts from the beginning"))
    try:
        counters = loop.run()
    except Interrupted:
        vectors_directory.update_run(folder.path, model.table(), {"finished": False})
        listen(Note(f"the vectors as they are now are in {folder}"))
        raise
    if not counters.tokens:  # some line has two words that could be kept, or the run would not have started
        listen(
            WarningEvent(
                f"nothing was learned: --sample {options.sample:g} thinned out so much that no line kept two words; "
                "--sample 0 keeps all words"
            )
        )
    facts = {"finished": True, "tokens": corpus.tokens, "epochs": options.epochs, "loss": task.loss}
    folder.check()
    vectors_directory.update_run(folder.path, model.table(), facts)
    checkpoint.remove(folder / "last")
    shutil.rmtree(folder / embedding_start.TEXT)
    folder.commit()
    return _result(options, model, corpus, counters, task.loss, folder.final)


def _make_loop(
    options: TrainEmbeddingsOptions, model: EmbeddingModel, corpus: Corpus, folder: RunDirectory, listen: Listener
) -> tuple[Trainer[TokenBatch], WordVectorTask]:
    from rnnkit.embeddings.train.hogwild_trainer import HogwildTrainer
    from rnnkit.training.schedules import Schedule
    from rnnkit.training.trainer import Trainer, TrainingPlan
    from rnnkit.training.word_vector_task import TokenBatches, WordVectorTask

    threads = options.threads or available_cores()
    task = WordVectorTask(corpus, HogwildTrainer(embedding_start.make_lesson(options, model, corpus), threads))
    slabs = TokenBatches(corpus, options.epochs)
    steps = options.epochs * slabs.per_epoch
    plan = TrainingPlan(steps, steps, report_every=REPORT_EVERY, save_seconds=options.save_every, save_at_end=False)
    rate = options.learning_rate or default_rate(options)
    listen(
        Note(
            f"{options.method}{' with n-grams' if options.subwords else ''}, {options.loss} loss, "
            f"learning rate {rate:g}, {threads} {'thread' if threads == 1 else 'threads'}, seed {options.seed}"
        )
    )
    return Trainer(task, slabs, Schedule("linear", rate, 0, steps), plan, folder, None, listen), task


def _load_kernels(listen: Listener) -> None:
    """Load or compile what is needed, and say what the wait is for, where it is one.

    It comes first, so that the compiler's memory is given back before the matrices take theirs.
    """
    with kernel_cache.tell(listen):
        from rnnkit.embeddings.train import hogwild_trainer

        hogwild_trainer.compile_kernels()


def _result(
    options: TrainEmbeddingsOptions,
    model: EmbeddingModel,
    corpus: Corpus,
    counters: TrainingCounters,
    loss: float,
    folder: Path,
) -> TrainEmbeddingsResult:
    return TrainEmbeddingsResult(
        output=folder,
        words=len(model.vocabulary.words),
        dimension=dimension(options),
        tokens=corpus.tokens,
        epochs=options.epochs,
        loss=loss,
        seconds=counters.seconds,
        words_per_second=counters.words / max(1e-9, counters.seconds),
        memory_bytes=peak_memory(),
    )


def _estimate(options: TrainEmbeddingsOptions, listen: Listener) -> Cost:
    """Count the words, in a folder that is gone afterwards."""
    from rnnkit.embeddings.train.corpus import open_corpus, write_vocabulary_ids

    paths = embedding_text.find_text(options)
    options, known = embedding_start.open_vectors(options, listen)
    with tempfile.TemporaryDirectory() as name:
        text = Path(name)
        found = embedding_text.write_numbers(options, paths, text, listen)
        vocabulary, row_of = embedding_start.choose_words(options, known, found)
        write_vocabulary_ids(text, found.vocabulary_ids(row_of))
        tokens = open_corpus(text).tokens
        numbers = sum(path.stat().st_size for path in text.iterdir())
    matrices = vocabulary.memory_bytes(dimension(options))
    machine.report_limits(matrices, listen)
    return Cost(len(vocabulary.words), tokens, matrices, 2 * matrices + numbers)
