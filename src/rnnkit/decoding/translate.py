"""Translation of lines: tokenize, batch by length, search, restore the order, detokenize.

`translate_lines` streams over the input in blocks; within a block, sources are sorted into batches of similar length.
Each batch is encoded once (`Translator.start_batch`) and decoded by the search that the options select. The output of a
line does not depend on the other lines of its batch, up to float32 rounding. Attention weights align an output with its
source: they give alignment links, and the source word for an unknown word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from rnnkit.data.batch_sampler import pad_sequences, plan_epoch
from rnnkit.decoding.beam_search import beam_search, greedy_search
from rnnkit.decoding.constraints import UNCONSTRAINED, BatchConstraints, ConstrainedSource, Constraints
from rnnkit.decoding.ensemble import Direction
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.rescoring import rerank_bidirectional, score_targets
from rnnkit.decoding.sampling import SamplingOptions, random_numbers, sample
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions, Stepper
from rnnkit.decoding.translator import TranslationEnsemble, decode_ids, run_batches
from rnnkit.errors import DataError
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text import special_tokens

BLOCK_LINES = 2000
"""Lines read before the first is written: enough to form batches of similar length."""

BATCHES_PER_WORKER = 4
"""Minimum number of batches of a block for each worker, so that none waits long for the last one."""


@dataclass(frozen=True)
class TranslationOptions:
    """How to translate.

    Attributes:
        search: Beam size, length penalty, n-best and so on.
        batch_tokens: Source tokens per batch, padding included.
        keep_attention: Whether to keep attention weights.
        replace_unknown: Whether to replace <unk> by means of its most attended source token; needs attention.
        lexicon: Translations for these replacements; source tokens without one are copied.
        sampling: Sampling options; None for search.
        seed: Seed of the random numbers.
        workers: Batches decoded in parallel, each on one thread; 1 uses all threads for one batch.
    """

    search: SearchOptions
    batch_tokens: int
    keep_attention: bool = False
    replace_unknown: bool = False
    lexicon: Mapping[str, str] | None = None
    sampling: SamplingOptions | None = None
    seed: int = 1
    workers: int = 1


@dataclass(frozen=True)
class TranslatedLine:
    """The outputs of one source line.

    Attributes:
        source: Source tokens that were encoded; empty for an empty line.
        outputs: Detokenized outputs, best first; one empty line for an empty source.
        tokens: Tokens of each output.
        hypotheses: Score and attention of each output; empty for an empty source.
        constraints_met: Whether each output satisfies its lexical constraints; empty without constraints.
        truncated_tokens: Tokens cut from the end of a source above the maximum length.
    """

    source: tuple[str, ...]
    outputs: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    hypotheses: tuple[SearchHypothesis, ...]
    constraints_met: tuple[bool, ...] = ()
    truncated_tokens: int = 0


@dataclass(frozen=True)
class _SourceSentence:
    """A source to decode.

    Attributes:
        index: Index among the results.
        line: Line number, counted from 1.
        ids: Source ids with EOS.
        constraints: Constraints on its outputs.
    """

    index: int
    line: int
    ids: np.ndarray
    constraints: Constraints


def translate_lines(
    translator: TranslationEnsemble,
    lines: Iterable[ConstrainedSource],
    options: TranslationOptions,
    first_line: int = 1,
    block_lines: int = BLOCK_LINES,
) -> Iterator[TranslatedLine]:
    """Translate raw lines in order, one result per line.

    A line without tokens gives an empty output, unless there are constraints on it.

    Args:
        translator: The models.
        lines: Source lines with their constraints.
        options: How to translate.
        first_line: Number of the first line; samples depend on it.
        block_lines: Lines to read ahead; 1 translates each line as soon as it arrives.

    Raises:
        DataError: A line does not fit into memory even alone.
    """
    remaining, model = iter(lines), translator.main
    while block := list(islice(remaining, block_lines)):
        sources = [model.tokenizer.tokenize(line) for line, _ in block]
        yield from translate_tokens(translator, sources, [constraints for _, constraints in block], options, first_line)
        first_line += len(block)


def translate_tokens(
    translator: TranslationEnsemble,
    sources: Sequence[Sequence[str]],
    per_sentence: Sequence[Constraints],
    options: TranslationOptions,
    first_line: int = 1,
) -> Iterator[TranslatedLine]:
    """Translate tokenized lines in order, as `translate_lines` does; see `search_batches` for arguments and errors."""
    truncated = [options.search.truncate(tokens) for tokens in sources]
    encoded = [translator.encode(tokens) for tokens in truncated]
    found = search_batches(translator, [ids for ids, _ in encoded], per_sentence, options, first_line)
    for index, (tokens, (_, oov), hypotheses) in enumerate(zip(truncated, encoded, found, strict=True)):
        line = detokenize_outputs(translator.main, tokens, hypotheses, options, oov)
        constraints = per_sentence[index]
        constraints_met = (
            tuple(map(constraints.satisfied_by, hypotheses, line.outputs)) if constraints.is_lexical else ()
        )
        yield replace(line, constraints_met=constraints_met, truncated_tokens=len(sources[index]) - len(tokens))


def search_sources(
    model: LoadedSeq2Seq,
    sources: Sequence[Sequence[int]],
    options: SearchOptions,
    batch_tokens: int,
    keep_attention: bool = False,
) -> list[list[SearchHypothesis]]:
    """Decode sources (ids without EOS) with one model and without constraints; results are in input order."""
    settings = TranslationOptions(options, batch_tokens, keep_attention)
    return search_batches(TranslationEnsemble((model,)), sources, [UNCONSTRAINED] * len(sources), settings)


def search_batches(
    translator: TranslationEnsemble,
    sources: Sequence[Sequence[int]],
    per_sentence: Sequence[Constraints],
    options: TranslationOptions,
    first_line: int = 1,
) -> list[list[SearchHypothesis]]:
    """Decode sources in batches of similar length; batches that do not fit into memory are split.

    Args:
        translator: The models.
        sources: Ids from `Translator.encode`, without EOS; truncated to the maximum source length.
        per_sentence: Constraints of each source.
        options: How to translate.
        first_line: Line number of the first source.

    Returns:
        The hypotheses of each source, in input order; none for an empty source without constraints.

    Raises:
        DataError: A sentence does not fit into memory even alone.
    """
    results: list[list[SearchHypothesis]] = [[] for _ in sources]
    sentences = [
        _SourceSentence(index, first_line + index, _with_eos(options.search.truncate(ids)), constraints)
        for index, (ids, constraints) in enumerate(zip(sources, per_sentence, strict=True))
        if ids or constraints.prefix or constraints.is_lexical
    ]
    if not sentences:
        return results
    batches = _plan_batches(sentences, options)

    def search(batch: Sequence[_SourceSentence]) -> list[list[SearchHypothesis]]:
        return _search_batch(translator, batch, options)

    def too_large(sentence: _SourceSentence) -> DataError:
        return DataError(
            f"line {sentence.line:,} does not fit into memory",
            f"it has {len(sentence.ids) - 1:,} tokens, and is decoded alone with a beam of {options.search.beam}",
            hint="reduce --beam or --max-length, or split the line in two",
            line=sentence.line,
        )

    found = run_batches(search, batches, too_large, min(options.workers, len(batches)))
    for batch, lists in zip(batches, found, strict=True):
        for sentence, hypotheses in zip(batch, lists, strict=True):
            results[sentence.index] = hypotheses
    return results


def _with_eos(ids: Sequence[int]) -> np.ndarray:
    return np.array([*ids, special_tokens.EOS], dtype=np.int64)


def _plan_batches(sentences: Sequence[_SourceSentence], options: TranslationOptions) -> list[list[_SourceSentence]]:
    """Sort sentences into batches of similar length, enough of them for all workers, the longest first."""
    lengths = np.array([len(sentence.ids) for sentence in sentences])
    budget = options.batch_tokens
    if options.workers > 1:
        budget = min(budget, int(lengths.sum()) // (BATCHES_PER_WORKER * options.workers))
    plan = plan_epoch([lengths], max(budget, int(lengths.max())), seed=0, epoch=0)
    # Otherwise one worker may still decode the longest batch when the others are done.
    plan.sort(key=lambda batch: -int(lengths[batch].max()))
    return [[sentences[index] for index in batch] for batch in plan]


@torch.inference_mode()
def _search_batch(
    translator: TranslationEnsemble, sentences: Sequence[_SourceSentence], options: TranslationOptions
) -> list[list[SearchHypothesis]]:
    """Decode one batch with the models of each direction, and combine the directions."""
    source_BS, lengths_B = (torch.from_numpy(array) for array in pad_sequences([one.ids for one in sentences]))
    directions = translator.start_batch(source_BS, lengths_B)
    if len(directions) == 1:
        found = _search_direction(directions[0], sentences, lengths_B, options)
    else:
        whole_beam = replace(options, search=replace(options.search, nbest=options.search.beam))
        each = [_search_direction(direction, sentences, lengths_B, whole_beam) for direction in directions]
        found = rerank_bidirectional(directions, each, options.search, options.keep_attention)
    limits = _output_limits(sentences, lengths_B, options.search).tolist()
    return [
        [_trim_padding(hypothesis, length, limit) for hypothesis in hypotheses]
        for hypotheses, length, limit in zip(found, lengths_B.tolist(), limits, strict=True)
    ]


def _output_limits(sentences: Sequence[_SourceSentence], lengths_B: Tensor, search: SearchOptions) -> Tensor:
    """Return the maximum output length of each sentence, EOS included."""
    constraints = BatchConstraints([one.constraints for one in sentences])
    limit_B = torch.tensor([search.output_limit(length) for length in lengths_B.tolist()])
    return constraints.extend_limits(limit_B, search)


def _search_direction(
    direction: Direction, sentences: Sequence[_SourceSentence], lengths_B: Tensor, options: TranslationOptions
) -> list[list[SearchHypothesis]]:
    """Decode a batch with the models of one direction by the selected search; hypotheses are in reading order."""
    search, stepper = options.search, direction.stepper
    per_sentence = [direction.reorder_constraints(one.constraints) for one in sentences]
    is_constrained = any(each is not UNCONSTRAINED for each in per_sentence)
    constraints = BatchConstraints(per_sentence if is_constrained else (), (lengths_B - 1).tolist())
    limit_B = _output_limits(sentences, lengths_B, search)
    if options.sampling is not None:
        numbers = random_numbers(options.seed, [one.line for one in sentences], search.nbest, int(limit_B.max()))
        found = sample(stepper, limit_B, search, options.sampling, numbers, constraints)
        found = _add_attention(stepper, found) if options.keep_attention else found
    elif search.exhaustive:
        found = exhaustive_search(stepper, limit_B, search, constraints)
    elif search.beam == 1 and not options.keep_attention and not any(each.is_lexical for each in per_sentence):
        found = greedy_search(stepper, limit_B, search, constraints)
    else:
        found = beam_search(stepper, limit_B, search, options.keep_attention, constraints)
    return [[direction.reorder_hypothesis(one) for one in hypotheses] for hypotheses in found]


def _add_attention(stepper: Stepper[object], found: list[list[SearchHypothesis]]) -> list[list[SearchHypothesis]]:
    """Add attention weights to sampled outputs, computed by teacher forcing."""
    attention_BKTS = score_targets(stepper, [[one.ids for one in hypotheses] for hypotheses in found])[1]
    if attention_BKTS is None:
        return found
    return [
        [
            replace(one, attention=attention_TS[: len(one.ids) + 1])
            for one, attention_TS in zip(hypotheses, attention_KTS, strict=True)
        ]
        for hypotheses, attention_KTS in zip(found, attention_BKTS, strict=True)
    ]


def _trim_padding(hypothesis: SearchHypothesis, length: int, limit: int) -> SearchHypothesis:
    """Cut attention to the source length and record whether the output ended before the maximum length."""
    attention_TS = None if hypothesis.attention is None else hypothesis.attention[:, :length].clone()
    return replace(hypothesis, attention=attention_TS, finished=len(hypothesis.ids) + 1 < limit)


def detokenize_outputs(
    model: LoadedSeq2Seq,
    source: Sequence[str],
    hypotheses: Sequence[SearchHypothesis],
    options: TranslationOptions,
    oov: Sequence[str] = (),
) -> TranslatedLine:
    """Convert hypotheses to text; `oov` are the source tokens that extend the vocabulary."""
    if options.replace_unknown and options.lexicon is not None:
        oov = [options.lexicon.get(token, token) for token in oov]
    tokens = tuple(tuple(decode_ids(model.target_vocabulary, hypothesis.ids, oov)) for hypothesis in hypotheses)
    if options.replace_unknown:
        pairs = zip(hypotheses, tokens, strict=True)
        is_feature, lexicon = model.tokenizer.is_feature, options.lexicon
        tokens = tuple(replace_unknown(hypothesis, one, source, is_feature, lexicon) for hypothesis, one in pairs)
    outputs = tuple(model.tokenizer.detokenize(one) for one in tokens) or ("",)
    return TranslatedLine(tuple(source), outputs, tokens, tuple(hypotheses))


def replace_unknown(
    hypothesis: SearchHypothesis,
    tokens: Sequence[str],
    source: Sequence[str],
    is_feature: Callable[[str], bool],
    lexicon: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Replace each <unk> of an output by means of its most attended source token (Luong et al. 2015, arXiv:1410.8206).

    The replacement is the translation of the source token in the lexicon, or else the source token itself. Source
    features are skipped, because they are not text; the next most attended word takes their place.

    Args:
        hypothesis: Hypothesis with attention.
        tokens: Its tokens as text.
        source: Source tokens as text; they need not be in the vocabulary.
        is_feature: Returns whether a source token is a feature.
        lexicon: Translations of source tokens; None to copy all source tokens.
    """
    positions = [position for position, token in enumerate(source) if not is_feature(token)]
    if hypothesis.attention is None or not positions:
        return tuple(tokens)
    attended = hypothesis.attention[: len(hypothesis.ids), positions].argmax(-1).tolist()
    replacements = source if lexicon is None else [lexicon.get(word, word) for word in source]
    triples = zip(hypothesis.ids, tokens, attended, strict=True)
    return tuple(
        replacements[positions[index]] if token_id == special_tokens.UNK else token
        for token_id, token, index in triples
    )


def most_attended(hypothesis: SearchHypothesis, source_length: int) -> list[int]:
    """Return the source position with the greatest attention for each output token, EOS excluded.

    A token without any attention, as with monotonic attention after the end of the source, takes the position of the
    token before it.

    Args:
        hypothesis: Hypothesis with attention.
        source_length: Source tokens without EOS; 0 yields no positions.

    Returns:
        Positions, counted from 0; empty without attention.
    """
    if hypothesis.attention is None or not source_length:
        return []
    weights_TS = hypothesis.attention[: len(hypothesis.ids), :source_length]
    positions: list[int] = weights_TS.argmax(-1).tolist()
    for token in (weights_TS == 0).all(-1).nonzero().flatten().tolist():
        positions[token] = positions[token - 1] if token else 0
    return positions


def format_pharaoh(hypothesis: SearchHypothesis, source_length: int) -> str:
    """Format the alignment links of an output as `source-target` pairs, counted from 0, in output order."""
    return " ".join(f"{source}-{target}" for target, source in enumerate(most_attended(hypothesis, source_length)))
