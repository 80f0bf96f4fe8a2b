"""Validation of neural models during training.

Language models and masked language models report loss and perplexity. Sequence-to-sequence models also decode the
validation set as `rnnkit decode` does and score the outputs by BLEU, chrF or accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from rnnkit.data.aligned_data import AlignedData, SentenceDataset
from rnnkit.decoding import translate
from rnnkit.decoding.constraints import UNCONSTRAINED
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.decoding.translator import TranslationEnsemble
from rnnkit.errors import DataError
from rnnkit.evaluation.error_rates import error_rate
from rnnkit.evaluation.perplexity import make_evaluator, perplexity, remove_padding
from rnnkit.evaluation.translation_metrics import BleuSettings, ChrfSettings, corpus_score
from rnnkit.events import Listener, Progress, WarningEvent, null_listener
from rnnkit.models.language_model import LanguageModelNetwork
from rnnkit.models.masked_lm import MaskedLM
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text import special_tokens
from rnnkit.text.tokenizer import warn_replaced_line_ends
from rnnkit.text.unicode import Normalizer
from rnnkit.training.lm_tasks import mean_masked_nll
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import Validation
from rnnkit.training.training_step import mean_target_nll

DECODING_BLOCK = 200
"""Sentences decoded between checks of the stop flag."""

MIN_MEAN_WORDS = 4
"""Mean reference length below which chrF replaces BLEU, which is 0 for texts without 4-grams."""

LOSS_WEIGHT = 1e-6
"""Weight of the loss (nats) relative to the metric (points): it breaks ties, such as two scores of 0."""

UNKNOWN_PLACEHOLDER = "\U0010ffff"
"""Replaces unknown tokens of references available only as ids: a single token that no output contains."""


@dataclass(frozen=True)
class ValidationSettings:
    """Parameters of the decoding in a validation.

    Attributes:
        lines: Sentences to decode, from the start of the split; 0 for none.
        metric: The metric, one of `kinds.VALIDATION_METRICS`.
        samples: Number of sample translations in the log.
        search: Search options.
        batch_tokens: Source tokens per decoding batch.
    """

    lines: int
    metric: str
    samples: int
    search: SearchOptions
    batch_tokens: int


@dataclass(frozen=True)
class ValidationSet:
    """The sentences to decode.

    Attributes:
        sources: Source text, for the log.
        references: Reference text.
        translate: Decodes sentences `start` to `stop`; returns their text and the total number of tokens.
    """

    sources: Sequence[str]
    references: Sequence[str]
    translate: Callable[[int, int], tuple[list[str], int]]

    def decode(self, stop: StopRequest, listen: Listener) -> tuple[list[str], int] | None:
        """Decode all sentences; return their text and the number of tokens, or None if the stop flag was set."""
        outputs: list[str] = []
        tokens, total = 0, len(self.sources)
        for start in range(0, total, DECODING_BLOCK):
            if stop:
                listen(Progress("validation", start, total, finished=True))
                return None
            listen(Progress("validation", start, total))
            found, length = self.translate(start, min(start + DECODING_BLOCK, len(self.sources)))
            outputs += found
            tokens += length
        listen(Progress("validation", total, total, finished=True))
        return outputs, tokens


def make_seq2seq_validation(
    model: LoadedSeq2Seq,
    data: AlignedData,
    settings: ValidationSettings,
    weights: Callable[[], AbstractContextManager[None]],
    listen: Listener = null_listener,
) -> Callable[[StopRequest], Validation | None]:
    """Return a function that validates a sequence-to-sequence model with its current weights.

    If the data has the raw lines of its `valid` split, scores equal those of `rnnkit decode --beam 1` followed by
    `rnnkit bleu` or `rnnkit error-rate` on the same lines.

    Args:
        model: The model under training.
        data: Encoded data with a `valid` split.
        settings: Parameters of the decoding.
        weights: Context in which the model has the weights to validate, such as their moving average.
        listen: Receives a warning if references have unknown tokens but no raw lines, or if outputs contain line ends.
    """
    source, target = (data.side("valid", side) for side in data.sides)
    count = min(settings.lines, len(source))
    validation_set = _read_validation_set(model, data, settings, count, listen)
    references = validation_set.references
    metric = choose_metric(settings.metric, references)
    warnings = iter([listen])  # one for the run
    shown = [index * count // settings.samples for index in range(settings.samples)] if count else []

    def validate(stop: StopRequest) -> Validation | None:
        with weights():
            return run(stop)

    def run(stop: StopRequest) -> Validation | None:
        nll = mean_target_nll(model.network, source, target, stop)
        if nll is None:
            return None
        if not count:
            return Validation(score=-nll, facts={"loss": nll})
        model.network.eval()
        decoded = validation_set.decode(stop, listen)
        model.network.train()
        if decoded is None:
            return None
        outputs, tokens = decoded
        if model.tokenizer.replaced_line_ends:
            warn_replaced_line_ends(model.tokenizer, next(warnings, null_listener))
        value = score_outputs(metric, outputs, references)
        return Validation(
            score=value - LOSS_WEIGHT * nll,
            facts={"loss": nll, metric: value},
            lines=tuple(
                f"{validation_set.sources[index]} -> {outputs[index]} (reference: {references[index]})"
                for index in shown
            ),
            length_ratio=tokens / sum(len(target[index]) for index in range(count)),
        )

    return validate


def choose_metric(metric: str, references: Sequence[str]) -> str:
    """Resolve `auto`: BLEU, or chrF if the references are on average too short for BLEU or have no spaces."""
    if metric != "auto":
        return metric
    words = sum(len(reference.split()) for reference in references)
    return "bleu" if words >= MIN_MEAN_WORDS * len(references) else "chrf"


def score_outputs(metric: str, outputs: Sequence[str], references: Sequence[str]) -> float:
    """Score outputs by a metric, from 0 to 100."""
    if metric == "accuracy":
        return _accuracy(outputs, references)
    settings = ChrfSettings() if metric == "chrf" else BleuSettings()
    return corpus_score(outputs, [references], settings).value


def _accuracy(outputs: Sequence[str], references: Sequence[str]) -> float:
    """Compute the percentage of exactly correct lines, 100 minus the line error rate of `rnnkit error-rate`."""
    normalize = Normalizer()
    hypotheses, expected = ([normalize(line) for line in lines] for lines in (outputs, references))
    if not any(expected):
        return 100 * sum(not line for line in hypotheses) / len(hypotheses)
    return 100 - error_rate(hypotheses, [[line] for line in expected], "lines").percent


def _read_validation_set(
    model: LoadedSeq2Seq, data: AlignedData, settings: ValidationSettings, count: int, listen: Listener
) -> ValidationSet:
    """Read the first sentences of the `valid` split."""
    sources, references = (data.raw_lines("valid", side, count) for side in data.sides)
    translator = TranslationEnsemble((model,))
    options = translate.TranslationOptions(settings.search, settings.batch_tokens)
    if sources is None or references is None:
        return _read_ids(model, data, settings, count, listen)

    def decode(start: int, stop: int) -> tuple[list[str], int]:
        lines = [(line, UNCONSTRAINED) for line in sources[start:stop]]
        found = list(translate.translate_lines(translator, lines, options, start + 1))
        return [line.outputs[0] for line in found], sum(len(tokens) for line in found for tokens in line.tokens[:1])

    # Columns after a TAB are features, which outputs do not have.
    return ValidationSet(sources, [model.tokenizer.split_features(line)[0] for line in references], decode)


def _read_ids(
    model: LoadedSeq2Seq, data: AlignedData, settings: ValidationSettings, count: int, listen: Listener
) -> ValidationSet:
    """Read the same sentences from ids, for data without raw lines."""
    source, target = (data.side("valid", side) for side in data.sides)
    source_ids = [source[index][:-1].tolist() for index in range(count)]
    target_ids = [target[index][:-1].tolist() for index in range(count)]
    if any(special_tokens.UNK in ids for ids in target_ids):
        listen(
            WarningEvent(
                f"{data.folder} has no raw lines of its valid split: unknown tokens of the references count as wrong "
                "words, and the score is lower than that of `rnnkit bleu`; tokenize and align again for equal scores"
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
        found = translate.search_sources(model, source_ids[start:stop], settings.search, settings.batch_tokens)
        best = [one[0].ids if one else () for one in found]
        texts = [tokenizer.detokenize(model.target_vocabulary.decode(ids)) for ids in best]
        return texts, sum(map(len, best))

    sources = [tokenizer.detokenize(model.source_vocabulary.decode(ids)) for ids in source_ids]
    return ValidationSet(sources, references, decode)


def make_masked_lm_validation(
    network: MaskedLM, lines: SentenceDataset, weights: Callable[[], AbstractContextManager[None]]
) -> Callable[[StopRequest], Validation | None]:
    """Return a function that validates a masked language model with its current weights.

    Args:
        network: The model under training.
        lines: The validation split.
        weights: Context in which the network has the weights to validate, such as their moving average.
    """

    def validate(stop: StopRequest) -> Validation | None:
        with weights():
            nll = mean_masked_nll(network, lines, stop)
        return None if nll is None else Validation(score=-nll, facts={"loss": nll, "perplexity": math.exp(nll)})

    return validate


def make_lm_validation(
    network: LanguageModelNetwork,
    sentences: SentenceDataset,
    ema_weights: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Callable[[StopRequest], Validation | None]:
    """Return a function that validates a language model with its current weights.

    It reports `loss`, in nats per token, and `perplexity`.

    Args:
        network: The model under training.
        sentences: The validation split.
        ema_weights: Context in which the network has the weights to validate, such as their moving average.

    Raises:
        DataError: The validation split is empty.
    """
    if not len(sentences.ids):
        raise DataError("the validation split is empty", hint="align the data with a non-empty valid split")
    backward = network.config.direction == "backward"
    text = sentences.reversed() if backward else remove_padding(sentences)

    def validate(stop: StopRequest) -> Validation | None:
        total = 0.0
        with ema_weights():
            for block in make_evaluator(network).evaluate(text):
                if stop:
                    return None
                total -= float(block.log_p_N.sum())
        loss = total / len(text.ids)
        return Validation(score=-loss, facts={"loss": loss, "perplexity": perplexity(loss)})

    return validate
