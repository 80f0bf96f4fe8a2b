"""Validation of a translation model while it trains: its loss, and how good what it really decodes is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rnnkit.data.aligned import AlignedData
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.decoding.translate import search_all
from rnnkit.evaluation.bleu import BleuSettings, ChrfSettings, corpus_score
from rnnkit.models.store import Model
from rnnkit.text import special
from rnnkit.training.sequence_to_sequence import mean_nll
from rnnkit.training.signals import Stop
from rnnkit.training.task import Validation

BLOCK = 200
"""Sentences decoded between two looks at the stop flag."""

FEWEST_WORDS = 4
"""BLEU counts runs of up to four words: of outputs that have fewer on the average it is zero, whatever they are."""

TIE = 1e-6
"""What a nat of loss counts against a point of the measure: it decides between equals, such as two times nothing."""


@dataclass(frozen=True)
class Measured:
    """What a validation decodes.

    Attributes:
        lines: Sentences to decode, from the start of the split; 0 for none.
        by: What they are measured by, one of `kinds.MEASURES`.
        samples: Sample translations for the log.
        search: How to decode.
        batch_tokens: Source tokens a decoding batch.
    """

    lines: int
    by: str
    samples: int
    search: SearchOptions
    batch_tokens: int


def make_validation(
    model: Model, data: AlignedData, measured: Measured, weights: Callable[[], AbstractContextManager[None]]
) -> Callable[[Stop], Validation | None]:
    """A function that validates the model as it is at the moment, and leaves no trace on it.

    Args:
        model: The model under training.
        data: Aligned data with a `valid` split.
        measured: What is decoded.
        weights: A context in which the model has the weights that are to be measured.
    """
    source, target = (data.side("valid", side) for side in data.sides)
    count = min(measured.lines, len(source))
    source_ids = [source[index][:-1].tolist() for index in range(count)]
    references = [_spell(model, target[index].tolist()) for index in range(count)]
    measure = choose_measure(measured.by, references)
    shown = [index * count // measured.samples for index in range(measured.samples)] if count else []

    def validate(stop: Stop) -> Validation | None:
        with weights():
            return look(stop)

    def look(stop: Stop) -> Validation | None:
        nll = mean_nll(model.network, source, target, stop)
        if nll is None:
            return None
        if not count:
            return Validation(score=-nll, facts={"loss": nll})
        model.network.eval()
        outputs: list[str] = []
        tokens = 0
        for start in range(0, count, BLOCK):
            if stop:
                break
            hypotheses = search_all(model, source_ids[start : start + BLOCK], measured.search, measured.batch_tokens)
            outputs += [_spell(model, one[0].ids if one else ()) for one in hypotheses]
            tokens += sum(len(one[0].ids) for one in hypotheses if one)
        model.network.train()
        if len(outputs) < count:
            return None
        found = score_lines(measure, outputs, references)
        return Validation(
            score=found - TIE * nll,
            facts={"loss": nll, measure: found},
            lines=tuple(
                f"{model.tokenizer.detokenize(model.source_vocabulary.decode(source_ids[index]))} -> {outputs[index]}"
                for index in shown
            ),
            length_ratio=tokens / sum(len(target[index]) for index in range(count)),
        )

    return validate


def choose_measure(by: str, references: Sequence[str]) -> str:
    """What `auto` stands for: BLEU, or chrF where most references are too short for it or have no spaces in them."""
    if by != "auto":
        return by
    words = sum(len(reference.split()) for reference in references)
    return "bleu" if words >= FEWEST_WORDS * len(references) else "chrf"


def score_lines(measure: str, outputs: Sequence[str], references: Sequence[str]) -> float:
    """How good the outputs are by a measure, from 0 to 100."""
    if measure == "accuracy":
        return 100 * sum(map(str.__eq__, outputs, references)) / len(references)
    settings = ChrfSettings() if measure == "chrf" else BleuSettings()
    return corpus_score(outputs, [references], settings).value


def _spell(model: Model, ids: list[int] | tuple[int, ...]) -> str:
    return model.tokenizer.detokenize(
        model.target_vocabulary.decode([index for index in ids if index not in (special.EOS, special.PAD)])
    )
