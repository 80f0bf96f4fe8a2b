"""Every command: its stage, one line of help, and how the result of the stage is shown."""

from __future__ import annotations

import glob
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from rnnkit.cli import filters, paths, processes
from rnnkit.cli.command import Command, make
from rnnkit.cli.console import Console, duration
from rnnkit.errors import UsageError
from rnnkit.io import resumable_output
from rnnkit.io.manifest import Workspace
from rnnkit.options.declare import STDIN
from rnnkit.system.machine import ResourceLimits, format_bytes

if TYPE_CHECKING:
    from rnnkit.stages.evaluation.score_options import ScoreOptions
    from rnnkit.stages.inference.decode_options import DecodeOptions
    from rnnkit.stages.training.run_folder import TrainingResult
    from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions
    from rnnkit.stages.training.training_options import TrainingOptions
    from rnnkit.training.dry_run import CostEstimate


class QueryOptions(Protocol):
    """Options of the commands that answer questions."""

    @property
    def json(self) -> bool:
        """Whether to print JSON objects."""


def convert(stage: ModuleType, options: object, console: Console) -> None:
    """Write files, or transform standard input if no file is given."""
    if not stage.is_filter(options):
        make(stage, options, console)
    elif console.json:
        raise UsageError("--json reports on files, a filter has none")
    else:
        stream(stage, options, console)


def stream(stage: ModuleType, options: object, console: Console) -> None:
    """Transform standard input line by line."""
    filters.write_lines(stage.open_filter(options, console.listen), STDIN, console)


def training_command(words: Sequence[str]) -> str:
    """The training command for the data that the words of `rnnkit train` name.

    Raises:
        DataError: There is no data.
    """
    from rnnkit.stages.training import train as train_stage  # a fifth of the start-up of every command

    work = _value("--work", words) or os.environ.get("RNNKIT_WORK") or "work"
    data = _value("--data", words) or os.environ.get("RNNKIT_DATA")
    folder = Path(data) if data else Workspace(Path(work)).data
    paths.check_folder(folder, "data")
    return train_stage.training_command(folder)


def _value(flag: str, words: Sequence[str]) -> str | None:
    """The last value of a flag among words, written `--flag VALUE` or `--flag=VALUE`."""
    found = [word.partition("=")[2] for word in words if word.startswith(f"{flag}=")]
    found += [value for word, value in itertools.pairwise(words) if word == flag]
    return found[-1] if found else None


def train(stage: ModuleType, options: TrainingOptions, console: Console) -> int | None:
    """Print the path and scores of the model, or with `--dry-run` the cost of training it.

    With `--processes N`, start the processes; rank 0 prints the result.
    """
    if count := processes.processes_to_start(options):
        return processes.run_processes(stage.__name__.rpartition(".")[2].replace("_", "-"), options, count, console)
    result = stage.run(options, console.listen)
    lines = getattr(result, "lines", None)  # n-gram models have a result of their own
    if options.dry_run:
        console.report("\n".join(lines or _cost(result)), result.as_dict())
    else:
        console.summarize(lines or _outcome(result), result.as_dict())
    return None


def train_embeddings(stage: ModuleType, options: TrainEmbeddingsOptions, console: Console) -> None:
    """Print the path of the vectors, or with `--dry-run` the cost of training them."""
    result = stage.run(options, console.listen)
    if options.dry_run:
        console.report("\n".join(result.lines), result.as_dict())
    else:
        console.summarize(result.lines, result.as_dict())


def _outcome(result: TrainingResult) -> list[str]:
    scores = ", ".join(f"{name} {value:.4g}" for name, value in result.scores.items())
    return [
        f"{result.model}: best at step {result.best_step:,} of {result.steps:,} ({scores})",
        f"learning curve: {result.curve}",
    ]


def _cost(estimate: CostEstimate) -> list[str]:
    frozen = f", {estimate.frozen:,} of them frozen" if estimate.frozen else ""
    facts = {
        "parameters": f"{estimate.parameters:,}{frozen}",
        "batches": f"{estimate.batches_per_epoch:,} an epoch",
        "steps": f"{estimate.steps:,} ({estimate.epochs:.1f} epochs)",
        "memory": format_bytes(estimate.memory_bytes),
        "disk": format_bytes(estimate.checkpoint_bytes),
        "machine": str(ResourceLimits(estimate.cores, estimate.threads, estimate.memory_limit_bytes)),
        "time": f"about {duration(estimate.seconds)}, with validation",
    }
    return [f"{name:<10}  {value}" for name, value in facts.items()]


def attention_map_files(path: Path) -> list[Path]:
    """The files that `--attention` may write and that exist: the maps of further lines have a number in their name."""
    if path.suffix == ".json":
        return [path]
    numbered = path.parent.glob(f"{glob.escape(path.stem)}-[0-9]*{glob.escape(path.suffix)}")
    return [path, *sorted(numbered)]


def decode(stage: ModuleType, options: DecodeOptions, console: Console) -> None:
    """Write outputs as they are decoded."""
    from rnnkit.stages.outputs import check_not_inputs, check_output_file, input_paths

    outputs = [path for path in (options.output, options.alignments) if path is not None]
    # No other process may add lines between the check of the outputs and the first line of this run.
    with resumable_output.exclusive_writer(*(path for path in outputs if path != STDIN)):
        for path in outputs:
            others = [other for other in outputs if other is not path]
            if options.resume:
                check_not_inputs(path, [*input_paths(options), *others])
                continue
            check_output_file(options, path, beside=others)
            if path != STDIN and not options.overwrite:
                resumable_output.check_no_partial(path)
        if options.attention is not None and not options.resume:
            for picture in attention_map_files(options.attention):
                check_output_file(options, picture, beside=outputs)
        filters.note_terminal_input(options.files, console)
        if options.output == STDIN:
            filters.write_lines(stage.run(options, console.listen), options.output, console)
        else:
            for path in outputs if stage.write(options, console.listen) else ():
                filters.note_output(path, console)


def answer(stage: ModuleType, options: QueryOptions, console: Console) -> int:
    """Answer questions in a line each."""
    return filters.write_answers(stage.run(options, console.listen), options.json, False, console)


def answer_in_blocks(stage: ModuleType, options: QueryOptions, console: Console) -> int:
    """Answer questions in a block of lines each."""
    return filters.write_answers(stage.run(options, console.listen), options.json, True, console)


def score(stage: ModuleType, options: ScoreOptions, console: Console) -> None:
    """Write each line's score as it comes; the summary goes to standard error, unless it is all that is wanted.

    It is a result, so `--quiet` does not hide it; standard output has a line for each line of the text either way.
    """
    from rnnkit.stages.outputs import check_output_file

    check_output_file(options, options.output)
    if not options.aligned:
        filters.note_terminal_input(options.files, console)
    filters.write_lines(_score_lines(stage, options, console), options.output, console)


def _score_lines(stage: ModuleType, options: ScoreOptions, console: Console) -> Iterator[str]:
    for each in stage.run(options, console.listen):
        if options.json:
            yield json.dumps(each.as_dict(), ensure_ascii=False)
        elif options.summary or not isinstance(each, stage.Summary):
            yield from each.lines
        else:
            for line in each.lines:
                console.write_aside(line)


def demo(stage: ModuleType, options: object, console: Console) -> None:
    """Show the score, some translations, some analogies, a tagged sentence and the picture."""
    console.close()  # the commands of the demo have the terminal
    result = stage.run(options, console.listen)
    lines = [f"BLEU {result.bleu:.1f} on the test part  {result.signature}"]
    for source, output, reference in result.samples:
        lines += ["", f"  source     {source}", f"  output     {output}", f"  reference  {reference}"]
    lines += [""] + [f"{question} = {answer}" for question, answer in result.analogies.items()]
    lines += [f"word vectors answer {result.analogy_accuracy:.0%} of the sample corpus' questions"]
    lines += ["", result.tagged, f"the tagger has {result.tag_accuracy:.1%} of the test set's words right"]
    lines += ["", f"training took {duration(result.train_seconds)}; its learning curve: {result.curve}"]
    console.report("\n".join(lines), result.as_dict())


GROUPS: dict[str, tuple[Command, ...]] = {
    "Text": (
        Command("extract", "Extract columns of tables and annotated corpora", make, module="text.extract"),
        Command("tokenize", "Split raw text into tokens", convert, module="text.tokenize"),
        Command("detokenize", "Join tokens to text", stream, json=False, module="text.detokenize"),
        Command("phrases", "Join frequent word pairs: new_york", convert, module="text.phrases"),
        Command("vocab", "Build the vocabulary", make, module="text.vocab"),
        Command("align", "Encode tokens as ids and pair the two sides", make, module="text.align"),
        Command("align-words", "Align words of parallel data; lexicons, shortlists", make, module="text.align_words"),
        Command("represent", "Write aligned data as one-hot or bag-of-words matrices", make, module="text.represent"),
    ),
    "Training": (
        Command("train", "Train the kind of model that the data is for", train, module="training.train"),
        Command("train-seq2seq", "Train a sequence-to-sequence model", train, module="training.train_seq2seq"),
        Command("train-lm", "Train a language model", train, module="training.train_lm"),
        Command("train-tagger", "Train a tagger: a label for each word", train, module="training.train_tagger"),
        Command("train-classifier", "Train a text classifier", train, module="training.train_classifier"),
        Command("train-embeddings", "Train word vectors", train_embeddings, module="training.train_embeddings"),
    ),
    "Use": (
        Command(
            "decode", "Translate, generate, fill gaps, classify, tag", decode, json=False, module="inference.decode"
        ),
        Command(
            "neighbors",
            "Find the nearest neighbors of a word",
            answer_in_blocks,
            json=False,
            module="inference.neighbors",
        ),
        Command("similarity", "Compute the similarity of two words", answer, json=False, module="inference.similarity"),
        Command(
            "analogy",
            "Add and subtract words: king - man + woman",
            answer_in_blocks,
            json=False,
            module="inference.analogy",
        ),
        Command(
            "odd-one-out",
            "Find the word that does not match the others",
            answer,
            json=False,
            module="inference.odd_one_out",
        ),
    ),
    "Evaluation": (
        Command(
            "score",
            "Compute the probability of text: perplexity, bits",
            score,
            json=False,
            module="evaluation.score",
        ),
        Command("bleu", "Score hypotheses against references: BLEU, chrF, TER", module="evaluation.bleu"),
        Command("error-rate", "Compute line, token and character error rates", module="evaluation.error_rate"),
        Command(
            "evaluate-labels",
            "Score labels: accuracy, F1, spans, calibration",
            module="evaluation.evaluate_labels",
        ),
        Command(
            "evaluate-embeddings",
            "Evaluate word vectors on analogies and similarity",
            module="evaluation.evaluate_embeddings",
        ),
    ),
    "Files": (
        Command("inspect", "Describe a file or directory", module="files.inspect"),
        Command("verify", "Verify files against their checksums", module="files.verify"),
        Command("average", "Average the weights of several checkpoints or models", make, module="training.average"),
        Command("convert-embeddings", "Convert word vectors between formats", make, module="files.convert_embeddings"),
        Command("convert-ngrams", "Convert n-gram models to and from ARPA", make, module="files.convert_ngrams"),
    ),
    "Showing": (
        Command("diagnose", "Diagnose long-range memory: gradient flow, recall", module="evaluation.diagnose"),
        Command("plot", "Plot a learning curve, or a map of word vectors", make, module="files.plot"),
        Command("demo", "Run the whole chain on a sample corpus", demo),
    ),
}
"""The list of commands, under their headings in `rnnkit --help`; `module` is the stage of a command."""

COMMANDS = {command.name: command for group in GROUPS.values() for command in group}
"""Every command by name."""
