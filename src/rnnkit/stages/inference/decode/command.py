"""`rnnkit decode`: raw lines in, for each in order one line out: translated, gone on from, or with its gaps filled."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from rnnkit.config import STDIN
from rnnkit.errors import UsageError
from rnnkit.events import Listener, Note, Progress, null_listener
from rnnkit.io.resumable_output import resumable_file
from rnnkit.stages.inference.decode import record, resume, translation_outputs
from rnnkit.stages.inference.decode.options import DIVERSITY, GENERATION_BEAM, DecodeOptions, check, explicitly_set
from rnnkit.text.tokenizers.tokenizer import read_raw_text, warn_replaced_line_ends

if TYPE_CHECKING:
    from rnnkit.decoding.generate import GeneratedLine, TextGenerator
    from rnnkit.decoding.infill import FilledLine
    from rnnkit.decoding.sampling import SamplingOptions
    from rnnkit.decoding.stepper import SearchOptions
    from rnnkit.stages.inference.decode.resume import RecordedOutput

__all__ = ["EXAMPLE", "DecodeOptions", "run", "write"]

EXAMPLE = """\
rnnkit decode --beam 5 < test.de > test.hyp
rnnkit decode test.de --nbest 3 --json --output test.jsonl
rnnkit decode test.de --model a/model --model b/model --fusion work/lm:0.2 --output test.hyp --resume
echo "the king" | rnnkit decode --model work/lm --temperature 0.8 --top-p 0.9 --nbest 5 --seed 7
echo "I am ___ very hungry" | rnnkit decode --model work/cloze --fill --nbest 5"""

PROGRESS_LINES = 100

T = TypeVar("T")

Outputs = Iterator[tuple[tuple[str, ...], dict[str, Any]]]
"""For each line its output lines, and what JSON says of it."""

Decoder = Callable[["DecodeOptions", Mapping[str, Any], "RecordedOutput | None", Listener], Outputs]


def run(
    options: DecodeOptions, listen: Listener = null_listener, keeper: RecordedOutput | None = None
) -> Iterator[str]:
    """Decode; the lines come as they are made.

    Args:
        options: What was asked for.
        listen: Gets notes, warnings and progress.
        keeper: Of the output file; with `resume` one is opened where none is given.

    Yields:
        Output lines: `nbest` for each input line, or with `json` one object for each input line. With `resume`, those
        behind what an earlier run has left.

    Raises:
        DataError: A file or the model is missing, or a line cannot be read.
        FormatError: The model is damaged.
        UsageError: Options that the model knows nothing of, that are out of range, or exclude each other.
        ArtefactError: What is to be resumed was made by another model, from another text or with other options.
    """
    from rnnkit.models import store
    from rnnkit.nn.device import set_threads

    document = _checked(options)
    if explicitly_set(options, ["seed"]) and not options.draws:
        listen(Note("--seed has no effect: nothing is drawn"))
    set_threads(options.threads)
    decoders: dict[str, Decoder] = {
        store.SEQ2SEQ: _translate,
        store.LANGUAGE_MODEL: _continue,
        store.MASKED_LM: _fill,
    }
    if keeper is None and options.resume:
        keeper = resume.open_recorded_output(options)
    done = 0 if keeper is None else keeper.done
    return _lines(options, decoders[document["task"]](options, document, keeper, listen), done, listen)


def write(options: DecodeOptions, listen: Listener = null_listener) -> None:
    """Decode into the output file, which keeps what was written, and a record of it, where the work is interrupted.

    Raises:
        UsageError: As `run`; or what is to be resumed is a stream or a device.
        ArtefactError: As `run`; or the file cannot be written.
    """
    _checked(options)
    if not record.is_recorded(options):
        if options.resume:
            raise UsageError(f"--resume continues a file, and {options.output} is something else")
        with resumable_file(options.output) as file:
            file.writelines(f"{line}\n" for line in run(options, listen))
        return
    if not options.resume:
        record.check_record_names(options)
    keeper = resume.open_recorded_output(options)
    keeper.recording = True
    if keeper.start.whole:
        listen(Note(f"{options.output} is finished: all {keeper.done:,} lines of the text are decoded"))
        return
    resume.write(run(options, listen, keeper), options, keeper, listen)


def _checked(options: DecodeOptions) -> dict[str, Any]:
    """The model's configuration, after the options were held against it."""
    from rnnkit.models import store

    document = store.read_config(options.folder)
    check(options, document["task"])
    return document


def _lines(options: DecodeOptions, outputs: Outputs, done: int, listen: Listener) -> Iterator[str]:
    import json

    number = done
    for number, (texts, facts) in enumerate(outputs, start=done + 1):
        if options.json:
            yield json.dumps({"line": number, **facts}, ensure_ascii=False)
        else:
            # Fewer outputs than asked for, as for an empty line, still take their lines.
            yield from (texts + ("",) * options.nbest)[: options.nbest]
        if number % PROGRESS_LINES == 0:
            listen(Progress("decode", number))
    listen(Progress("decode", number, finished=True))


def _remaining(lines: Iterator[T], keeper: RecordedOutput | None) -> tuple[Iterator[T], int]:
    """The lines that no earlier run has decoded, and the number of the others."""
    return (lines, 0) if keeper is None else (islice(keeper.read(lines), keeper.done, None), keeper.done)


def _ahead(options: DecodeOptions, block_lines: int) -> int:
    """Whoever types a line waits for its output; a file is read ahead, to sort it into batches."""
    return 1 if options.files == [STDIN] and sys.stdin.isatty() else block_lines


def _search(options: DecodeOptions, beam: int) -> SearchOptions:
    from rnnkit.decoding.stepper import SearchOptions

    return SearchOptions(
        beam=options.beam or beam,
        alpha=options.alpha,
        max_length=options.max_length,
        nbest=options.nbest,
        allow_unknown=options.allow_unknown or options.replace_unknown,
        exhaustive=options.exhaustive,
        min_length=options.min_length,
        no_repeat_ngram=options.no_repeat_ngram,
        groups=options.beam_groups,
        diversity=DIVERSITY if options.diversity is None else options.diversity,
        coverage=options.coverage_penalty,
    )


def _sampling(options: DecodeOptions) -> SamplingOptions | None:
    from rnnkit.decoding.sampling import SamplingOptions

    if not options.draws:
        return None
    return SamplingOptions(options.temperature or 1.0, options.top_k or 0, options.top_p or 1.0)


def _translate(
    options: DecodeOptions, _: Mapping[str, Any], keeper: RecordedOutput | None, listen: Listener
) -> Outputs:
    from rnnkit.decoding.translate import BLOCK_LINES
    from rnnkit.stages.inference.decode.options import TRANSLATION_BEAM

    ahead = _ahead(options, BLOCK_LINES)
    search, sampling = _search(options, TRANSLATION_BEAM), _sampling(options)
    return translation_outputs.translate(options, search, sampling, keeper, ahead, listen)


def _continue(
    options: DecodeOptions, document: Mapping[str, Any], keeper: RecordedOutput | None, listen: Listener
) -> Outputs:
    from rnnkit.decoding import generate

    narrator = _open_narrator(options, document, listen)
    how = generate.GenerationOptions(_search(options, GENERATION_BEAM), _sampling(options), options.seed)
    prompts = (line for path in options.files for line in read_raw_text(path, narrator.tokenizer))
    lines, done = _remaining(prompts, keeper)
    ahead = _ahead(options, generate.BLOCK_LINES)
    for one in generate.generate_lines(narrator, lines, how, options.batch_tokens, ahead, done + 1):
        yield one.texts if options.prompt else one.continuations, _describe_continuation(one)
    warn_replaced_line_ends(narrator.tokenizer, listen)


def _open_narrator(options: DecodeOptions, document: Mapping[str, Any], listen: Listener) -> TextGenerator:
    """The language model, of counts or of weights."""
    from rnnkit.decoding.generate import TextGenerator
    from rnnkit.models import lm_store
    from rnnkit.models.prompts import NeuralPrompts, NgramPrompts
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.nn.device import choose_device
    from rnnkit.text.vocabulary import Vocabulary

    folder, language = options.folder, document["languages"][0]
    if document["network"].get("arch") == "ngram":
        if strange := explicitly_set(options, ["checkpoint"]):
            raise UsageError(f"{strange[0]} {options.checkpoint}: {folder} holds counts, which have no checkpoints")
        counts = ngram_store.load(folder / ngram_store.NAME)
        vocabulary = Vocabulary.load(folder / lm_store.VOCABULARY_FILE)
        listen(Note(f"{folder}: {counts.order}-grams, {language}"))
        return TextGenerator(lambda prompts: NgramPrompts(counts, prompts), vocabulary, lm_store.find_tokenizer(folder))
    speaker = lm_store.load_language_model(folder, options.checkpoint, choose_device(options.device))
    listen(Note(f"{folder}: {options.checkpoint} weights, {speaker.network.config.arch} {language}"))
    return TextGenerator(lambda prompts: NeuralPrompts(speaker.network, prompts), speaker.vocabulary, speaker.tokenizer)


def _describe_continuation(continued: GeneratedLine) -> dict[str, Any]:
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


def _fill(options: DecodeOptions, _: Mapping[str, Any], keeper: RecordedOutput | None, listen: Listener) -> Outputs:
    from rnnkit.decoding import infill
    from rnnkit.models import lm_store
    from rnnkit.nn.device import choose_device
    from rnnkit.text.masked_lines import read_masked_lines

    filler = lm_store.load_masked_lm(options.folder, options.checkpoint, choose_device(options.device))
    listen(Note(f"{filler.folder}: {options.checkpoint} weights, gaps of {filler.language}"))
    single = options.nbest > 1 and not options.json
    lines, _done = _remaining(read_masked_lines(options.files, options.gap, filler.tokenizer, single), keeper)
    ahead = _ahead(options, infill.BLOCK_LINES)
    for one in infill.fill_lines(filler, lines, options.nbest, options.allow_unknown, options.batch_tokens, ahead):
        yield one.texts, _describe_filling(one)
    warn_replaced_line_ends(filler.tokenizer, listen)


def _describe_filling(filled: FilledLine) -> dict[str, Any]:
    """One line's fills as JSON: its gaps in the order in which they were filled, each with its candidates."""
    return {
        "outputs": [
            {"text": text, "tokens": list(tokens)} for text, tokens in zip(filled.texts, filled.outputs, strict=True)
        ],
        "gaps": [
            {
                "place": gap.position,
                "candidates": [
                    {"token": candidate.token, "probability": math.exp(candidate.log_p)} for candidate in gap.candidates
                ],
            }
            for gap in filled.gaps
        ],
    }
