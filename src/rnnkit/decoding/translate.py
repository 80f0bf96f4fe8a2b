"""From source lines to target lines: tokenize, search in batches of like length, put back in order, detokenize."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from rnnkit.data.batch_sampler import pad_sequences, plan_epoch
from rnnkit.decoding.attention_alignment import replace_unknown
from rnnkit.decoding.batch_execution import split_on_oom
from rnnkit.decoding.beam_search import beam_search
from rnnkit.decoding.constraints.token_constraints import (
    UNCONSTRAINED,
    BatchConstraints,
    ConstrainedSource,
    Constraints,
)
from rnnkit.decoding.ensemble import Direction
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.greedy import greedy_search
from rnnkit.decoding.rescoring import rerank_bidirectional, score_targets
from rnnkit.decoding.sampling import SamplingOptions, random_numbers, sample
from rnnkit.decoding.stepper import Hypothesis, SearchOptions, Stepper
from rnnkit.decoding.translator import Translator, decode_ids
from rnnkit.errors import DataError
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.nn.device import is_out_of_memory
from rnnkit.text import special_tokens

BLOCK_LINES = 2000
"""Lines read before the first is written: enough to sort them into batches of like length."""

BATCHES_PER_WORKER = 4
"""Batches that each of several workers gets of a block, if they are not too small for that anyway."""


@dataclass(frozen=True)
class TranslationOptions:
    """How to translate.

    Attributes:
        search: Beam, length penalty, n-best and so on.
        batch_tokens: Source tokens a batch, padding counted.
        keep_attention: Whether the hypotheses carry their attention.
        replace_unknown: Whether unknown words are replaced by what they looked at; wants attention.
        lexicon: What to write in place of the source tokens that were looked at; the others are written as they are.
        sampling: How tokens are drawn; None searches for the likeliest.
        seed: Of the random numbers.
        workers: Batches that are decoded side by side, each on one thread; 1 leaves all threads to one batch.
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
    """One line's outputs.

    Attributes:
        source: The line's tokens; empty for an empty line.
        outputs: Detokenized lines, best first; one empty line for an empty source.
        tokens: Tokens of each output.
        hypotheses: Scores and attention of each output; empty for an empty source.
        met: Whether each output has all that it must have in it; empty where nothing is asked for.
        left_out: Tokens at the end of the line that were not read, as the line is longer than what is read of one.
    """

    source: tuple[str, ...]
    outputs: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    hypotheses: tuple[Hypothesis, ...]
    met: tuple[bool, ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class _SourceSentence:
    """One line to be searched for.

    Attributes:
        place: Where in the results.
        line: Number of its line, from 1.
        ids: Its source, with the end symbol.
        wish: What is asked of it.
    """

    place: int
    line: int
    ids: np.ndarray
    wish: Constraints


def translate_lines(
    translator: Translator,
    lines: Iterable[ConstrainedSource],
    options: TranslationOptions,
    first_line: int = 1,
    block_lines: int = BLOCK_LINES,
) -> Iterator[TranslatedLine]:
    """Translate raw lines, one result a line, in order.

    A line without tokens stays empty, unless something is asked of its translation.

    Args:
        translator: What translates.
        lines: Raw source lines, each with what is asked of its translation.
        options: How.
        first_line: Number of the first line: what is drawn depends on it.
        block_lines: Lines read ahead; 1 answers each as it comes.

    Raises:
        DataError: A line does not fit into memory even alone.
    """
    remaining, model = iter(lines), translator.main
    while block := list(islice(remaining, block_lines)):
        sources = [model.tokenizer.tokenize(line) for line, _ in block]
        yield from translate_tokens(translator, sources, [wish for _, wish in block], options, first_line)
        first_line += len(block)


def translate_tokens(
    translator: Translator,
    sources: Sequence[Sequence[str]],
    wishes: Sequence[Constraints],
    options: TranslationOptions,
    first_line: int = 1,
) -> Iterator[TranslatedLine]:
    """Translate lines that are in tokens: what `decode` writes for their text. Arguments as for `search_batches`."""
    read = [options.search.cut(tokens) for tokens in sources]
    encoded = [translator.encode(tokens) for tokens in read]
    found = search_batches(translator, [ids for ids, _ in encoded], wishes, options, first_line)
    for place, (tokens, (_, own), hypotheses) in enumerate(zip(read, encoded, found, strict=True)):
        wish, one = wishes[place], detokenize_outputs(translator.main, tokens, hypotheses, options, own)
        met = tuple(map(wish.met, hypotheses, one.outputs)) if wish.constrains else ()
        yield replace(one, met=met, left_out=len(sources[place]) - len(tokens))


def search_sources(
    model: LoadedSeq2Seq,
    sources: Sequence[Sequence[int]],
    options: SearchOptions,
    batch_tokens: int,
    keep_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Search for every source (ids without the end symbol), in batches of like length; results in input order."""
    how = TranslationOptions(options, batch_tokens, keep_attention)
    return search_batches(Translator((model,)), sources, [UNCONSTRAINED] * len(sources), how)


def search_batches(
    translator: Translator,
    sources: Sequence[Sequence[int]],
    wishes: Sequence[Constraints],
    options: TranslationOptions,
    first_line: int = 1,
) -> list[list[Hypothesis]]:
    """Search for every source, in batches of like length that are halved where they do not fit into memory.

    Args:
        translator: What translates.
        sources: Ids without the end symbol, as `Translator.encode` gives them; no more of them are read than the search
            options allow.
        wishes: What is asked of each.
        options: How.
        first_line: Number of the first source's line.

    Returns:
        The hypotheses of each source, in input order; none where there is neither source nor wish.

    Raises:
        DataError: A sentence does not fit into memory even alone.
    """
    results: list[list[Hypothesis]] = [[] for _ in sources]
    sentences = [
        _SourceSentence(
            place, first_line + place, np.array([*options.search.cut(ids), special_tokens.EOS], dtype=np.int64), wish
        )
        for place, (ids, wish) in enumerate(zip(sources, wishes, strict=True))
        if ids or wish.prefix or wish.constrains
    ]
    if not sentences:
        return results
    lengths = np.array([len(one.ids) for one in sentences])
    # Batches enough that no worker waits long for another's last.
    share = (
        int(lengths.sum()) // (BATCHES_PER_WORKER * options.workers) if options.workers > 1 else options.batch_tokens
    )
    budget = max(min(options.batch_tokens, share), int(lengths.max()))
    plan = plan_epoch([lengths], budget, seed=0, epoch=0)
    # The longest first, so that no worker is left with one when the others are done.
    plan.sort(key=lambda batch: -int(lengths[batch].max()))
    batches = [[sentences[index] for index in batch] for batch in plan]
    for chosen, found in zip(batches, _search_in_parallel(translator, batches, options), strict=True):
        for one, hypotheses in zip(chosen, found, strict=True):
            results[one.place] = hypotheses
    return results


def _search_in_parallel(
    translator: Translator, batches: Sequence[list[_SourceSentence]], options: TranslationOptions
) -> Iterator[list[list[Hypothesis]]]:
    """All batches, in order, by as many workers as are wanted."""

    def run(chosen: list[_SourceSentence]) -> list[list[Hypothesis]]:
        return split_on_oom(lambda some: _search(translator, some, options), chosen)

    workers = min(options.workers, len(batches))
    if workers <= 1:
        yield from map(run, batches)
        return
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(run, batches)


def _search(
    translator: Translator, sentences: Sequence[_SourceSentence], options: TranslationOptions
) -> list[list[Hypothesis]]:
    """One batch. Raises DataError where a single sentence does not fit into memory."""
    try:
        return _search_batch(translator, sentences, options)
    except (MemoryError, RuntimeError) as failure:
        if len(sentences) > 1 or not is_out_of_memory(failure):
            raise
        one, beam = sentences[0], options.search.beam
    raise DataError(
        f"line {one.line} does not fit into memory",
        f"it has {len(one.ids) - 1:,} tokens, and is decoded alone with a beam of {beam}",
        hint="a smaller --beam or --max-length needs less, and so does a line cut in two",
    )


@torch.inference_mode()
def _search_batch(
    translator: Translator, sentences: Sequence[_SourceSentence], options: TranslationOptions
) -> list[list[Hypothesis]]:
    source_BS, lengths_B = (torch.from_numpy(array) for array in pad_sequences([one.ids for one in sentences]))
    ways = translator.begin(source_BS, lengths_B)
    if len(ways) == 1:
        found = _search_direction(ways[0], sentences, lengths_B, options)
    else:
        apart = replace(options, search=replace(options.search, nbest=options.search.beam))
        each = [_search_direction(way, sentences, lengths_B, apart) for way in ways]
        found = rerank_bidirectional(ways, each, options.search, options.keep_attention)
    limits = _output_limits(sentences, lengths_B, options.search).tolist()
    # Attention over this batch's padding says nothing.
    return [
        [_trim_padding(hypothesis, length, limit) for hypothesis in hypotheses]
        for hypotheses, length, limit in zip(found, lengths_B.tolist(), limits, strict=True)
    ]


def _output_limits(sentences: Sequence[_SourceSentence], lengths_B: Tensor, search: SearchOptions) -> Tensor:
    """Most tokens of each sentence's outputs, the end symbol counted."""
    terms = BatchConstraints([one.wish for one in sentences])
    return terms.widen(torch.tensor([search.limit(length) for length in lengths_B.tolist()]), search)


def _search_direction(
    way: Direction, sentences: Sequence[_SourceSentence], lengths_B: Tensor, options: TranslationOptions
) -> list[list[Hypothesis]]:
    """What models of one direction find, as it is read."""
    search, stepper = options.search, way.stepper
    wishes = [way.turn_wish(one.wish) for one in sentences]
    asked = any(wish is not UNCONSTRAINED for wish in wishes)
    terms = BatchConstraints(wishes if asked else (), (lengths_B - 1).tolist())
    limit_B = _output_limits(sentences, lengths_B, search)
    if options.sampling is not None:
        numbers = random_numbers(options.seed, [one.line for one in sentences], search.nbest, int(limit_B.max()))
        found = sample(stepper, limit_B, search, options.sampling, numbers, terms)
        found = _add_attention(stepper, found) if options.keep_attention else found
    elif search.exhaustive:
        found = exhaustive_search(stepper, limit_B, search, terms)
    elif search.beam == 1 and not options.keep_attention and not any(wish.constrains for wish in wishes):
        found = greedy_search(stepper, limit_B, search, terms)
    else:
        found = beam_search(stepper, limit_B, search, options.keep_attention, terms)
    return [[way.turn_hypothesis(one) for one in many] for many in found]


def _add_attention(stepper: Stepper[object], found: list[list[Hypothesis]]) -> list[list[Hypothesis]]:
    """The same outputs with the attention that the model pays where it is made to say them."""
    attention_BKTS = score_targets(stepper, [[one.ids for one in many] for many in found])[1]
    if attention_BKTS is None:
        return found
    return [
        [replace(one, attention=look_TS[: len(one.ids) + 1]) for one, look_TS in zip(many, look_KTS, strict=True)]
        for many, look_KTS in zip(found, attention_BKTS, strict=True)
    ]


def _trim_padding(hypothesis: Hypothesis, length: int, limit: int) -> Hypothesis:
    """The hypothesis of a sentence of that length, with whether it ended by itself."""
    look_TS = None if hypothesis.attention is None else hypothesis.attention[:, :length].clone()
    return replace(hypothesis, attention=look_TS, finished=len(hypothesis.ids) + 1 < limit)


def detokenize_outputs(
    model: LoadedSeq2Seq,
    source: Sequence[str],
    hypotheses: Sequence[Hypothesis],
    options: TranslationOptions,
    own: Sequence[str] = (),
) -> TranslatedLine:
    """Turn hypotheses into text; `own` are the source's tokens whose ids stand behind the vocabulary."""
    if options.replace_unknown and options.lexicon is not None:
        own = [options.lexicon.get(token, token) for token in own]
    tokens = tuple(tuple(decode_ids(model.target_vocabulary, hypothesis.ids, own)) for hypothesis in hypotheses)
    if options.replace_unknown:
        pairs = zip(hypotheses, tokens, strict=True)
        is_feature, lexicon = model.tokenizer.is_feature, options.lexicon
        tokens = tuple(replace_unknown(hypothesis, one, source, is_feature, lexicon) for hypothesis, one in pairs)
    outputs = tuple(model.tokenizer.detokenize(one) for one in tokens) or ("",)
    return TranslatedLine(tuple(source), outputs, tokens, tuple(hypotheses))
