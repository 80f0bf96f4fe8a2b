"""Validation of a translation model while it trains: its loss, and how good what it really decodes is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from rnnkit.data.aligned_data import AlignedData, SentenceDataset
from rnnkit.decoding import translate
from rnnkit.decoding.constraints.token_constraints import UNCONSTRAINED
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.decoding.translator import Translator
from rnnkit.errors import DataError
from rnnkit.evaluation.error_rates import error_rate
from rnnkit.evaluation.perplexity import make_evaluator, perplexity, remove_padding
from rnnkit.evaluation.translation_metrics import BleuSettings, ChrfSettings, corpus_score
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.models.language_model import LanguageModel
from rnnkit.models.masked_lm import MaskedLM
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text import special_tokens
from rnnkit.text.normalizer import Normalizer
from rnnkit.text.tokenizers.tokenizer import warn_replaced_line_ends
from rnnkit.training.lm_tasks import mean_masked_nll
from rnnkit.training.seq2seq_task import mean_target_nll
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import Validation

DECODING_BLOCK = 200
"""Sentences decoded between two looks at the stop flag."""

MIN_MEAN_WORDS = 4
"""BLEU counts runs of up to four words: of outputs that have fewer on the average it is zero, whatever they are."""

LOSS_WEIGHT = 1e-6
"""What a nat of loss counts against a point of the measure: it decides between equals, such as two times nothing."""

UNKNOWN_PLACEHOLDER = "\U0010ffff"
"""Stands for an unknown token of a reference that is known by its ids only: one token, which no output has."""


@dataclass(frozen=True)
class ValidationSettings:
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


@dataclass(frozen=True)
class ValidationSet:
    """The sentences that a validation decodes.

    Attributes:
        sources: Their text, for the log.
        references: What they are compared with.
        translate: Decodes sentences `start` to `stop`; gives the text of each, and the tokens in all.
    """

    sources: Sequence[str]
    references: Sequence[str]
    translate: Callable[[int, int], tuple[list[str], int]]

    def decode(self, stop: StopRequest) -> tuple[list[str], int] | None:
        """The text of all sentences, and the tokens in all; None where the stop flag was set meanwhile."""
        outputs: list[str] = []
        tokens = 0
        for start in range(0, len(self.sources), DECODING_BLOCK):
            if stop:
                return None
            found, length = self.translate(start, min(start + DECODING_BLOCK, len(self.sources)))
            outputs += found
            tokens += length
        return outputs, tokens


def make_seq2seq_validation(
    model: LoadedSeq2Seq,
    data: AlignedData,
    measured: ValidationSettings,
    weights: Callable[[], AbstractContextManager[None]],
    listen: Listener = null_listener,
) -> Callable[[StopRequest], Validation | None]:
    """A function that validates the model as it is at the moment, and leaves no trace on it.

    Its figures are those of `rnnkit decode --beam 1` and `rnnkit bleu` or `rnnkit error-rate` on the same lines, where
    the data has the raw lines of its `valid` split.

    Args:
        model: The model under training.
        data: Aligned data with a `valid` split.
        measured: What is decoded.
        weights: A context in which the model has the weights that are to be measured.
        listen: Gets a warning where the data has no raw lines but unknown tokens, or where outputs spell line ends.
    """
    source, target = (data.side("valid", side) for side in data.sides)
    count = min(measured.lines, len(source))
    held_out = _read_held_out(model, data, measured, count, listen)
    references = held_out.references
    measure = choose_metric(measured.by, references)
    warnings = iter([listen])  # one for the run
    shown = [index * count // measured.samples for index in range(measured.samples)] if count else []

    def validate(stop: StopRequest) -> Validation | None:
        with weights():
            return look(stop)

    def look(stop: StopRequest) -> Validation | None:
        nll = mean_target_nll(model.network, source, target, stop)
        if nll is None:
            return None
        if not count:
            return Validation(score=-nll, facts={"loss": nll})
        model.network.eval()
        decoded = held_out.decode(stop)
        model.network.train()
        if decoded is None:
            return None
        outputs, tokens = decoded
        if model.tokenizer.replaced:
            warn_replaced_line_ends(model.tokenizer, next(warnings, null_listener))
        value = score_outputs(measure, outputs, references)
        return Validation(
            score=value - LOSS_WEIGHT * nll,
            facts={"loss": nll, measure: value},
            lines=tuple(
                f"{held_out.sources[index]} -> {outputs[index]} (reference: {references[index]})" for index in shown
            ),
            length_ratio=tokens / sum(len(target[index]) for index in range(count)),
        )

    return validate


def choose_metric(by: str, references: Sequence[str]) -> str:
    """What `auto` stands for: BLEU, or chrF where most references are too short for it or have no spaces in them."""
    if by != "auto":
        return by
    words = sum(len(reference.split()) for reference in references)
    return "bleu" if words >= MIN_MEAN_WORDS * len(references) else "chrf"


def score_outputs(measure: str, outputs: Sequence[str], references: Sequence[str]) -> float:
    """How good the outputs are by a measure, from 0 to 100."""
    if measure == "accuracy":
        return _accuracy(outputs, references)
    settings = ChrfSettings() if measure == "chrf" else BleuSettings()
    return corpus_score(outputs, [references], settings).value


def _accuracy(outputs: Sequence[str], references: Sequence[str]) -> float:
    """Lines that are right, in percent: those that `rnnkit error-rate` does not count as wrong."""
    clean = Normalizer()
    written, right = ([clean(line) for line in lines] for lines in (outputs, references))
    if not any(right):
        return 100 * sum(not line for line in written) / len(written)
    return 100 - error_rate(written, [[line] for line in right], "lines").percent


def _read_held_out(
    model: LoadedSeq2Seq, data: AlignedData, measured: ValidationSettings, count: int, listen: Listener
) -> ValidationSet:
    """The first sentences of the `valid` split."""
    sources, references = (data.raw_lines("valid", side, count) for side in data.sides)
    translator = Translator((model,))
    how = translate.TranslationOptions(measured.search, measured.batch_tokens)
    if sources is None or references is None:
        return _read_ids(model, data, measured, count, listen)

    def decode(start: int, stop: int) -> tuple[list[str], int]:
        asked = [(line, UNCONSTRAINED) for line in sources[start:stop]]
        found = list(translate.translate_lines(translator, asked, how, start + 1))
        return [one.outputs[0] for one in found], sum(len(tokens) for one in found for tokens in one.tokens[:1])

    # What stands behind a TAB is a column of features, which no output has.
    return ValidationSet(sources, [model.tokenizer.part(line)[0] for line in references], decode)


def _read_ids(
    model: LoadedSeq2Seq, data: AlignedData, measured: ValidationSettings, count: int, listen: Listener
) -> ValidationSet:
    """The same of data without raw lines, from its ids."""
    source, target = (data.side("valid", side) for side in data.sides)
    source_ids = [source[index][:-1].tolist() for index in range(count)]
    target_ids = [target[index][:-1].tolist() for index in range(count)]
    if any(special_tokens.UNK in ids for ids in target_ids):
        listen(
            WarningEvent(
                f"{data.folder} has no raw lines of its valid part: unknown tokens of the references count as wrong "
                "words, and the score is lower than that of `rnnkit bleu`; tokenize and align again to have the same"
            )
        )
    tokenizer = model.tokenizer
    references = []
    for ids in target_ids:
        tokens = model.target_vocabulary.decode(ids)
        references.append(
            tokenizer.detokenize(
                [
                    UNKNOWN_PLACEHOLDER if row == special_tokens.UNK else token
                    for row, token in zip(ids, tokens, strict=True)
                ]
            )
        )

    def decode(start: int, stop: int) -> tuple[list[str], int]:
        found = translate.search_sources(model, source_ids[start:stop], measured.search, measured.batch_tokens)
        best = [one[0].ids if one else () for one in found]
        texts = [tokenizer.detokenize(model.target_vocabulary.decode(ids)) for ids in best]
        return texts, sum(map(len, best))

    sources = [tokenizer.detokenize(model.source_vocabulary.decode(ids)) for ids in source_ids]
    return ValidationSet(sources, references, decode)


def make_masked_lm_validation(
    network: MaskedLM, lines: SentenceDataset, weights: Callable[[], AbstractContextManager[None]]
) -> Callable[[StopRequest], Validation | None]:
    """A function that validates the model as it is at the moment, and leaves no trace on it.

    Args:
        network: The model under training.
        lines: The validation part.
        weights: A context in which the network has the weights that are to be measured.
    """

    def validate(stop: StopRequest) -> Validation | None:
        with weights():
            nll = mean_masked_nll(network, lines, stop)
        return None if nll is None else Validation(score=-nll, facts={"loss": nll, "perplexity": math.exp(nll)})

    return validate


def make_lm_validation(
    network: LanguageModel,
    sentences: SentenceDataset,
    ema_weights: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Callable[[StopRequest], Validation | None]:
    """A function that measures the network as it is at the moment, and leaves no trace on it.

    Its facts are `loss`, nats a token, and `perplexity`.

    Args:
        network: The model under training.
        sentences: The validation part.
        ema_weights: A context in which the network has the weights that are to be measured.

    Raises:
        DataError: The validation part is empty.
    """
    if not len(sentences.ids):
        raise DataError("the validation part holds no token", hint="align a valid part as well")
    text = remove_padding(sentences)

    def validate(stop: StopRequest) -> Validation | None:
        total = 0.0
        with ema_weights():
            for block in make_evaluator(network).read(text):
                if stop:
                    return None
                total -= float(block.log_p_N.sum())
        loss = total / len(text.ids)
        return Validation(score=-loss, facts={"loss": loss, "perplexity": perplexity(loss)})

    return validate
