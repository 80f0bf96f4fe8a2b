"""How `decode` translates: opens models and the files beside the text, and keeps links and attention maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, WarningEvent
from rnnkit.io.resumable_output import resumable_file
from rnnkit.stages import shared_options as usual
from rnnkit.stages.inference.decode.options import FUSION_WEIGHT, DecodeOptions, check_attention, check_directions
from rnnkit.text.special_tokens import NAMES

if TYPE_CHECKING:
    from rnnkit.decoding import translate as translation
    from rnnkit.decoding.constraints.token_constraints import ConstrainedSource
    from rnnkit.decoding.sampling import SamplingOptions
    from rnnkit.decoding.stepper import SearchOptions, TrainingLengths
    from rnnkit.decoding.translate import TranslatedLine
    from rnnkit.decoding.translator import Translator
    from rnnkit.reports.attention import Album
    from rnnkit.stages.inference.decode.resume import RecordedOutput

Outputs = Iterator[tuple[tuple[str, ...], dict[str, Any]]]
"""For each line its output lines, and what JSON says of it."""


def translate(
    options: DecodeOptions,
    search: SearchOptions,
    sampling: SamplingOptions | None,
    keeper: RecordedOutput | None,
    ahead: int,
    listen: Listener,
) -> Outputs:
    """Translate, and write links and attention maps where they are asked for.

    Args:
        options: What was asked for.
        search: How to search.
        sampling: How tokens are drawn; None searches.
        keeper: Of the output file, where it has a record; lines that an earlier run translated are left out.
        ahead: Lines read ahead.
        listen: Hears what was loaded.
    """
    from rnnkit.decoding import translate as translation
    from rnnkit.stages.inference.decode.length_warnings import LengthWarnings
    from rnnkit.text.tokenizers.tokenizer import warn_replaced_line_ends

    translator = _open(options, listen)
    check_attention(options, translator.has_attention)
    check_directions(
        options, *([one.folder for one in some] for some in (translator.left_to_right, translator.right_to_left))
    )
    longest = _longest(translator)
    search = replace(
        search,
        max_source_length=options.max_source_length or longest.max_source_length,
        max_output_length=longest.max_output_length,
    )
    how = _how(options, translator, search, sampling, ahead)
    asked, done = _asked(options, translator, keeper, listen)
    found = _count_unmet(translation.translate_lines(translator, asked, how, done + 1, ahead), listen)
    # Nothing is written before the lines that an earlier run translated are read again and compared.
    found = chain(list(islice(found, 1 if done else 0)), found)
    watch = LengthWarnings(longest, search)
    for number, one in enumerate(_beside(options, found, done, keeper, listen), start=done + 1):
        watch.look(number, one)
        yield one.outputs, _describe(one)
    for warning in watch.warnings():
        listen(warning)
    warn_replaced_line_ends(translator.main.tokenizer, listen)


def _longest(translator: Translator) -> TrainingLengths:
    from rnnkit.decoding.stepper import max_training_lengths
    from rnnkit.models import store

    return max_training_lengths(
        [store.training_max_lengths(model.folder, model.languages) for model in translator.models]
    )


def _how(
    options: DecodeOptions, translator: Translator, search: SearchOptions, sampling: SamplingOptions | None, ahead: int
) -> translation.TranslationOptions:
    import torch

    from rnnkit.decoding import translate as translation

    keep = options.json or options.replace_unknown or options.alignments is not None or options.attention is not None
    return translation.TranslationOptions(
        search=search,
        batch_tokens=options.batch_tokens,
        keep_attention=keep and translator.has_attention,
        replace_unknown=options.replace_unknown,
        lexicon=_lexicon(options, translator),
        sampling=sampling,
        seed=options.seed,
        # Whoever waits for one line gets all threads for it.
        workers=1 if ahead == 1 or translator.device.type != "cpu" else torch.get_num_threads(),
    )


def _beside(
    options: DecodeOptions, found: Iterator[TranslatedLine], done: int, keeper: RecordedOutput | None, listen: Listener
) -> Iterator[TranslatedLine]:
    """Write links and attention maps of what was found, and pass it on."""
    from rnnkit.reports.attention import open_album

    with ExitStack() as opened:
        links = album = None
        if options.alignments is not None:
            links = opened.enter_context(resumable_file(options.alignments, done * options.nbest))
            if keeper is not None:
                keeper.follow(links)
        if options.attention is not None:
            album = opened.enter_context(open_album(options.attention))
        for number, one in enumerate(found, start=done + 1):
            if links is not None:
                text = _links(one, options.nbest)
                links.write(text)
                if keeper is not None:
                    keeper.linked(text)
            if album is not None:
                _show(album, number, one, options.attention)
            yield one
    if album is not None:
        listen(Note(album.summary()))


def _asked(
    options: DecodeOptions, translator: Translator, keeper: RecordedOutput | None, listen: Listener
) -> tuple[Iterator[ConstrainedSource], int]:
    """The lines that are left to translate, with what is asked of them, and the number of the others."""
    from rnnkit.decoding.constraints.constraint_files import ConstraintFiles, ConstraintReader, read_constraints
    from rnnkit.text.tokenizers.tokenizer import read_raw_text

    def read() -> Iterator[str]:
        return (line for path in options.files for line in read_raw_text(path, translator.main.tokenizer))

    beside = ConstraintFiles(options.prefix_file, options.constraints, options.constraint_tokens)
    again = read if all(path.is_file() for path in options.files) else None
    demands = ConstraintReader(translator.main, beside, translator.copies)
    lines, done = (read(), 0) if keeper is None else (keeper.read(read()), keeper.done)
    return read_constraints(demands, lines, done, options.skip_impossible, again, listen), done


def _count_unmet(found: Iterator[TranslatedLine], listen: Listener) -> Iterator[TranslatedLine]:
    """The same lines; at their end a warning if there are outputs without what they must have."""
    unmet = 0
    for one in found:
        unmet += not all(one.constraints_met)
        yield one
    if unmet:
        listen(WarningEvent(f"{unmet:,} lines have outputs without all of their constraints"))


def _open(options: DecodeOptions, listen: Listener) -> Translator:
    from rnnkit.decoding import translator
    from rnnkit.nn.device import choose_device

    speakers = [_speaker(text) for text in options.fusion]
    device = choose_device(options.device)
    if options.int8 and device.type != "cpu":
        raise UsageError(f"--int8 is for the CPU, and the device is {device.type}", hint="add --device cpu")
    eight_bits = options.int8 and _eight_bits_pay(listen)
    found = translator.load_translator(
        options.folders, options.checkpoint, speakers, device, options.shortlist, eight_bits, listen
    )
    for model in found.models:
        turned = ", right to left" if model.network.config.right_to_left else ""
        listen(Note(f"{model.folder}: {options.checkpoint} weights, {model.languages[0]}-{model.languages[1]}{turned}"))
    for folder, weight in speakers:
        listen(Note(f"{folder}: a say of weight {weight:g}"))
    return found


def _eight_bits_pay(listen: Listener) -> bool:
    """Whether weights of eight bits make decoding faster here; warns where they do not."""
    from rnnkit.kernels import dispatch

    fast = dispatch.int8_is_fast()
    if not fast:
        listen(
            WarningEvent(
                "--int8 is not used: this processor lacks AVX-512, and without it weights of eight bits are slower "
                "than those of float32"
            )
        )
    return fast


def _lexicon(options: DecodeOptions, translator: Translator) -> Mapping[str, str] | None:
    """A translation of each source token that the lexicon knows; None where none was named.

    Raises:
        DataError: There is no such file, a row is malformed, or it is of other tokens than the model's.
    """
    from rnnkit.alignment.translation_table import read_best_translations

    if options.lexicon is None:
        return None
    found, known = read_best_translations(options.lexicon), translator.main.source_vocabulary
    if known.ids.keys().isdisjoint(found):
        shown = ", ".join(known.tokens[len(NAMES) :][:3])
        raise DataError(
            f"{options.lexicon} has no source token that {translator.main.folder} knows",
            f"the model reads {shown}; the lexicon translates {', '.join(list(found)[:3]) or 'nothing'}",
            hint="make one from text that the model's tokenizer has cut: `rnnkit align-words SOURCE.tok TARGET.tok`",
        )
    return found


def _speaker(text: str) -> tuple[Path, float]:
    """A language model and its weight. Raises UsageError where the weight cannot be one."""
    folder, weight = usual.parse_weighted_model(text, "--fusion")
    if weight == 0:
        raise UsageError(f"--fusion {text}: a weight of 0 leaves {folder} no say", hint="leave it out")
    return folder, FUSION_WEIGHT if weight is None else weight


def _links(one: TranslatedLine, nbest: int) -> str:
    """A line of links for each output line; empty where there is no output."""
    from rnnkit.decoding.attention_alignment import format_pharaoh

    lines = [format_pharaoh(hypothesis, len(one.source)) for hypothesis in one.hypotheses]
    return "".join(f"{line}\n" for line, _ in zip([*lines, *repeat("", nbest)], range(nbest), strict=False))


def _show(album: Album, number: int, one: TranslatedLine, path: Path | None) -> None:
    """Put the map of a line's best output into the album, in JSON those of all."""
    from rnnkit.reports.attention import Map

    every = path is not None and path.suffix == ".json"
    pairs = list(zip(one.hypotheses, one.tokens, strict=True))
    for hypothesis, tokens in pairs if every else pairs[:1]:
        if hypothesis.attention is not None:
            album.add(Map(number, one.source, tokens, hypothesis.attention.tolist()))


def _describe(translated: TranslatedLine) -> dict[str, Any]:
    """One line's outputs as JSON: source tokens, and each output with scores and attention.

    `finished` is false where an output was cut at its greatest length; `source_tokens_left_out` is there where the end
    of a line was not read.

    `attention` has a row for each target token and the end symbol, and a column for each source token and the end
    symbol; it is null for models without attention. `constraints_met` is there where a line has constraints.
    """
    constraints_met = translated.constraints_met
    truncated_tokens = {"source_tokens_left_out": translated.truncated_tokens} if translated.truncated_tokens else {}
    return {
        "source_tokens": list(translated.source),
        **truncated_tokens,
        "outputs": [
            {
                "text": text,
                "score": hypothesis.score,
                "log_probability": hypothesis.log_p,
                "tokens": list(tokens),
                "finished": hypothesis.finished,
                "attention": None if hypothesis.attention is None else _rounded(hypothesis.attention.tolist()),
                **({"constraints_met": constraints_met[place]} if constraints_met else {}),
            }
            for place, (text, tokens, hypothesis) in enumerate(
                zip(translated.outputs, translated.tokens, translated.hypotheses, strict=False)
            )
        ],
    }


def _rounded(rows: list[list[float]]) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in rows]
