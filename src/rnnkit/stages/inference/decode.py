"""`rnnkit decode`: translate, generate, infill, classify or tag raw text with a trained model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, Progress, Status, null_listener
from rnnkit.io.resumable_output import resumable_file
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.options.declare import STDIN
from rnnkit.stages.inference import decode_resume
from rnnkit.stages.inference.decode_checks import check
from rnnkit.stages.inference.decode_options import (
    GENERATION_BEAM,
    DecodeOptions,
    explicitly_set,
    input_lines,
    lines_ahead,
    sampling_options,
    search_options,
)
from rnnkit.stages.inference.translation_outputs import Outputs, translate
from rnnkit.text.tokenizer import read_raw_text, warn_replaced_line_ends

if TYPE_CHECKING:
    from rnnkit.decoding.generate import FilledLine, GeneratedLine, TextGenerator
    from rnnkit.stages.inference.decode_resume import RecordedOutput

EXAMPLE = """\
rnnkit decode --beam 5 < test.de > test.hyp
rnnkit decode test.de --nbest 3 --json --output test.jsonl
rnnkit decode test.de --model a/model --model b/model --fusion work/lm:0.2 --output test.hyp --resume
echo "the king" | rnnkit decode --model work/lm --temperature 0.8 --top-p 0.9 --nbest 5 --seed 7
rnnkit decode test.form --nbest 3 --json --output tags.jsonl
echo "I am ___ very hungry" | rnnkit decode --model work/cloze --fill --nbest 5"""

T = TypeVar("T")

Decoder = Callable[["DecodeOptions", JsonMapping, "RecordedOutput | None", Listener], Outputs]


def run(
    options: DecodeOptions, listen: Listener = null_listener, recorded: RecordedOutput | None = None
) -> Iterator[str]:
    """Decode, and yield the output lines as they are computed.

    Args:
        options: The options.
        listen: Receives notes, warnings and progress.
        recorded: Record of the output file; with `resume`, opened if it is not given.

    Yields:
        Output lines: `nbest` per input line, or with `json` one object per input line. With `resume`, those after the
        lines of an earlier run.

    Raises:
        DataError: A file or the model is missing, or a line cannot be read.
        FormatError: The model is damaged.
        UsageError: Options do not suit the model, are out of range, or exclude each other.
        ArtefactError: The output to resume was made by another model, from other text or with other options.
    """
    from rnnkit.models import store
    from rnnkit.nn.device import set_threads

    document = _check(options)
    if explicitly_set(options, ["seed"]) and not options.is_sampling:
        listen(Note("--seed has no effect without sampling"))
    set_threads(options.threads)
    listen(Status("loading the model"))
    decoders: dict[str, Decoder] = {
        store.SEQ2SEQ: _translate,
        store.LANGUAGE_MODEL: _generate,
        store.MASKED_LM: _infill,
        store.TAGGING: _label,
        store.CLASSIFICATION: _label,
    }
    if recorded is None and options.resume:
        recorded = decode_resume.open_recorded_output(options)
    done = 0 if recorded is None else recorded.done
    return _format_lines(options, decoders[document["task"]](options, document, recorded, listen), done, listen)


def write(options: DecodeOptions, listen: Listener = null_listener) -> bool:
    """Decode into the output file. An interrupt leaves what was written, with a record of it, for `--resume`.

    Returns:
        Whether lines were written; an output that is resumed can be complete.

    Raises:
        UsageError: As `run`; or the output to resume is a stream or a device.
        ArtefactError: As `run`; or the file cannot be written.
    """
    _check(options)
    if not decode_resume.is_recorded(options):
        if options.resume:
            raise UsageError(
                f"--resume needs an output file, and {options.output} is not a regular file",
                path=options.output,
                option="--resume",
            )
        with resumable_file(options.output) as file:
            file.writelines(f"{line}\n" for line in run(options, listen))
        return True
    if not options.resume:
        decode_resume.check_record_names(options)
    recorded = decode_resume.open_recorded_output(options)
    recorded.recording = True
    if recorded.start.whole:
        listen(Note(f"{options.output} is complete: all {recorded.done:,} input lines are decoded"))
        return False
    decode_resume.write(run(options, listen, recorded), options, recorded, listen)
    return True


def _check(options: DecodeOptions) -> JsonObject:
    """Check the options against the model, and return its configuration."""
    from rnnkit.models import store

    document = store.read_config(options.folder)
    check(options, document["task"])
    for path in options.files:
        if path != STDIN and not path.exists():
            raise DataError(f"file not found: {path}", path=path)
    return document


def _format_lines(options: DecodeOptions, outputs: Outputs, done: int, listen: Listener) -> Iterator[str]:
    import json

    number, total = done, input_lines(options.files)
    for number, (texts, facts) in enumerate(outputs, start=done + 1):
        if options.json:
            yield json.dumps({"line": number, **facts}, ensure_ascii=False)
        else:
            # An input line has `nbest` output lines even if there are fewer outputs, as for an empty line.
            yield from (texts + ("",) * options.nbest)[: options.nbest]
        listen(Progress("decode", number, total))
    listen(Progress("decode", number, total, finished=True))


def _remaining(lines: Iterator[T], recorded: RecordedOutput | None) -> tuple[Iterator[T], int]:
    """Return the lines that no earlier run has decoded, and the number of the others."""
    return (lines, 0) if recorded is None else (islice(recorded.read(lines), recorded.done, None), recorded.done)


def _translate(options: DecodeOptions, _: JsonMapping, recorded: RecordedOutput | None, listen: Listener) -> Outputs:
    return translate(options, recorded, listen)


def _label(options: DecodeOptions, _: JsonMapping, recorded: RecordedOutput | None, listen: Listener) -> Outputs:
    """Tag the words of each line, or classify it."""
    from rnnkit.stages.inference import label_outputs

    labeller = label_outputs.open_labeller(options, listen)
    texts = (line for path in options.files for line in read_raw_text(path, None))
    lines, done = _remaining(texts, recorded)
    return label_outputs.label(options, labeller, lines, done, listen)


def _generate(
    options: DecodeOptions, document: JsonMapping, recorded: RecordedOutput | None, listen: Listener
) -> Outputs:
    """Continue each line with a language model."""
    from rnnkit.decoding import generate

    generator = _open_generator(options, document, listen)
    listen(Status("decoding"))
    settings = generate.GenerationOptions(
        search_options(options, GENERATION_BEAM), sampling_options(options), options.seed
    )
    prompts = (line for path in options.files for line in read_raw_text(path, generator.tokenizer))
    lines, done = _remaining(prompts, recorded)
    ahead = lines_ahead(options, generate.BLOCK_LINES)
    for generated in generate.generate_lines(generator, lines, settings, options.batch_tokens, ahead, done + 1):
        yield generated.texts if options.prompt else generated.continuations, _describe_generated(generated)
    warn_replaced_line_ends(generator.tokenizer, listen)


def _open_generator(options: DecodeOptions, document: JsonMapping, listen: Listener) -> TextGenerator:
    """Open a neural or n-gram language model."""
    from rnnkit.decoding.generate import TextGenerator
    from rnnkit.models import lm_store
    from rnnkit.models.steppers import NeuralPrompts, NgramPrompts
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.nn.device import choose_device
    from rnnkit.text.vocabulary import Vocabulary

    folder, language = options.folder, document["languages"][0]
    if document["network"].get("arch") == "ngram":
        if explicitly_set(options, ["checkpoint"]):
            raise UsageError(
                f"--checkpoint {options.checkpoint}: {folder} is an n-gram model, which has no checkpoints",
                path=folder,
                option="--checkpoint",
            )
        ngrams = ngram_store.load(folder / ngram_store.NAME)
        vocabulary = Vocabulary.load(folder / lm_store.VOCABULARY_FILE)
        listen(Note(f"{folder}: {ngrams.order}-grams, {language}"))
        return TextGenerator(lambda prompts: NgramPrompts(ngrams, prompts), vocabulary, lm_store.find_tokenizer(folder))
    model = lm_store.load_language_model(folder, options.checkpoint, choose_device(options.device))
    lm_store.check_generates(folder, model.network.config)
    listen(Note(f"{folder}: {options.checkpoint} weights, {model.network.config.arch} {language}"))
    return TextGenerator(lambda prompts: NeuralPrompts(model.network, prompts), model.vocabulary, model.tokenizer)


def _describe_generated(generated: GeneratedLine) -> JsonObject:
    """Return the outputs of a prompt as JSON; `ended` is false if a continuation reached the maximum length."""
    return {
        "prompt_tokens": list(generated.prompt),
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
                generated.texts,
                generated.continuations,
                generated.hypotheses,
                generated.tokens,
                generated.ended,
                strict=True,
            )
        ],
    }


def _infill(options: DecodeOptions, _: JsonMapping, recorded: RecordedOutput | None, listen: Listener) -> Outputs:
    """Fill the gaps of each line with a masked language model."""
    from rnnkit.decoding import generate
    from rnnkit.models import lm_store
    from rnnkit.nn.device import choose_device
    from rnnkit.text.masked_lines import read_masked_lines

    model = lm_store.load_masked_lm(options.folder, options.checkpoint, choose_device(options.device))
    listen(Note(f"{model.folder}: {options.checkpoint} weights, masked language model of {model.language}"))
    listen(Status("decoding"))
    single_gap = options.nbest > 1 and not options.json
    lines, _done = _remaining(read_masked_lines(options.files, options.gap, model.tokenizer, single_gap), recorded)
    ahead = lines_ahead(options, generate.BLOCK_LINES)
    for filled in generate.fill_lines(model, lines, options.nbest, options.allow_unknown, options.batch_tokens, ahead):
        yield filled.texts, _describe_filled(filled)
    warn_replaced_line_ends(model.tokenizer, listen)


def _describe_filled(filled: FilledLine) -> JsonObject:
    """Return the outputs of a line as JSON: its gaps in the order of filling, each with its candidates."""
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
