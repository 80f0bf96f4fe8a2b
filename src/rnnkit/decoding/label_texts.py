"""Labelling of raw text: the tags of the words of each line, or the labels of the line.

A tagger labels the words of a line, which are separated by blanks; with `LabelTextOptions.raw` the line is split into
words and punctuation marks first. A classifier reads the tokens of its tokenizer.

`label_lines` streams over the input in blocks; within a block, lines are sorted into batches of similar length. An
ensemble averages probabilities; taggers with a CRF average scores and transitions instead, so that the result is a
CRF, which never predicts an invalid sequence.

Shapes: B batch, T words, C labels, K best.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from rnnkit.data.batch_sampler import plan_epoch
from rnnkit.data.label_parsing import split_words
from rnnkit.data.word_table import WordBatch
from rnnkit.decoding.word_cache import WordCache
from rnnkit.errors import ArtefactError
from rnnkit.models.labelling.labelling_store import LoadedLabeller
from rnnkit.models.labelling.linear_store import LinearClassifier
from rnnkit.models.labelling.tagger import TaggerNetwork
from rnnkit.models.labelling.text_classifier import ClassifierNetwork
from rnnkit.nn.crf import LinearChainCRF
from rnnkit.text.rule_based_tokenizers import JOINER, WordTokenizer
from rnnkit.text.unicode import Normalizer

BLOCK_LINES = 1000
"""Lines read before the first is written: enough to form batches of similar length."""

BATCH_TOKENS = 4096
"""Tokens per batch, padding included."""


@dataclass(frozen=True)
class LabelTextOptions:
    """How to label.

    Attributes:
        nbest: Number of alternatives: label sequences of a tagger, labels of a classifier.
        threshold: Probability from which on a text has a label; None for the thresholds of the model.
        raw: Cut lines into words and punctuation marks before tagging.
        marginals: Whether to compute the probability of every label of every word.
        batch_tokens: Tokens per batch, padding included.
    """

    nbest: int = 1
    threshold: float | None = None
    raw: bool = False
    marginals: bool = False
    batch_tokens: int = BATCH_TOKENS


@dataclass(frozen=True)
class Alternative:
    """One labelling of a line.

    Attributes:
        labels: The tag of each word, or the labels of the text: one, none, or with several labels any number.
        probability: Its probability; with several labels, the product over all labels.
    """

    labels: tuple[str, ...]
    probability: float


@dataclass(frozen=True)
class OutputLabels:
    """The labels of one output for a line.

    Attributes:
        alternatives: The `nbest` most probable labellings, best first.
        probability: Of a tagger, the marginal probability of each tag of the best labelling; empty for a classifier.
        distribution: Probability of each label: for each word, or once for the text; empty if not requested.
    """

    alternatives: tuple[Alternative, ...]
    probability: tuple[float, ...] = ()
    distribution: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True)
class LabelledText:
    """A line with its labels.

    Attributes:
        line: The line.
        words: Words of the line, or tokens of a classifier.
        outputs: Labels by output.
        attention: Weight of each word in a classifier with attention; empty otherwise.
    """

    line: str
    words: tuple[str, ...]
    outputs: tuple[OutputLabels, ...]
    attention: tuple[float, ...] = ()


class Labeller:
    """One or several models that label together.

    Args:
        models: Models with the same task and labels.

    Raises:
        ArtefactError: Their tasks or labels differ.
    """

    def __init__(self, models: Sequence[LoadedLabeller]) -> None:
        first = models[0]
        for model in models[1:]:
            same = [[column.labels for column in each.inventory.columns] for each in (first, model)]
            if model.is_tagger != first.is_tagger or same[0] != same[1]:
                raise ArtefactError(
                    f"{first.folder} and {model.folder} cannot label together",
                    "their tasks or labels differ",
                    hint="train both on data with the same labels",
                    path=model.folder,
                )
        self.models = tuple(models)
        self.columns = first.inventory.columns
        self.is_tagger = first.is_tagger
        self._caches = [None if isinstance(model.network, LinearClassifier) else WordCache(model) for model in models]

    def split(self, model: int, line: str, raw: bool = False) -> list[str]:
        """Split a line into the words of a tagger, or the tokens of a classifier."""
        tokenizer = self.models[model].tokenizer
        if self.is_tagger:
            return cut_words(_word_tokenizer(), line) if raw else split_words(line)
        return split_words(line) if tokenizer is None else tokenizer.tokenize(line)

    @torch.no_grad()
    def label(self, lines: Sequence[str], options: LabelTextOptions) -> list[LabelledText]:
        """Label some lines."""
        if not lines:
            return []
        split = [[self.split(model, line, options.raw) for line in lines] for model in range(len(self.models))]
        encoded = [
            None if cache is None else cache.encode(sentences)
            for cache, sentences in zip(self._caches, split, strict=True)
        ]
        linear = self._score_linear(split)
        lengths = [np.array([len(words) + 1 for words in sentences]) for sentences in split]
        found: list[LabelledText | None] = [None] * len(lines)
        for batch in plan_epoch(lengths, options.batch_tokens, seed=0, epoch=0):
            inputs = [None if each is None else each.batch(batch) for each in encoded]
            if self.is_tagger:
                labelled = self._tag(inputs, options)
            else:
                labelled = self._classify(inputs, [None if p is None else p[batch] for p in linear], options)
            for row, (outputs, attention) in zip(batch, labelled, strict=True):
                words = tuple(split[0][row])
                found[row] = LabelledText(lines[row], words, outputs, attention[: len(words) + 1])
        return [each for each in found if each is not None]

    def _score_linear(self, split: Sequence[Sequence[Sequence[str]]]) -> list[Tensor | None]:
        """Return the probabilities of linear classifiers for all lines (N, C); None for networks."""
        return [
            torch.from_numpy(model.network.probabilities(sentences))
            if isinstance(model.network, LinearClassifier)
            else None
            for model, sentences in zip(self.models, split, strict=True)
        ]

    def _tag(
        self, inputs: Sequence[WordBatch | None], options: LabelTextOptions
    ) -> list[tuple[tuple[OutputLabels, ...], tuple[float, ...]]]:
        networks = [model.network for model in self.models]
        all_scores, length_B = [], torch.zeros(0)
        for network, batch in zip(networks, inputs, strict=True):
            assert isinstance(network, TaggerNetwork)
            assert batch is not None
            scores, length_B = network.scores(batch)
            all_scores.append(scores)
        by_output = []
        for output, column in enumerate(self.columns):
            chain, scores_BTC = self._combine(output, [scores[output] for scores in all_scores])
            read = _read_chain if chain is not None or options.nbest > 1 else _read_words
            by_output.append(read(chain, scores_BTC, length_B, column.labels, options))
        return [(tuple(outputs), ()) for outputs in zip(*by_output, strict=True)]

    def _combine(self, output: int, scores: Sequence[Tensor]) -> tuple[LinearChainCRF | None, Tensor]:
        """Combine the scores of all models; without a CRF they become log-probabilities."""
        networks = [model.network for model in self.models if isinstance(model.network, TaggerNetwork)]
        if networks[0].config.crf:
            crfs = [network.crfs[output] for network in networks]
            temperature = torch.stack([network.temperature_O[output] for network in networks]).mean()
            chain = average_chains(crfs, float(temperature))  # type: ignore[arg-type]
            return chain, torch.stack(list(scores)).mean(0) / temperature
        log_p = [
            torch.log_softmax(each / network.temperature_O[output], dim=2)
            for each, network in zip(scores, networks, strict=True)
        ]
        combined = log_p[0] if len(log_p) == 1 else torch.stack(log_p).exp().mean(0).log()
        return None, combined

    def _classify(
        self, inputs: Sequence[WordBatch | None], linear: Sequence[Tensor | None], options: LabelTextOptions
    ) -> list[tuple[tuple[OutputLabels, ...], tuple[float, ...]]]:
        probabilities: list[list[Tensor]] = [[] for _ in self.columns]
        attention: Tensor | None = None
        for model, batch, linear_BC in zip(self.models, inputs, linear, strict=True):
            network = model.network
            if linear_BC is not None or batch is None or not isinstance(network, ClassifierNetwork):
                probabilities[0].append(torch.zeros(0) if linear_BC is None else linear_BC)
                continue
            scores, weight_BT = network.scores_and_attention(batch)
            attention = weight_BT if attention is None else attention
            for output, scores_BC in enumerate(scores):
                scaled_BC = scores_BC / network.temperature_O[output]
                p_BC = torch.sigmoid(scaled_BC) if network.config.multi_label else torch.softmax(scaled_BC, 1)
                probabilities[output].append(p_BC)
        means = [torch.stack(each).mean(0) for each in probabilities]
        limits = [self._thresholds(output) for output in range(len(self.columns))]
        results = []
        for row in range(len(means[0])):
            outputs = tuple(
                _read_labels(p_BC[row], limit_C, column.labels, options)
                for p_BC, limit_C, column in zip(means, limits, self.columns, strict=True)
            )
            results.append((outputs, () if attention is None else tuple(attention[row].tolist())))
        return results

    def _thresholds(self, output: int) -> Tensor | None:
        """Return the probability from which on a text has each label; None if texts have one label."""
        network = self.models[0].network
        if not network.config.multi_label:
            return None
        if isinstance(network, LinearClassifier):
            return torch.from_numpy(network.threshold_C)
        assert isinstance(network, ClassifierNetwork)
        return network.thresholds(output)


@functools.cache
def _word_tokenizer() -> WordTokenizer:
    return WordTokenizer(Normalizer())


def cut_words(tokenizer: WordTokenizer, line: str) -> list[str]:
    """Cut raw text into words and punctuation marks, without the joiner marks of the tokenizer."""
    return [word for token in tokenizer.tokenize(line) if (word := token.strip(JOINER))]


@torch.no_grad()
def average_chains(crfs: Sequence[LinearChainCRF], temperature: float) -> LinearChainCRF:
    """Return the CRF whose transition scores are the mean of those of several CRFs, divided by the temperature."""
    chain = copy.deepcopy(crfs[0])
    for target, *parts in zip(chain.parameters(), *(crf.parameters() for crf in crfs), strict=True):
        target.copy_(torch.stack(parts).mean(0) / temperature)
    return chain


def _read_words(
    chain: LinearChainCRF | None,
    log_p_BTC: Tensor,
    length_B: Tensor,
    labels: Sequence[str],
    options: LabelTextOptions,
) -> list[OutputLabels]:
    """Return the labels of each sentence of a batch, whose words are independent of each other."""
    best_log_p_BT, best_BT = log_p_BTC.max(2)
    rows = zip(best_BT.tolist(), best_log_p_BT.tolist(), length_B.tolist(), strict=True)
    found = []
    for row, (tags, log_p, length) in enumerate(rows):
        best = Alternative(tuple([labels[tag] for tag in tags[:length]]), math.exp(sum(log_p[:length])))
        distribution = _distributions(log_p_BTC[row, :length].exp(), labels) if options.marginals else ()
        found.append(OutputLabels((best,), tuple(map(math.exp, log_p[:length])), distribution))
    return found


def _read_chain(
    chain: LinearChainCRF | None,
    scores_BTC: Tensor,
    length_B: Tensor,
    labels: Sequence[str],
    options: LabelTextOptions,
) -> list[OutputLabels]:
    """Return the labels of each sentence of a batch; a softmax is a chain without transitions."""
    if chain is None:
        chain = LinearChainCRF(scores_BTC.shape[2]).to(scores_BTC.device)
    sequence_BKT, log_p_BK = chain.k_best(scores_BTC, length_B, options.nbest)
    marginal_BTC = chain.marginals(scores_BTC, length_B)
    p_BT = marginal_BTC.gather(2, sequence_BKT[:, 0].unsqueeze(2)).squeeze(2)
    found = []
    for row, length in enumerate(length_B.tolist()):
        best = [
            Alternative(tuple(labels[tag] for tag in tags[:length]), math.exp(p))
            for tags, p in zip(sequence_BKT[row].tolist(), log_p_BK[row].tolist(), strict=True)
            if p > -math.inf
        ]
        distribution = _distributions(marginal_BTC[row, :length], labels) if options.marginals else ()
        found.append(OutputLabels(tuple(best), tuple(p_BT[row, :length].tolist()), distribution))
    return found


def _distributions(p_TC: Tensor, labels: Sequence[str]) -> tuple[dict[str, float], ...]:
    """Return the probability of each label of each word."""
    return tuple(dict(zip(labels, word, strict=True)) for word in p_TC.tolist())


def _read_labels(
    p_C: Tensor, threshold_C: Tensor | None, labels: Sequence[str], options: LabelTextOptions
) -> OutputLabels:
    """Return the labels of one text."""
    p = p_C.tolist()
    order = sorted(range(len(labels)), key=lambda label: (-p[label], label))
    distribution = ({labels[label]: p[label] for label in order},)
    if threshold_C is None:
        limit = options.threshold or 0.0
        best = [Alternative((labels[label],), p[label]) for label in order[: options.nbest] if p[label] >= limit]
        return OutputLabels(tuple(best) or (Alternative((), p[order[0]]),), (), distribution)
    limits = threshold_C.tolist() if options.threshold is None else [options.threshold] * len(labels)
    chosen = [label for label in order if p[label] >= limits[label]]
    probability = float(np.prod([p[label] if label in chosen else 1 - p[label] for label in range(len(labels))]))
    return OutputLabels((Alternative(tuple(labels[label] for label in chosen), probability),), (), distribution)


def label_lines(
    labeller: Labeller, lines: Iterable[str], options: LabelTextOptions, ahead: int = BLOCK_LINES
) -> Iterator[LabelledText]:
    """Label lines, in order.

    Args:
        labeller: The models.
        lines: Raw text.
        options: How to label.
        ahead: Lines read before the first is labelled.
    """
    remaining = iter(lines)
    while block := list(islice(remaining, ahead)):
        yield from labeller.label(block, options)
