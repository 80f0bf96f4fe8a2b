"""`rnnkit train-classifier`: train a text classifier on data with a label for each line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkit.events import Listener, null_listener
from rnnkit.io.manifest import Workspace
from rnnkit.stages.training import training_run
from rnnkit.stages.training.labelling_options import CLASSIFIER_PRESETS, LINEAR, TrainClassifierOptions, apply_preset
from rnnkit.stages.training.labelling_run import build_labeller, complete_options, embeddings_of, open_labelled
from rnnkit.stages.training.run_folder import TrainingResult

if TYPE_CHECKING:
    from rnnkit.stages.training.linear_classifier_run import LinearTrainingResult
    from rnnkit.training.dry_run import CostEstimate

EXAMPLE = """\
rnnkit train-classifier
rnnkit train-classifier --arch gru --pooling attention
rnnkit train-classifier --embeddings wiki.en.vec --embedding 300 --freeze-embeddings
rnnkit train-classifier --class-weights balanced
rnnkit train-classifier --init-from work/lm --unfreeze gradual --layer-decay 0.4    # work/lm: a language model
rnnkit train-classifier --arch linear --word-ngrams 2 --output work/linear
rnnkit train-classifier --resume"""

TASK = "classification"


def run(
    options: TrainClassifierOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | LinearTrainingResult:
    """Train a text classifier, or with `dry_run` estimate the cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data lacks a `train` or `valid` split.
        UsageError: Options cannot be combined.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
        Interrupted: A signal arrived; everything is saved.
    """
    folder = options.output or Workspace(options.work).model
    if options.arch == "linear":
        from rnnkit.stages.training import linear_classifier_run

        return linear_classifier_run.train_linear(apply_preset(options, LINEAR), folder, listen)
    if not options.resume:
        options = complete_options(options, CLASSIFIER_PRESETS[options.preset])
    if options.dry_run:
        trial = training_run.dry_run(options, folder, listen)
        return trial.estimate(build_labeller(trial, open_labelled(options, TASK)))
    with training_run.start(options, folder, listen) as started:
        inputs = started.check_inputs(open_labelled(started.options, TASK), embeddings_of(started.options))
        return started.fit(build_labeller(started, inputs), inputs)
