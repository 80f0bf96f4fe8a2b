"""What `train-lm --arch ngram` does: counts the text, smooths the counts, and measures them on the validation part."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.errors import UsageError
from rnnkit.events import Listener
from rnnkit.io import artifact_output
from rnnkit.stages import outputs
from rnnkit.stages.training.setup import run_folder, training_inputs
from rnnkit.stages.training.train_lm.options import TrainLMOptions
from rnnkit.system import machine

if TYPE_CHECKING:
    from rnnkit.ngrams.ngram_model import NgramModel
    from rnnkit.stages.training.setup.training_inputs import TrainingInputs

KIND = "model"
OWN = ("arch", "order", "smoothing", "add-k", "prune", "closed")
"""Options that counts have; the others are for networks."""


@dataclass(frozen=True)
class NgramTrainingResult:
    """What counting came to.

    Attributes:
        model: The model directory.
        ngrams: N-grams of each order.
        loss: Mean negative log-likelihood of a token of the validation part, in nats.
        perplexity: exp(loss).
        seconds: Time of counting and smoothing.
    """

    model: Path
    ngrams: tuple[int, ...]
    loss: float
    perplexity: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {**dataclasses.asdict(self), "model": str(self.model)}

    @property
    def lines(self) -> list[str]:
        """The result for people."""
        counts = ", ".join(f"{count:,}" for count in self.ngrams)
        return [
            f"{self.model}: {counts} n-grams of order 1 to {len(self.ngrams)} in {self.seconds:.1f} s",
            f"validation perplexity {self.perplexity:.2f}",
        ]


@dataclass(frozen=True)
class NgramTrainingCost:
    """What counting would take.

    Attributes:
        tokens: Tokens of the text.
        memory_bytes: Most memory while it is counted.
    """

    tokens: int
    memory_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The cost as JSON."""
        return dataclasses.asdict(self)

    @property
    def lines(self) -> list[str]:
        """The cost for people."""
        return [f"tokens  {self.tokens:,}", f"memory  {self.memory_bytes / 1e6:,.0f} MB at most"]


def run(options: TrainLMOptions, folder: Path, listen: Listener) -> NgramTrainingResult | NgramTrainingCost:
    """Count, or with `dry_run` say what it would cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the text is no text to count.
        UsageError: Options that counts do not have.
        ArtefactError: The inputs do not belong together, or the output already exists or is in use.
    """
    if options.resume:
        raise UsageError("--resume: counting takes seconds and keeps nothing halfway", hint="--overwrite counts anew")
    made_from = training_inputs.open_text(options.work, options.data, options.vocab, options.tokenizer)
    language = made_from.data.sides[0]
    if options.dry_run:
        from rnnkit.ngrams.ngram_estimation import estimated_bytes

        facts = made_from.data.meta.facts["splits"]["train"]
        tokens = int(facts["tokens"][language])
        cost = NgramTrainingCost(tokens, estimated_bytes(tokens, int(facts["sentences"]), options.order))
        machine.report_limits(cost.memory_bytes, listen)
        return cost
    outputs.refuse_inputs(folder, outputs.input_paths(options))
    run_folder.check_replaceable(folder, options.overwrite, KIND)
    with artifact_output.atomic_directory(folder, KIND) as partial:
        counted = _count(options, made_from, partial, listen)
    return dataclasses.replace(counted, model=folder)


def _count(options: TrainLMOptions, made_from: TrainingInputs, folder: Path, listen: Listener) -> NgramTrainingResult:
    from rnnkit.evaluation.perplexity import perplexity, without_padding
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.ngrams.ngram_estimation import estimate_ngram_model
    from rnnkit.ngrams.options import NgramOptions as Estimation
    from rnnkit.stages.training.setup.training_inputs import warn_of_markers
    from rnnkit.text.vocabulary import Vocabulary

    began = time.monotonic()
    warn_of_markers(Vocabulary.load(made_from.vocabularies[0]), True, listen)
    language = made_from.data.sides[0]
    text, held_out = (without_padding(made_from.data.side(split, language)) for split in ("train", "valid"))
    wanted = Estimation(
        order=options.order,
        smoothing=options.smoothing,  # type: ignore[arg-type]  # held to the choices by `config.resolve`
        prune=tuple(options.prune),
        add=options.add_k,
        closed=options.closed,
    )
    model = estimate_ngram_model(text.ids, text.offsets, made_from.data.vocabulary_size(language), wanted, listen)
    ngram_store.save(folder / ngram_store.NAME, model)
    seconds = time.monotonic() - began
    log_p = model.score(held_out.ids, held_out.offsets)
    loss = float(-log_p.mean())
    counted = NgramTrainingResult(folder, tuple(model.sizes), loss, perplexity(loss), seconds)
    _seal(options, made_from, model, counted)
    return counted


def _seal(options: TrainLMOptions, made_from: TrainingInputs, model: NgramModel, counted: NgramTrainingResult) -> None:
    """Make the folder a model directory that stands alone."""
    from rnnkit.models import store
    from rnnkit.models.lm_store import VOCABULARY_FILE

    folder, language = counted.model, made_from.data.sides[0]
    store.create_model_dir(folder, made_from.tokenizer, {VOCABULARY_FILE: made_from.vocabularies[0]})
    network = {"arch": "ngram", "order": model.order, "smoothing": options.smoothing}
    store.write_config(folder, store.LANGUAGE_MODEL, [language], [VOCABULARY_FILE], network)
    facts = {"languages": [language], "ngrams": list(counted.ngrams), "perplexity": counted.perplexity}
    kept = {name: value for name, value in run_folder.run_options(options).items() if name in OWN}
    store.write_manifest(folder, kept, made_from.digests, facts, finished=True)
