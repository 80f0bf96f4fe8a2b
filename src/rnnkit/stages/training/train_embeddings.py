"""`rnnkit train-embeddings`: word vectors from text."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.embeddings.training_text import TrainingText, find_training_text
from rnnkit.errors import Interrupted, UsageError
from rnnkit.events import Listener, Note, WarningEvent, null_listener
from rnnkit.io.manifest import Workspace
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.io.safe_reading import Repairs
from rnnkit.json_types import JsonObject
from rnnkit.kernels import kernel_cache
from rnnkit.stages import outputs
from rnnkit.stages.training import embedding_initialization, run_folder
from rnnkit.stages.training.train_embeddings_options import (
    TrainEmbeddingsOptions,
    default_learning_rate,
    vector_dimension,
)
from rnnkit.system import machine
from rnnkit.system.machine import available_cores, peak_memory

if TYPE_CHECKING:
    from rnnkit.embeddings.corpus import Corpus
    from rnnkit.embeddings.embedding_model import EmbeddingModel
    from rnnkit.training.trainer import Trainer, TrainingCounters
    from rnnkit.training.word_vector_task import TokenBatch, WordVectorTask

EXAMPLE = """\
rnnkit train-embeddings wiki.txt
rnnkit train-embeddings wiki.txt --method cbow --dimension 300 --epochs 10 --output work/cbow
rnnkit train-embeddings wiki.txt --subwords --overwrite
rnnkit train-embeddings more.txt --init-from work/embeddings --output work/more"""

KIND = "vectors"
REPORT_EVERY = 20
"""Steps between two lines of metrics."""


@dataclass(frozen=True)
class TrainEmbeddingsResult:
    """The outcome of a training run.

    Attributes:
        output: The vectors directory.
        words: Words that have a vector.
        dimension: Vector dimension.
        tokens: Words of running text per epoch.
        epochs: Passes over the text.
        loss: Mean loss over the last epoch, in nats per prediction.
        seconds: Training time, including earlier sessions of a resumed run.
        words_per_second: Words of running text, words without a vector included, per second of training.
        memory_bytes: Peak memory of the process.
        repairs: Repairs made in the vectors of `--init-from`; None without `--repair`.
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

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        fields = {**dataclasses.asdict(dataclasses.replace(self, repairs=None)), "output": str(self.output)}
        del fields["repairs"]
        return fields if self.repairs is None else {**fields, "repairs": self.repairs.as_dict()}

    @property
    def lines(self) -> list[str]:
        """The result as text."""
        return [
            f"{self.output}: {self.words:,} vectors of dimension {self.dimension}",
            f"loss {self.loss:.4f} in the last epoch; {self.words_per_second:,.0f} words/s",
        ]


@dataclass(frozen=True)
class EmbeddingTrainingEstimate:
    """The resources that a run would need, as `--dry-run` reports them.

    Attributes:
        words: Words that get a vector.
        tokens: Words of running text per epoch.
        memory_bytes: Size of the trained matrices.
        disk_bytes: Maximum size of the vectors directory during the run.
    """

    words: int
    tokens: int
    memory_bytes: int
    disk_bytes: int

    def as_dict(self) -> JsonObject:
        """Return the estimate as JSON."""
        return dataclasses.asdict(self)

    @property
    def lines(self) -> list[str]:
        """The estimate as text."""
        return [
            f"words   {self.words:,}, from {self.tokens:,} words of running text",
            f"memory  {self.memory_bytes / 1e6:,.0f} MB for the parameters",
            f"disk    {self.disk_bytes / 1e6:,.0f} MB at most",
        ]


def run(
    options: TrainEmbeddingsOptions, listen: Listener = null_listener
) -> TrainEmbeddingsResult | EmbeddingTrainingEstimate:
    """Train word vectors or, with `dry_run`, estimate the resources.

    Raises:
        DataError: The text cannot be read, or has too few words.
        ConfigError: The vectors of `init_from` contradict the options, or the matrices do not fit into memory.
        ArtefactError: The output already exists or is in use.
        Interrupted: A signal arrived; the state is saved, and the vectors so far are written.
    """
    if options.text and options.resume:
        raise UsageError(
            "--resume takes no text: the run has stored it in encoded form", hint="leave out TEXT", option="--resume"
        )
    folder = options.output or Workspace(options.work).embeddings
    if options.dry_run:
        return _estimate(options, listen)
    if options.resume:
        return _resume(options, folder, listen)
    text = _find_text(options)
    outputs.check_not_inputs(folder, [*outputs.input_paths(options), *text.paths])
    run_folder.check_replaceable(folder, options.overwrite, KIND)
    _load_kernels(listen)
    options, pretrained = embedding_initialization.load_pretrained(_with_threads(options), listen)
    with run_folder.begin(folder, options.overwrite, KIND) as run_directory:
        model, corpus = embedding_initialization.start_run(options, pretrained, text, run_directory, listen)
        # The model holds the vectors from here on: release the loaded copy.
        repairs, pretrained = pretrained.repairs if pretrained else None, None
        if not run_directory.replaces:
            run_directory.commit()
        return dataclasses.replace(_train(options, model, corpus, run_directory, listen), repairs=repairs)


def _resume(options: TrainEmbeddingsOptions, folder: Path, listen: Listener) -> TrainEmbeddingsResult:
    with run_folder.resume(folder) as run_directory:
        _load_kernels(listen)
        options = _with_threads(run_folder.saved_options(folder, options, KIND))
        run_folder.warn_of_threads(folder, options.threads, listen)
        return _train(options, *embedding_initialization.reopen_run(options, folder, listen), run_directory, listen)


def _find_text(options: TrainEmbeddingsOptions) -> TrainingText:
    return find_training_text(Workspace(options.work), options.text, options.data, options.vocab, options.language)


def _with_threads(options: TrainEmbeddingsOptions) -> TrainEmbeddingsOptions:
    """Replace `threads` 0 by the number of cores, which the manifest of the run records."""
    return dataclasses.replace(options, threads=options.threads or available_cores())


def _train(
    options: TrainEmbeddingsOptions, model: EmbeddingModel, corpus: Corpus, folder: RunDirectory, listen: Listener
) -> TrainEmbeddingsResult:
    from rnnkit.embeddings.formats import vectors_directory
    from rnnkit.training import checkpoint

    loop, task = _make_loop(options, model, corpus, folder, listen)
    if options.resume and checkpoint.exists(folder / "last"):
        loop.resume()
        listen(Note(f"resuming from step {loop.counters.step:,}"))
    elif options.resume:
        checkpoint.truncate_metrics(folder / checkpoint.METRICS_FILE, 0)
        listen(Note(f"{folder} has no checkpoint yet: starting from the beginning"))
    try:
        counters = loop.run()
    except Interrupted:
        vectors_directory.update_run(folder.path, model.table(), {"finished": False})
        listen(Note(f"wrote the vectors so far to {folder}"))
        raise
    if not counters.tokens:  # `start_run` has made sure that some line has two words of the vocabulary
        listen(
            WarningEvent(
                f"no training examples: subsampling (--sample {options.sample:g}) left no line with two words; "
                "--sample 0 keeps all words"
            )
        )
    facts = {"finished": True, "tokens": corpus.tokens, "epochs": options.epochs, "loss": task.loss}
    folder.check()
    vectors_directory.update_run(folder.path, model.table(), facts)
    checkpoint.remove(folder / "last")
    shutil.rmtree(folder / embedding_initialization.TEXT)
    folder.commit()
    return _make_result(options, model, corpus, counters, task.loss, folder.final)


def _make_loop(
    options: TrainEmbeddingsOptions, model: EmbeddingModel, corpus: Corpus, folder: RunDirectory, listen: Listener
) -> tuple[Trainer[TokenBatch], WordVectorTask]:
    from rnnkit.embeddings.hogwild_trainer import HogwildTrainer
    from rnnkit.training.schedules import Schedule
    from rnnkit.training.trainer import Trainer, TrainingContext, TrainingPlan
    from rnnkit.training.word_vector_task import TokenBatches, WordVectorTask

    threads = options.threads or available_cores()
    task = WordVectorTask(corpus, HogwildTrainer(embedding_initialization.make_config(options, model, corpus), threads))
    slabs = TokenBatches(corpus, options.epochs)
    steps = options.epochs * slabs.per_epoch
    plan = TrainingPlan(steps, steps, report_every=REPORT_EVERY, save_seconds=options.save_every, save_at_end=False)
    rate = options.learning_rate or default_learning_rate(options)
    listen(
        Note(
            f"{options.method}{' with n-grams' if options.subwords else ''}, {options.loss} loss, "
            f"learning rate {rate:g}, {threads} {'thread' if threads == 1 else 'threads'}, seed {options.seed}"
        )
    )
    schedule = Schedule("linear", rate, 0, steps)
    return Trainer(task, slabs, schedule, plan, None, TrainingContext(folder, listen)), task


def _load_kernels(listen: Listener) -> None:
    """Load or compile the training kernels, with a note if that takes long.

    This comes first, so that the compiler's memory is released before the matrices are allocated.
    """
    with kernel_cache.report_to(listen):
        from rnnkit.embeddings import hogwild_trainer

        hogwild_trainer.compile_kernels()


def _make_result(
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
        dimension=vector_dimension(options),
        tokens=corpus.tokens,
        epochs=options.epochs,
        loss=loss,
        seconds=counters.seconds,
        words_per_second=counters.words / max(1e-9, counters.seconds),
        memory_bytes=peak_memory(),
    )


def _estimate(options: TrainEmbeddingsOptions, listen: Listener) -> EmbeddingTrainingEstimate:
    """Count the words in a temporary directory, and compute the sizes."""
    from rnnkit.embeddings.corpus import open_corpus, write_vocabulary_ids

    text = _find_text(options)
    options, pretrained = embedding_initialization.load_pretrained(options, listen)
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        counted = text.write_ids(temporary, options.min_count, listen)
        vocabulary, row_of = embedding_initialization.select_vocabulary(options, pretrained, counted)
        write_vocabulary_ids(temporary, counted.vocabulary_ids(row_of))
        tokens = open_corpus(temporary).tokens
        text_bytes = sum(path.stat().st_size for path in temporary.iterdir())
    matrix_bytes = vocabulary.memory_bytes(vector_dimension(options))
    machine.report_limits(matrix_bytes, listen)
    return EmbeddingTrainingEstimate(len(vocabulary.words), tokens, matrix_bytes, 2 * matrix_bytes + text_bytes)
