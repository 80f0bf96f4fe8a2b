"""Validation of a translation model while it trains: its loss, and the BLEU of what it really decodes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rnnkit.data.aligned import AlignedData
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.decoding.translate import search_all
from rnnkit.evaluation.bleu import corpus_score
from rnnkit.models.store import Model
from rnnkit.text import special
from rnnkit.training.loop import Validation
from rnnkit.training.sequence_to_sequence import mean_nll
from rnnkit.training.signals import Stop

BLOCK = 200
"""Sentences decoded between two looks at the stop flag."""


@dataclass(frozen=True)
class Measured:
    """What a validation decodes.

    Attributes:
        lines: Sentences to decode for BLEU, from the start of the split; 0 for none.
        samples: Sample translations for the log.
        search: How to decode.
        batch_tokens: Source tokens a decoding batch.
    """

    lines: int
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
            found = search_all(model, source_ids[start : start + BLOCK], measured.search, measured.batch_tokens)
            outputs += [_spell(model, one[0].ids if one else ()) for one in found]
            tokens += sum(len(one[0].ids) for one in found if one)
        model.network.train()
        if len(outputs) < count:
            return None
        bleu = corpus_score(outputs, [references]).value
        return Validation(
            score=bleu,
            facts={"loss": nll, "bleu": bleu},
            lines=tuple(
                f"{model.tokenizer.detokenize(model.source_vocabulary.decode(source_ids[index]))} -> {outputs[index]}"
                for index in shown
            ),
            length_ratio=tokens / sum(len(target[index]) for index in range(count)),
        )

    return validate


def _spell(model: Model, ids: list[int] | tuple[int, ...]) -> str:
    return model.tokenizer.detokenize(
        model.target_vocabulary.decode([index for index in ids if index not in (special.EOS, special.PAD)])
    )
