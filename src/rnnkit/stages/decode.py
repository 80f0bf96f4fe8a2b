"""`rnnkit decode`: raw lines in, for each in order one line out: translated, gone on from, or with its gaps filled."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rnnkit.config import STDIN
from rnnkit.errors import UsageError
from rnnkit.events import Listener, Note, Progress, ignore
from rnnkit.stages.decode_options import CONTINUATION_BEAM, TRANSLATION_BEAM, Options, check, given
from rnnkit.text.lines import read_lines

if TYPE_CHECKING:
    from rnnkit.decoding.continuation import Continued, Narrator
    from rnnkit.decoding.fill import Filled
    from rnnkit.decoding.stepper import SearchOptions
    from rnnkit.decoding.translate import Translated

__all__ = ["EXAMPLE", "Options", "run"]

EXAMPLE = """\
rnnkit decode --beam 5 < test.de > test.hyp
rnnkit decode test.de --nbest 3 --json --output test.jsonl
echo "the king" | rnnkit decode --model work/lm --temperature 0.8 --top-p 0.9 --nbest 5 --seed 7
echo "I am ___ very hungry" | rnnkit decode --model work/cloze --fill --nbest 5"""

PROGRESS_LINES = 100

Outputs = Iterator[tuple[tuple[str, ...], dict[str, Any]]]
"""For each line its output lines, and what JSON says of it."""


def run(options: Options, listen: Listener = ignore) -> Iterator[str]:
    """Decode; the lines come as they are made.

    Yields:
        Output lines: `nbest` for each input line, or with `json` one object for each input line.

    Raises:
        DataError: A file or the model is missing, or a line cannot be read.
        FormatError: The model is damaged.
        UsageError: Options that the model knows nothing of, that are out of range, or exclude each other.
    """
    from rnnkit.models import store
    from rnnkit.nn.device import set_threads

    document = store.read_config(options.folder)
    check(options, document["task"])
    if given(options, ["seed"]) and not options.draws:
        listen(Note("--seed has no effect: nothing is drawn"))
    set_threads(options.threads)
    decoders: dict[str, Callable[[Options, Mapping[str, Any], Listener], Outputs]] = {
        store.TASK: _translate,
        store.LANGUAGE_MODEL: _continue,
        store.CLOZE: _fill,
    }
    return _lines(options, decoders[document["task"]](options, document, listen), listen)


def _lines(options: Options, outputs: Outputs, listen: Listener) -> Iterator[str]:
    import json

    number = 0
    for number, (texts, facts) in enumerate(outputs, start=1):
        if options.json:
            yield json.dumps({"line": number, **facts}, ensure_ascii=False)
        else:
            # Fewer outputs than asked for, as for an empty line, still take their lines.
            yield from (texts + ("",) * options.nbest)[: options.nbest]
        if number % PROGRESS_LINES == 0:
            listen(Progress("decode", number))
    listen(Progress("decode", number, finished=True))


def _ahead(options: Options, block_lines: int) -> int:
    """Whoever types a line waits for its output; a file is read ahead, to sort it into batches."""
    return 1 if options.files == [STDIN] and sys.stdin.isatty() else block_lines


def _search(options: Options, beam: int) -> SearchOptions:
    from rnnkit.decoding.stepper import SearchOptions

    return SearchOptions(
        beam=options.beam or beam,
        alpha=options.alpha,
        max_length=options.max_length,
        nbest=options.nbest,
        allow_unknown=options.allow_unknown,
        exhaustive=options.exhaustive,
    )


def _translate(options: Options, _: Mapping[str, Any], listen: Listener) -> Outputs:
    from rnnkit.decoding.translate import BLOCK_LINES, translate_lines
    from rnnkit.models import store
    from rnnkit.nn.device import choose_device

    model = store.load(options.folder, options.checkpoint, choose_device(options.device))
    listen(Note(f"{model.folder}: {options.checkpoint} weights, {model.languages[0]}-{model.languages[1]}"))
    search = _search(options, TRANSLATION_BEAM)
    lines = (line for path in options.files for line in read_lines(path))
    ahead = _ahead(options, BLOCK_LINES)
    for one in translate_lines(model, lines, search, options.batch_tokens, options.json, ahead):
        yield one.outputs, _describe_translation(one)


def _describe_translation(translated: Translated) -> dict[str, Any]:
    """One line's outputs as JSON: source tokens, and each output with scores and attention.

    `attention` has a row for each target token and the end symbol, and a column for each source token and the end
    symbol; it is null for models without attention.
    """
    return {
        "source_tokens": list(translated.source),
        "outputs": [
            {
                "text": text,
                "score": hypothesis.score,
                "log_probability": hypothesis.log_p,
                "tokens": list(tokens),
                "attention": None if hypothesis.attention is None else _rounded(hypothesis.attention.tolist()),
            }
            for text, tokens, hypothesis in zip(
                translated.outputs, translated.tokens, translated.hypotheses, strict=False
            )
        ],
    }


def _rounded(rows: list[list[float]]) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in rows]


def _continue(options: Options, document: Mapping[str, Any], listen: Listener) -> Outputs:
    from rnnkit.decoding import continuation
    from rnnkit.decoding.sampling import Sampling

    narrator = _open_narrator(options, document, listen)
    sampling = Sampling(options.temperature or 1.0, options.top_k or 0, options.top_p or 1.0)
    how = continuation.Options(_search(options, CONTINUATION_BEAM), sampling if options.draws else None, options.seed)
    lines = (line for path in options.files for line in read_lines(path))
    ahead = _ahead(options, continuation.BLOCK_LINES)
    for one in continuation.continue_lines(narrator, lines, how, options.batch_tokens, ahead):
        yield one.texts if options.prompt else one.continuations, _describe_continuation(one)


def _open_narrator(options: Options, document: Mapping[str, Any], listen: Listener) -> Narrator:
    """The language model, of counts or of weights."""
    from rnnkit.decoding.continuation import Narrator
    from rnnkit.models import language_store
    from rnnkit.models.counted_prompts import CountedPrompts
    from rnnkit.models.prompts import Prompts
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.nn.device import choose_device
    from rnnkit.text.vocabulary import Vocabulary

    folder, language = options.folder, document["languages"][0]
    if document["network"].get("arch") == "ngram":
        if strange := given(options, ["checkpoint"]):
            raise UsageError(f"{strange[0]} {options.checkpoint}: {folder} holds counts, which have no checkpoints")
        counts = ngram_store.load(folder / ngram_store.NAME)
        vocabulary = Vocabulary.load(folder / language_store.VOCABULARY)
        listen(Note(f"{folder}: {counts.order}-grams, {language}"))
        return Narrator(
            lambda prompts: CountedPrompts(counts, prompts), vocabulary, language_store.find_tokenizer(folder)
        )
    speaker = language_store.load(folder, options.checkpoint, choose_device(options.device))
    listen(Note(f"{folder}: {options.checkpoint} weights, {speaker.network.config.arch} {language}"))
    return Narrator(lambda prompts: Prompts(speaker.network, prompts), speaker.vocabulary, speaker.tokenizer)


def _describe_continuation(continued: Continued) -> dict[str, Any]:
    """One prompt's outputs as JSON. `ended` is false where a continuation was cut at its greatest length."""
    return {
        "prompt_tokens": list(continued.prompt),
        "outputs": [
            {
                "text": text,
                "continuation": continuation,
                "score": hypothesis.score,
                "log_probability": hypothesis.log_p,
                "tokens": list(tokens),
                "ended": ended,
            }
            for text, continuation, hypothesis, tokens, ended in zip(
                continued.texts,
                continued.continuations,
                continued.hypotheses,
                continued.tokens,
                continued.ended,
                strict=True,
            )
        ],
    }


def _fill(options: Options, _: Mapping[str, Any], listen: Listener) -> Outputs:
    from rnnkit.decoding import fill
    from rnnkit.models import cloze_store
    from rnnkit.nn.device import choose_device
    from rnnkit.text.gaps import read_gapped

    filler = cloze_store.load(options.folder, options.checkpoint, choose_device(options.device))
    listen(Note(f"{filler.folder}: {options.checkpoint} weights, gaps of {filler.language}"))
    single = options.nbest > 1 and not options.json
    lines = read_gapped(options.files, options.gap, filler.tokenizer, single)
    ahead = _ahead(options, fill.BLOCK_LINES)
    for one in fill.fill_lines(filler, lines, options.nbest, options.allow_unknown, options.batch_tokens, ahead):
        yield one.texts, _describe_filling(one)


def _describe_filling(filled: Filled) -> dict[str, Any]:
    """One line's fills as JSON: its gaps in the order in which they were filled, each with its candidates."""
    return {
        "outputs": [
            {"text": text, "tokens": list(tokens)} for text, tokens in zip(filled.texts, filled.outputs, strict=True)
        ],
        "gaps": [
            {
                "place": gap.place,
                "candidates": [
                    {"token": candidate.token, "probability": math.exp(candidate.log_p)} for candidate in gap.candidates
                ],
            }
            for gap in filled.gaps
        ],
    }
