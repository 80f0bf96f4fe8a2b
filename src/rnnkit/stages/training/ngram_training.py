"""`train-lm --arch ngram`: estimate a smoothed n-gram model and evaluate it on the validation split."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.errors import UsageError
from rnnkit.events import Listener, Status
from rnnkit.io import artifact_output
from rnnkit.stages import outputs
from rnnkit.stages.training import run_folder, training_inputs
from rnnkit.stages.training.train_lm_options import TrainLMOptions
from rnnkit.system import machine

if TYPE_CHECKING:
    from rnnkit.ngrams.ngram_model import BackoffModel
    from rnnkit.stages.training.training_inputs import TrainingInputs

KIND = "model"
NGRAM_OPTIONS = ("arch", "order", "smoothing", "add-k", "prune", "closed")
"""Options of n-gram models, which are recorded with the model; the others are of neural networks."""


@dataclass(frozen=True)
class NgramTrainingResult:
    """Result of estimating an n-gram model.

    Attributes:
        model: The model directory.
        ngrams: Number of n-grams of each order.
        loss: Mean negative log-likelihood per token of the validation split, in nats.
        perplexity: exp(loss).
        seconds: Time of counting and smoothing.
    """

    model: Path
    ngrams: tuple[int, ...]
    loss: float
    perplexity: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**dataclasses.asdict(self), "model": str(self.model)}

    @property
    def lines(self) -> list[str]:
        """Printed form."""
        counts = ", ".join(f"{count:,}" for count in self.ngrams)
        return [
            f"{self.model}: {counts} n-grams of orders 1 to {len(self.ngrams)} in {self.seconds:.1f} s",
            f"validation perplexity {self.perplexity:.2f}",
        ]


@dataclass(frozen=True)
class NgramTrainingCost:
    """Estimated cost of an n-gram model.

    Attributes:
        tokens: Tokens of the training text.
        memory_bytes: Peak memory.
    """

    tokens: int
    memory_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return dataclasses.asdict(self)

    @property
    def lines(self) -> list[str]:
        """Printed form."""
        return [f"tokens  {self.tokens:,}", f"memory  {self.memory_bytes / 1e6:,.0f} MB at most"]


def run(options: TrainLMOptions, folder: Path, listen: Listener) -> NgramTrainingResult | NgramTrainingCost:
    """Estimate an n-gram model, or with `dry_run` its cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the text cannot be smoothed.
        UsageError: --resume is given.
        ArtefactError: The inputs do not match each other, or the output exists or is in use.
    """
    if options.resume:
        raise UsageError(
            "--resume cannot be combined with --arch ngram",
            "counting takes seconds and writes no checkpoints",
            hint="use --overwrite to start again",
            option="--resume",
        )
    inputs = training_inputs.open_text(options.work, options.data, options.vocab, options.tokenizer)
    language = inputs.data.sides[0]
    if options.dry_run:
        from rnnkit.ngrams.ngram_estimation import estimated_bytes

        facts = inputs.data.meta.facts["splits"]["train"]
        tokens = int(facts["tokens"][language])
        cost = NgramTrainingCost(tokens, estimated_bytes(tokens, int(facts["sentences"]), options.order))
        machine.report_limits(cost.memory_bytes, listen)
        return cost
    outputs.check_not_inputs(folder, outputs.input_paths(options))
    run_folder.check_replaceable(folder, options.overwrite, KIND)
    with artifact_output.atomic_directory(folder, KIND) as partial:
        result = _estimate(options, inputs, partial, listen)
    return dataclasses.replace(result, model=folder)


def _estimate(options: TrainLMOptions, inputs: TrainingInputs, folder: Path, listen: Listener) -> NgramTrainingResult:
    from rnnkit.evaluation.perplexity import perplexity, remove_padding
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.ngrams.ngram_estimation import estimate_ngram_model
    from rnnkit.ngrams.options import NgramOptions
    from rnnkit.stages.training.training_inputs import warn_of_markers
    from rnnkit.text.vocabulary import Vocabulary

    began = time.monotonic()
    warn_of_markers(Vocabulary.load(inputs.vocabularies[0]), True, listen)
    language = inputs.data.sides[0]
    text, held_out = (remove_padding(inputs.data.side(split, language)) for split in ("train", "valid"))
    settings = NgramOptions(
        order=options.order,
        smoothing=options.smoothing,  # type: ignore[arg-type]  # `config.resolve` checks the choices
        prune=tuple(options.prune),
        add=options.add_k,
        closed=options.closed,
    )
    model = estimate_ngram_model(text.ids, text.offsets, inputs.data.vocabulary_size(language), settings, listen)
    listen(Status("writing the model"))
    ngram_store.save(folder / ngram_store.NAME, model)
    seconds = time.monotonic() - began
    listen(Status("validation"))
    log_p = model.score(held_out.ids, held_out.offsets)
    loss = float(-log_p.mean())
    result = NgramTrainingResult(folder, tuple(model.sizes), loss, perplexity(loss), seconds)
    _write_model_directory(options, inputs, model, result)
    return result


def _write_model_directory(
    options: TrainLMOptions, inputs: TrainingInputs, model: BackoffModel, result: NgramTrainingResult
) -> None:
    """Complete the model directory with configuration, vocabulary, tokenizer and manifest."""
    from rnnkit.models import store
    from rnnkit.models.lm_store import VOCABULARY_FILE

    folder, language = result.model, inputs.data.sides[0]
    store.create_model_dir(folder, inputs.tokenizer, {VOCABULARY_FILE: inputs.vocabularies[0]})
    network = {"arch": "ngram", "order": model.order, "smoothing": options.smoothing}
    store.write_config(folder, store.LANGUAGE_MODEL, [language], [VOCABULARY_FILE], network)
    facts = {"languages": [language], "ngrams": list(result.ngrams), "perplexity": result.perplexity}
    kept = {name: value for name, value in run_folder.run_options(options).items() if name in NGRAM_OPTIONS}
    store.write_manifest(folder, kept, inputs.digests, facts, finished=True)
